"""What the scripted model of ``cell-gateway demo`` says and asks for: prepared words and code over real data of the image.

The data are the daily observations of Seattle's weather, 2012 to 2015 (NOAA), that the package vega_datasets ships.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..scripted_model import Block, text, tool_use

MODEL = "scripted model"
NOTICE = "No model is asked: the words and the code of this demo are prepared. The kernel, the data and all outputs are real."

_COPY = """\
import shutil

import pandas as pd
from vega_datasets import data

shutil.copy(data.seattle_weather.filepath, "seattle-weather.csv")
weather = pd.read_csv("seattle-weather.csv", parse_dates=["date"])
print(f"{len(weather):,} days, {weather['date'].min():%d %B %Y} to {weather['date'].max():%d %B %Y}")
weather.head()"""

_COUNT = """\
export CSV="$PWD/seattle-weather.csv"
mkdir -p counts && cd counts
# Days by kind of weather: the sixth column, without the heading.
tail -n +2 "$CSV" | cut -d, -f6 | sort | uniq -c | sort -rn | tee days-by-weather.txt"""

_WETTEST = """\
# Still in counts/, and CSV is still set.
basename "$PWD"
echo "the five wettest days:"
tail -n +2 "$CSV" | sort -t, -k2,2 -rn | head -n 5 | cut -d, -f1,2"""

_WRONG = """\
by_month = weather.groupby(weather["date"].dt.month)
monthly = pd.DataFrame({
    "low": by_month["temp_min"].mean(),
    "high": by_month["temp_max"].mean(),
    "rain_mm": by_month["precipitation"].sum() / years,
})"""

_RIGHT = """\
import calendar

years = weather["date"].dt.year.nunique()
monthly = pd.DataFrame({
    "low": by_month["temp_min"].mean(),
    "high": by_month["temp_max"].mean(),
    "rain_mm": by_month["precipitation"].sum() / years,
    "wet_days": by_month["precipitation"].agg(lambda mm: (mm >= 1).sum()) / years,
}).round(1)
monthly.index = pd.Index([calendar.month_abbr[month] for month in monthly.index], name="month")
monthly"""

_CHART = """\
import matplotlib.pyplot as plt

RAIN, HIGH, LOW = "#3b7dae", "#c8553d", "#e9a178"
fig, (warmth, rain) = plt.subplots(2, figsize=(8, 6), sharex=True, height_ratios=[3, 2], layout="constrained")

warmth.fill_between(monthly.index, monthly["low"], monthly["high"], color=LOW, alpha=0.25)
for column, color in {"high": HIGH, "low": LOW}.items():
    warmth.plot(monthly.index, monthly[column], color=color, marker="o", markersize=5, linewidth=2)
    peak = monthly[column].idxmax()
    label = f"mean daily {column}, up to {monthly[column].max():.0f} °C"
    warmth.annotate(label, (peak, monthly.loc[peak, column]), (0, 9), textcoords="offset points", ha="center", color=color)
warmth.set_ylabel("temperature, °C")
warmth.set_ylim(0, 31)

bars = rain.bar(monthly.index, monthly["rain_mm"], color=RAIN, width=0.72)
rain.bar_label(bars, fmt="%.0f", padding=2, fontsize=9, color=RAIN)
rain.set_ylabel("precipitation, mm")
rain.set_ylim(0, 190)

for axes in (warmth, rain):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
fig.suptitle("A year in Seattle: dry warm summers, long wet winters", x=0.02, ha="left", fontsize=14, fontweight="bold")
rain.set_xlabel("means of 2012 to 2015", color="#777777")
fig.savefig("seattle-year.png", dpi=160)"""

_SHEET = """\
from openpyxl import Workbook
from openpyxl.chart import BarChart, LineChart, Reference
from openpyxl.formatting.rule import ColorScaleRule, DataBarRule
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side

book = Workbook()
sheet = book.active
sheet.title = "Seattle by month"
sheet["A1"] = "Seattle: a typical year"
sheet["A1"].font = Font(size=16, bold=True, color="1F4E78")
sheet["A2"] = "Means of 2012 to 2015. Wet days have at least 1 mm."
sheet["A2"].font = Font(italic=True, color="7F7F7F")

headings = ["Month", "Mean low, °C", "Mean high, °C", "Precipitation, mm", "Wet days"]
for column, heading in enumerate(headings, 1):
    cell = sheet.cell(row=4, column=column, value=heading)
    cell.font = Font(bold=True, color="FFFFFF")
    cell.fill = PatternFill("solid", fgColor="1F4E78")
    cell.alignment = Alignment(horizontal="center", vertical="center", wrap_text=True)
for row, values in enumerate(monthly.reset_index().itertuples(index=False), 5):
    for column, value in enumerate(values, 1):
        cell = sheet.cell(row=row, column=column, value=value if column == 1 else float(value))
        cell.number_format = "0.0"

last = 4 + len(monthly)
sheet.cell(row=last + 1, column=1, value="Year")
for letter, formula in {"B": "AVERAGE", "C": "AVERAGE", "D": "SUM", "E": "SUM"}.items():
    sheet[f"{letter}{last + 1}"] = f"={formula}({letter}5:{letter}{last})"
    sheet[f"{letter}{last + 1}"].number_format = "0.0"
for column in range(1, 6):
    total = sheet.cell(row=last + 1, column=column)
    total.font, total.border = Font(bold=True), Border(top=Side(style="thin"))

warm = ColorScaleRule(start_type="min", start_color="FFFFFF", end_type="max", end_color="FCA082")
sheet.conditional_formatting.add(f"B5:C{last}", warm)
sheet.conditional_formatting.add(f"D5:D{last}", DataBarRule("min", 0, "max", None, color="6BAED6"))
for letter, width in zip("ABCDE", (10, 14, 14, 18, 11)):
    sheet.column_dimensions[letter].width = width
sheet.row_dimensions[4].height = 30
sheet.freeze_panes = "B5"

months = Reference(sheet, min_col=1, min_row=5, max_row=last)
chart = BarChart()
chart.title, chart.y_axis.title, chart.gapWidth = "Precipitation and temperature", "mm", 60
chart.add_data(Reference(sheet, min_col=4, min_row=4, max_row=last), titles_from_data=True)
chart.set_categories(months)
line = LineChart()
line.add_data(Reference(sheet, min_col=2, max_col=3, min_row=4, max_row=last), titles_from_data=True)
line.y_axis.axId, line.y_axis.title, line.y_axis.crosses = 200, "°C", "max"
chart += line
chart.width, chart.height = 20, 10
sheet.add_chart(chart, "G4")
book.save("seattle-by-month.xlsx")"""

_CHECK = """\
from openpyxl import load_workbook

saved = load_workbook("seattle-by-month.xlsx").active
print(saved.title, saved.dimensions, f"{len(saved._charts)} chart")
for row in saved.iter_rows(min_row=4, max_row=6, values_only=True):
    print(row)"""

_SPELL = """\
dry = weather["precipitation"] == 0
spells = (
    weather[dry]
    .groupby((~dry).cumsum()[dry])["date"]
    .agg(first="min", last="max", days="size")
    .nlargest(3, "days")
    .reset_index(drop=True)
)
spells.to_json("dry-spells.json", orient="records", date_format="iso")
spells"""

_NODE_READ = """\
const fs = require("node:fs");
const days = fs.readFileSync("seattle-weather.csv", "utf8").trim().split("\\n").slice(1).map((line) => {
  const [date, mm] = line.split(",");
  return { date: date.replaceAll("/", "-"), mm: Number(mm) };
});
console.log(`${days.length} days, ${days.filter((day) => day.mm === 0).length} of them without rain`);"""

_NODE_SPELL = """\
let best = { days: 0 };
let first = null, length = 0;
for (const day of days) {
  if (day.mm === 0) {
    first = length === 0 ? day.date : first;
    length += 1;
    if (length > best.days) best = { first, last: day.date, days: length };
  } else {
    length = 0;
  }
}
const python = JSON.parse(fs.readFileSync("dry-spells.json", "utf8"))[0];
console.log(best);
console.log("the same as pandas found:", best.days === python.days && python.first.startsWith(best.first));"""

PROMPTS: Sequence[str] = (
    "The package vega_datasets comes with daily weather of Seattle. Copy it here and show me what a typical year looks like. "
    "One good chart, please.",
    "Now the monthly numbers as a spreadsheet that I can hand on to a colleague.",
    "What was the longest time without any rain? Check it a second way, in JavaScript.",
)

# One entry a reply of the model, in order.
REPLIES: Sequence[Sequence[Block]] = (
    (
        text(
            "(This is a scripted model: my words and code were written beforehand; what runs is real.)\n\n"
            "I copy the file into the workspace first, so that the notebook holds on to its own data, and look at it."
        ),
        tool_use("demo_copy", "python", code=_COPY),
    ),
    (
        text(
            "Four whole years. A quick count in the shell of what kinds of days there were, kept in a folder of its own."
        ),
        tool_use("demo_count", "bash", command=_COUNT),
        tool_use("demo_wettest", "bash", command=_WETTEST),
    ),
    (
        text("Half of the days were sunny. Now the means of each month."),
        tool_use("demo_wrong", "python", code=_WRONG),
    ),
    (
        text(
            "My mistake: I divide by a number of years that I never counted. I count it, and add the days with at least 1 mm."
        ),
        tool_use("demo_right", "python", code=_RIGHT),
    ),
    (
        text("That reads well. One chart with both: the range of temperatures above, precipitation below."),
        tool_use("demo_chart", "python", code=_CHART),
    ),
    (tool_use("demo_show_chart", "present_files", paths=["seattle-year.png"]),),
    (
        text(
            "A typical year in Seattle (2012-2015): **July is the driest month with 12 mm, November the wettest with 161 mm**, "
            "closely followed by December and March. The mean daily high reaches 26 °C in July and August; in January the mean "
            "low is 2.7 °C. December has 18 wet days, July two. The chart is in `seattle-year.png`."
        ),
    ),
    (
        text(
            "I write it with openpyxl from the table `monthly`, which is still there: formats, colours, sums as formulas, and a chart."
        ),
        tool_use("demo_sheet", "python", code=_SHEET),
        text("And I open it again, to see that it is what it should be."),
        tool_use("demo_check", "python", code=_CHECK),
    ),
    (tool_use("demo_show_sheet", "present_files", paths=["seattle-by-month.xlsx"]),),
    (
        text(
            "`seattle-by-month.xlsx` has one sheet: the twelve months with lows, highs, precipitation and wet days, the year as "
            "formulas below, and a chart beside it."
        ),
    ),
    (
        text("First in Python, with the data that are still loaded."),
        tool_use("demo_spell", "python", code=_SPELL),
        text("Then from the CSV alone, in JavaScript."),
        tool_use("demo_node_read", "node", code=_NODE_READ),
        tool_use("demo_node_spell", "node", code=_NODE_SPELL),
    ),
    (
        text(
            "**48 days: from 23 July to 8 September 2012 not a drop was measured.** Both ways agree. The next longest were 35 days in "
            "the summer of 2013 and 25 in that of 2015."
        ),
    ),
)
