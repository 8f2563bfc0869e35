"""Changes that the comparer was never tuned on: written after it was finished, and counted with the others."""

from .notebooks import Notebook, Plant

_LEDGER = [
    """
import json, sqlite3, zipfile, csv, pandas as pd, numpy as np
rows = [("2024-01-31", "rent", -850.0), ("2024-02-01", "wage", 2310.55), ("2024-02-03", "food", -61.2), ("2024-02-09", "food", -44.75)]
ledger = pd.DataFrame(rows, columns=["day", "what", "amount"]).astype({"day": "datetime64[ns]"})
ledger
""",
    """
ledger.groupby("what")["amount"].agg(["sum", "count", "max"]).style.format("{:.2f}").set_caption("By kind").highlight_max(color="gold")
""",
    """
print(f"balance {ledger['amount'].sum():>12,.2f} EUR")
print("-" * 24)
print("entries", len(ledger), sep="\\t")
""",
    """
ledger.to_csv("ledger.csv", index=False)
with zipfile.ZipFile("ledger.zip", "w") as z: z.writestr("a/one.json", json.dumps({"paid": True, "tags": ["x", "y"]})); z.writestr("b.txt", "two")
db = sqlite3.connect("ledger.sqlite"); db.execute("create table entry (id integer primary key, what text not null)"); db.executemany("insert into entry (what) values (?)", [(r[1],) for r in rows]); db.commit(); db.close()
""",  # noqa: E501
    """
import openpyxl
from openpyxl.styles import Font
from openpyxl.chart import PieChart, Reference
book = openpyxl.Workbook(); s = book.active; s.title = "Ledger"
for r in rows: s.append(r)
s["C6"] = "=SUM(C1:C4)"; s["C6"].number_format = "0.00"; s["A6"] = "total"; s["A6"].font = Font(italic=True)
s.merge_cells("A6:B6"); s.row_dimensions[1].height = 18
pie = PieChart(); pie.title = "Where it goes"; pie.add_data(Reference(s, min_col=3, min_row=1, max_row=4)); s.add_chart(pie, "E2")
book.save("ledger.xlsx")
""",
]
_DRAWN = [
    """
import matplotlib.pyplot as plt, numpy as np
x = np.linspace(0, 6, 60)
fig, ax = plt.subplots(figsize=(5, 3.2))
ax.plot(x, np.sin(x), lw=1.5, ls="-", label="sine"); ax.errorbar([1, 3, 5], [0.2, -0.4, 0.6], yerr=0.1, fmt="o", ms=4)
ax.axhline(0.5, color="0.8", zorder=0); ax.legend(loc="lower left", fontsize=8); ax.set_xlabel("time, s"); ax.set_yscale("linear")
plt.show()
""",
    """
from IPython.display import SVG, HTML, Markdown, Latex, display
display(SVG('<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40"><g id="m"><rect x="2" y="2" width="30" height="20" rx="3" fill="#268"/></g><text x="40" y="16">ok</text></svg>'))
display(HTML('<p class="note">See <a href="#t1">table 1</a> <b>now</b></p>')); display(Markdown("# Result\\n\\n* one\\n* two")); display(Latex(r"$x^2+1$"))
""",  # noqa: E501
    """
from reportlab.pdfgen import canvas
from reportlab.lib.pagesizes import A5
c = canvas.Canvas("bill.pdf", pagesize=A5); c.setFont("Times-Roman", 11); c.drawString(60, 500, "Bill no. 77"); c.setFillColorRGB(0.2, 0.4, 0.6)
c.circle(200, 300, 40, fill=1); c.showPage(); c.drawString(60, 500, "Terms: 14 days"); c.save()
""",  # noqa: E501
    """
np.save("grid.npy", np.arange(12, dtype="int32").reshape(3, 4)); from PIL import Image
Image.fromarray(np.full((20, 30, 3), 120, "uint8")).save("flat.png"); {"shape": (3, 4), "flags": {True, False}}
""",
    """
int("12" + "3"); raise LookupError("no such key: 17")
""",
]

NOTEBOOKS = [
    Notebook(
        "held-out-ledger",
        _LEDGER,
        [
            Plant("a cent", "-44.75", "-44.76"),
            Plant("a day", "2024-02-03", "2024-02-04"),
            Plant("order of two aggregates", '["sum", "count", "max"]', '["count", "sum", "max"]'),
            Plant("caption of a styled table", "By kind", "By Kind"),
            Plant("highlight colour", "gold", "orange"),
            Plant("maximum to minimum highlighted", "highlight_max", "highlight_min"),
            Plant("width of a printed number", ":>12,.2f", ":>11,.2f"),
            Plant("currency", " EUR", " USD"),
            Plant("tab to space", 'sep="\\t"', 'sep=" "'),
            Plant("index in a csv", "index=False", "index=True"),
            Plant("truth value in a zip's JSON", '"paid": True', '"paid": False'),
            Plant("order of a list in a zip", '["x", "y"]', '["y", "x"]'),
            Plant("a folder in a zip", "a/one.json", "c/one.json"),
            Plant("constraint of a column", "what text not null", "what text"),
            Plant("range of a formula", "C1:C4", "C1:C3"),
            Plant("format of a cell", '"0.00"', '"0.0"'),
            Plant("italic", "italic=True", "italic=False"),
            Plant("merged cells", "A6:B6", "A7:B7"),
            Plant("height of a row", "height = 18", "height = 24"),
            Plant("title of a pie", "Where it goes", "Where it went"),
            Plant("place of a chart", '"E2"', '"E4"'),
        ],
    ),
    Notebook(
        "held-out-drawn",
        _DRAWN,
        [
            Plant("line style", 'ls="-"', 'ls="--"'),
            Plant("line a little wider", "lw=1.5", "lw=1.7"),
            Plant("one error bar's point", "-0.4, 0.6", "-0.42, 0.6"),
            Plant("all error bars", "yerr=0.1", "yerr=0.11"),
            Plant("shade of a help line", '"0.8"', '"0.7"'),
            Plant("place of the legend", "lower left", "lower right"),
            Plant("unit of an axis", "time, s", "time, h"),
            Plant("scale of an axis", '"linear"', '"symlog"'),
            Plant("corner of an SVG box", 'rx="3"', 'rx="4"'),
            Plant("colour in an SVG", "#268", "#269"),
            Plant("text of an SVG", ">ok<", ">no<"),
            Plant("class in HTML", 'class="note"', 'class="warning"'),
            Plant("bold to italic in HTML", "<b>now</b>", "<i>now</i>"),
            Plant("order in Markdown", "* one\\n* two", "* two\\n* one"),
            Plant("exponent in LaTeX", "x^2", "x^3"),
            Plant("number in a PDF", "no. 77", "no. 78"),
            Plant("font of a PDF", "Times-Roman", "Times-Bold"),
            Plant("radius in a PDF", "300, 40,", "300, 41,"),
            Plant("second page of a PDF", "14 days", "30 days"),
            Plant("page size of a PDF", "import A5", "import A4 as A5"),
            Plant("type of an array", '"int32"', '"int64"'),
            Plant("flat picture by 5 levels", "3), 120", "3), 125"),
            Plant("message of an error", "key: 17", "key: 18"),
            Plant("type of an error", "LookupError", "IndexError"),
        ],
    ),
]
