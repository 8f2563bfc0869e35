"""Files that cells make: workbooks, documents, PDF, databases, archives, data."""

from .notebooks import Notebook, Plant

_OFFICE = [
    """
import openpyxl, datetime
from openpyxl.styles import Font, PatternFill
from openpyxl.chart import BarChart, Reference
book = openpyxl.Workbook(); sheet = book.active; sheet.title = "Sales"
for row in [["month", "units"], ["Jan", 120], ["Feb", 135], ["Mar", 98]]:
    sheet.append(row)
sheet["B5"] = "=SUM(B2:B4)"
sheet["A1"].font = Font(bold=True); sheet["B3"].fill = PatternFill("solid", fgColor="FFFF00")
sheet["B2"].number_format = "0.00"
chart = BarChart(); chart.title = "Units"; chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=4), titles_from_data=True)
sheet.add_chart(chart, "D2")
book.create_sheet("Notes")["A1"] = "checked"
book.save("report.xlsx")
""",
    """
import pandas as pd
with pd.ExcelWriter("frames.xlsx", engine="openpyxl") as writer:
    pd.DataFrame({"a": [1, 2], "b": [0.5, 0.25]}).to_excel(writer, sheet_name="one", index=False)
""",
    """
import docx
document = docx.Document(); document.add_heading("Report", 1)
document.add_paragraph("Sales rose by 12 percent.").runs[0].bold = True
t = document.add_table(rows=1, cols=2); t.rows[0].cells[0].text = "Jan"; t.rows[0].cells[1].text = "120"
document.save("report.docx")
""",
    """
import pptx
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches
deck = pptx.Presentation(); slide = deck.slides.add_slide(deck.slide_layouts[5]); slide.shapes.title.text = "Quarter"
d = CategoryChartData(); d.categories = ["Q1", "Q2"]; d.add_series("units", (19, 22))
slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(2), Inches(6), Inches(4), d)
deck.save("deck.pptx")
""",
]
_PDF = [
    """
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas
from reportlab.platypus import SimpleDocTemplate, Paragraph, Table
from reportlab.lib.styles import getSampleStyleSheet
c = canvas.Canvas("drawing.pdf", pagesize=A4)
c.drawString(72, 720, "Invoice 1047"); c.setFillColorRGB(0.2, 0.4, 0.6); c.rect(72, 600, 120, 60, fill=1)
c.bezier(72, 400, 150, 500, 250, 300, 330, 400)
c.showPage(); c.drawString(72, 720, "second page"); c.save()
""",
    """
style = getSampleStyleSheet()["Normal"]
SimpleDocTemplate("table.pdf").build([Paragraph("Totals of March", style), Table([["pen", "3"], ["book", "12"]])])
""",
    """
import matplotlib.pyplot as plt, numpy as np
x = np.linspace(0, 5, 50); y = np.exp(-x); y[20] += 0.0
fig, axis = plt.subplots(); axis.plot(x, y, "o-"); axis.set_title("Decay"); fig.savefig("decay.pdf"); plt.close()
""",
    """
fig, axis = plt.subplots(); axis.imshow(np.arange(30).reshape(5, 6)); fig.savefig("map.pdf"); plt.close()
""",
]
_DATA = [
    """
import csv, json, sqlite3, pickle, zipfile, gzip, numpy as np, pandas as pd
with open("prices.csv", "w", newline="") as f:
    csv.writer(f).writerows([["item", "price"], ["pen", "1.20"], ["book", "12.50"], ["lamp", "30.00"]])
""",
    """
json.dump({"rows": 3, "rate": 0.25, "tags": ["a", "b"]}, open("summary.json", "w"), indent=1)
open("notes.md", "w").write("# Notes\\n\\n- three rows\\n- none missing\\n"); None
""",
    """
db = sqlite3.connect("shop.db"); db.execute("create table sale (day text, units integer, price real)")
db.executemany("insert into sale values (?, ?, ?)", [("mon", 3, 1.5), ("tue", 5, 2.0), ("wed", 4, 2.5)])
db.execute("create index by_day on sale (day)"); db.commit(); db.close()
""",
    """
pickle.dump({"weights": [1, 2, 3]}, open("model.pkl", "wb")); np.save("array.npy", np.linspace(0, 1, 11))
np.savez("many.npz", a=np.arange(5))
""",
    """
with zipfile.ZipFile("all.zip", "w") as z:
    z.write("prices.csv"); z.writestr("readme.txt", "three files")
with gzip.open("prices.csv.gz", "wt") as f:
    f.write("a,b\\n1,2\\n")
""",
    """
import matplotlib.pyplot as plt
fig, axis = plt.subplots(); axis.plot([1, 3, 2]); fig.savefig("plot.png"); fig.savefig("plot.svg"); plt.close()
pd.DataFrame({"a": [1.5, 2]}).to_html("table.html")
""",
]

NOTEBOOKS = [
    Notebook(
        "office files",
        _OFFICE,
        [
            Plant("value of a cell", '["Feb", 135]', '["Feb", 136]'),
            Plant("formula", "=SUM(B2:B4)", "=SUM(B2:B3)"),
            Plant("name of a sheet", 'title = "Sales"', 'title = "Sale"'),
            Plant("colour of a cell", "FFFF00", "FFEE00"),
            Plant("bold", "Font(bold=True)", "Font(bold=False)"),
            Plant("number format", '"0.00"', '"0.0"'),
            Plant("title of a chart", 'chart.title = "Units"', 'chart.title = "Unit"'),
            Plant("range of a chart", "max_row=4)", "max_row=3)"),
            Plant("sheet missing", 'book.create_sheet("Notes")["A1"] = "checked"\n', ""),
            Plant("value in a frame's workbook", "[0.5, 0.25]", "[0.5, 0.26]"),
            Plant("number in a document", "12 percent", "13 percent"),
            Plant("bold in a document", "runs[0].bold = True", "runs[0].bold = False"),
            Plant("cell of a document's table", '"120"\n', '"121"\n'),
            Plant("value of a slide's chart", "(19, 22)", "(19, 23)"),
            Plant("title of a slide", '"Quarter"', '"Quarters"'),
            Plant("file missing", 'document.save("report.docx")', "document"),
        ],
    ),
    Notebook(
        "PDF",
        _PDF,
        [
            Plant("number in a text", "Invoice 1047", "Invoice 1048"),
            Plant("point of a curve", "150, 500", "150, 501"),
            Plant("colour of a shape", "(0.2, 0.4, 0.6)", "(0.2, 0.4, 0.7)"),
            Plant("page missing", 'c.showPage(); c.drawString(72, 720, "second page"); ', ""),
            Plant("cell of a table", '"12"', '"13"'),
            Plant("one point of a plotted curve", "y[20] += 0.0", "y[20] += 0.05"),
            Plant("title of a plot", '"Decay"', '"Delay"'),
            Plant("picture in a PDF", "reshape(5, 6)", "reshape(5, 6) % 29"),
        ],
    ),
    Notebook(
        "data files",
        _DATA,
        [
            Plant("value of a csv file", '"12.50"', '"12.51"'),
            Plant(
                "rows of a csv file swapped", '["pen", "1.20"], ["book", "12.50"]', '["book", "12.50"], ["pen", "1.20"]'
            ),
            Plant("JSON value", '"rate": 0.25', '"rate": 0.26'),
            Plant("word of a text file", "none missing", "one missing"),
            Plant("row of a database", '("tue", 5, 2.0)', '("tue", 6, 2.0)'),
            Plant("row missing from a database", ', ("wed", 4, 2.5)', ""),
            Plant("index of a database", "by_day on sale (day)", "by_day on sale (units)"),
            Plant("type of a column", "units integer", "units text"),
            Plant("pickled value", "[1, 2, 3]", "[1, 2, 4]"),
            Plant("array", "np.linspace(0, 1, 11)", "np.linspace(0, 1.1, 11)"),
            Plant("array in an archive", "np.arange(5)", "np.arange(6)"),
            Plant("text in an archive", "three files", "four files"),
            Plant("member missing", 'z.write("prices.csv"); ', ""),
            Plant("compressed table", "1,2\\n", "1,3\\n"),
            Plant("picture and SVG", "[1, 3, 2]", "[1, 3, 2.02]"),
            Plant("table in an HTML file", "[1.5, 2]", "[1.5, 3]"),
        ],
    ),
]
