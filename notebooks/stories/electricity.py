"""Iowa's electricity, 2001 to 2017, as a workbook that somebody can forward."""

from __future__ import annotations

from kernel_gateway.scripted_model import text, tool_use

from .story import Story

_READ = """\
from vega_datasets import data

power = data.iowa_electricity()
power["year"] = power["year"].dt.year
years = power.pivot(index="year", columns="source", values="net_generation")
years.columns.name = None
years.iloc[[0, 4, 8, 12, 16]]"""

_CHART = """\
import matplotlib.pyplot as plt

COLOURS = {"Fossil Fuels": "#6b705c", "Nuclear Energy": "#d4a373", "Renewables": "#3a8f6e"}
fig, axes = plt.subplots(figsize=(9.5, 5), layout="constrained")
axes.stackplot(years.index, years.T / 1000, colors=list(COLOURS.values()), edgecolor="white", linewidth=1.2)
below = 0
for source, colour in COLOURS.items():
    last = years[source].iloc[-1] / 1000
    axes.annotate(source, (2017, below + last / 2), (8, 0), textcoords="offset points", color=colour, weight="bold", va="center")
    below += last
axes.set_title("Iowa's electricity: the growth is renewable", loc="left", weight="bold", fontsize=14, pad=24)
axes.text(0, 1.03, "net generation, TWh a year", transform=axes.transAxes, color="#7f8c9a", fontsize=9.5)
axes.set_xlim(2001, 2017)
axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
axes.tick_params(length=0, colors="#7f8c9a")
axes.grid(axis="y", color="white", alpha=0.35, linewidth=0.8)
axes.set_axisbelow(False)
plt.show()"""

_BOOK = """\
from openpyxl import Workbook
from openpyxl.chart import AreaChart, LineChart, Reference
from openpyxl.formatting.rule import DataBarRule
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side

book = Workbook()
sheet, table = book.active, book.create_sheet("Data")
sheet.title = "Report"
HEAD = ["Year", *years.columns, "Total", "Renewables, %"]
first, last = 2, len(years) + 1

# The data: numbers as they are, sums and shares as formulas.
for column, name in enumerate(HEAD, 1):
    cell = table.cell(1, column, name)
    cell.font, cell.fill = Font(bold=True, color="FFFFFF"), PatternFill("solid", fgColor="2F5D50")
    cell.alignment = Alignment(horizontal="center", wrap_text=True)
for row, (year, values) in enumerate(years.iterrows(), 2):
    table.append([year, *map(int, values), f"=SUM(B{row}:D{row})", f"=D{row}/E{row}"])
    table.cell(row, 6).number_format = "0.0%"
    for column in range(2, 6):
        table.cell(row, column).number_format = "#,##0"
for letter, width in zip("ABCDEF", (8, 14, 16, 14, 12, 15)):
    table.column_dimensions[letter].width = width
table.freeze_panes = "B2"
table.conditional_formatting.add(f"F{first}:F{last}", DataBarRule("num", 0, "num", 0.6, color="8CC9AE"))

# The report: key figures that follow the data, and two charts.
sheet.sheet_view.showGridLines = False
sheet["A1"] = "Electricity in Iowa, 2001 to 2017"
sheet["A1"].font = Font(size=18, bold=True, color="2F5D50")
sheet["A2"] = "Net generation in GWh. Source: U.S. Energy Information Administration."
sheet["A2"].font = Font(italic=True, color="7F7F7F")
figures = [
    ("Total 2001, GWh", f"=Data!E{first}", "#,##0"),
    ("Total 2017, GWh", f"=Data!E{last}", "#,##0"),
    ("Growth", f"=Data!E{last}/Data!E{first}-1", "0%"),
    ("Renewables 2001", f"=Data!F{first}", "0.0%"),
    ("Renewables 2017", f"=Data!F{last}", "0.0%"),
    ("Fossil fuels, change", f"=Data!B{last}/Data!B{first}-1", "0%"),
]
for row, (name, formula, style) in enumerate(figures, 4):
    sheet.cell(row, 1, name).border = sheet.cell(row, 2, formula).border = Border(bottom=Side("thin", color="D0D7D3"))
    sheet.cell(row, 2).number_format, sheet.cell(row, 2).font = style, Font(bold=True)
sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 24, 12

area, line = AreaChart(grouping="stacked"), LineChart()
area.title, area.height, area.width, area.overlap = "Net generation, GWh", 8.5, 17, 100
area.add_data(Reference(table, min_col=2, max_col=4, min_row=1, max_row=last), titles_from_data=True)
for series, colour in zip(area.series, ("6B705C", "D4A373", "3A8F6E")):
    series.graphicalProperties.solidFill = colour
line.title, line.height, line.width, line.legend = "Share of renewables", 6.5, 17, None
line.add_data(Reference(table, min_col=6, min_row=1, max_row=last), titles_from_data=True)
line.series[0].graphicalProperties.line.solidFill, line.y_axis.number_format = "3A8F6E", "0%"
for drawn, place in ((area, "D4"), (line, "D22")):
    drawn.set_categories(Reference(table, min_col=1, min_row=first, max_row=last))
    drawn.x_axis.delete = drawn.y_axis.delete = False
    sheet.add_chart(drawn, place)
book.save("iowa-electricity.xlsx")"""

_CHECK = """\
from openpyxl import load_workbook

again = load_workbook("iowa-electricity.xlsx")
print(again.sheetnames, again["Data"].dimensions, f"{len(again['Report']._charts)} charts")
# The formulas against the same figures from pandas.
total = years.sum(axis=1)
print(again["Report"]["B6"].value, "=", f"{total[2017] / total[2001] - 1:.0%}")
print(again["Report"]["B8"].value, "=", f"{years['Renewables'][2017] / total[2017]:.1%}")"""

STORY = Story(
    "excel-report",
    (
        (
            "How did Iowa's electricity change since 2001? The data are in vega_datasets.",
            (
                (
                    text("Seventeen years by source; every fourth one here:"),
                    tool_use("toolu_read", "python", code=_READ),
                ),
                (text("As a picture:"), tool_use("toolu_chart", "python", code=_CHART)),
                (
                    text(
                        "**Renewables, in Iowa nearly all of it wind, grew from 1,437 GWh in 2001 to 21,933 GWh in 2017.** "
                        "Fossil fuels peaked in 2010 and have fallen since."
                    ),
                ),
            ),
        ),
        (
            "Make that an Excel report I can forward: a page with key figures and charts, and the data behind it. Real formulas, please.",
            (
                (
                    text(
                        "Two sheets: the data with sums and shares, and a report whose figures and charts all refer to them."
                    ),
                    tool_use("toolu_book", "python", code=_BOOK),
                ),
                (
                    text("I read it back and compare two of its formulas with the table."),
                    tool_use("toolu_check", "python", code=_CHECK),
                ),
                (tool_use("toolu_show", "present_files", paths=["iowa-electricity.xlsx"]),),
                (
                    text(
                        "`iowa-electricity.xlsx` is ready: **Report** with six key figures and two charts of Excel's own, **Data** with the "
                        "seventeen years. Change a number in Data and the report follows."
                    ),
                ),
            ),
        ),
    ),
)
