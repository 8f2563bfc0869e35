"""Details that a reader sees late: rules and notes of documents, attributes of pages, spaces, types."""

from .notebooks import Notebook, Plant

_WORKBOOK = [
    """
import openpyxl, io
from openpyxl.comments import Comment
from openpyxl.drawing.image import Image
from openpyxl.formatting.rule import CellIsRule
from openpyxl.styles import PatternFill, Alignment
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.workbook.defined_name import DefinedName
from PIL import Image as Picture
book = openpyxl.Workbook(); sheet = book.active
sheet.append(["a", "b"]); sheet.append([1, 2.5])
red = PatternFill("solid", bgColor="FF0000")
sheet.conditional_formatting.add("A1:A9", CellIsRule(operator="greaterThan", formula=["10"], fill=red))
rule = DataValidation(type="list", formula1='"yes,no"'); sheet.add_data_validation(rule); rule.add("C1")
sheet["A2"].comment = Comment("measured twice", "ann")
sheet["B2"].hyperlink = "https://example.org/one"
sheet["B1"].alignment = Alignment(horizontal="left")
sheet.column_dimensions["B"].width = 20; sheet.freeze_panes = "A2"
book.create_sheet("raw").sheet_state = "visible"
book.defined_names["rate"] = DefinedName("rate", attr_text="Sheet!$B$2")
b = io.BytesIO(); Picture.new("RGB", (40, 20), (10, 200, 30)).save(b, "PNG"); sheet.add_image(Image(b), "E5")
sheet.print_title_rows = "1:1"
book.save("book.xlsx")
""",
]
_OFFICE = [
    """
import docx, io, pptx
from docx.shared import Pt, Cm
from PIL import Image
b = io.BytesIO(); Image.new("RGB", (30, 30), (10, 20, 30)).save(b, "PNG"); b.seek(0)
d = docx.Document(); d.add_picture(b); d.sections[0].left_margin = Cm(2); d.sections[0].header.paragraphs[0].text = "internal"
d.styles["Normal"].font.size = Pt(11); d.core_properties.title = "Plan"; d.add_paragraph("one", style="List Bullet"); d.save("details.docx")
""",
    """
from pptx.util import Inches
p = pptx.Presentation(); s = p.slides.add_slide(p.slide_layouts[6]); box = s.shapes.add_textbox(Inches(1), Inches(1), Inches(4), Inches(1))
box.text_frame.text = "hello"; s.notes_slide.notes_text_frame.text = "say it slowly"; p.save("details.pptx")
""",
    """
from reportlab.pdfgen import canvas
from reportlab.lib.utils import ImageReader
c = canvas.Canvas("details.pdf"); c.setTitle("Offer"); c.setFont("Helvetica", 12); c.drawString(72, 700, "Offer 12")
c.linkURL("https://example.org/a", (72, 690, 150, 712)); c.bookmarkPage("top"); c.addOutlineEntry("Start", "top")
c.drawImage(ImageReader(Image.new("RGB", (8, 8), (200, 10, 10))), 72, 500, 80, 80); c.setDash(3, 2); c.line(72, 400, 300, 400)
c.save()
""",
    """
import sqlite3, zipfile, numpy as np
db = sqlite3.connect("d.db"); db.execute("create table t (k text, v blob)"); db.execute("insert into t values ('a', x'00ff')")
db.execute("create view w as select k from t"); db.commit(); db.close()
np.savez_compressed("z.npz", a=np.array([1.5, 2.5], dtype="float64"), b=np.array(["x", "y"]))
open("empty.txt", "w").write(""); None
""",
]
_PAGES = [
    """
from IPython.display import HTML, display, SVG, Image
HTML('<table class="wide"><tr><td><a href="https://example.org/1">link</a></td>'
     '<td><table><tr><td>inner 1</td></tr></table></td></tr></table>'
     '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==" alt="dot"><input value="7" checked>'
     '<script>var limit = 30;</script><style>p { margin: 4px }</style><p>first</p><p>second</p><ul><li>one</li></ul><pre>a  b</pre>')
""",
    """
SVG('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><style>.a { fill: red }</style><rect class="a" width="9" height="9"/>'
    '<g transform="rotate(10)"><use href="#r"/><rect id="r" width="3" height="3" opacity="0.5"/></g></svg>')
""",
    """
import numpy as np, io
from PIL import Image as P
pixels = np.full((20, 30, 4), 255, dtype="uint8"); pixels[5, 5] = (1, 2, 3, 200)
b = io.BytesIO(); P.fromarray(pixels).save(b, "PNG"); display(Image(data=b.getvalue(), width=300))
""",
    """
print("tabs\\tand  spaces"); print(); print("end", end=""); print("naïve café")
""",
    """
from IPython.display import JSON
JSON({"a": None, "list": [1, 2, 3], "text": "x"})
""",
    """
display({"text/plain": "plain", "text/latex": "$x$"}, raw=True)
[0.1 + 0.2, -0.0, 1e16, 5e-324, float("inf")], "2024-01-05T10:00:00", (1,), {"k": [True, None]}
""",
]

NOTEBOOKS = [
    Notebook(
        "details of a workbook",
        _WORKBOOK,
        [
            Plant("bound of a rule", '["10"]', '["11"]'),
            Plant("colour of a rule", "FF0000", "FF0100"),
            Plant("choices of a cell", "yes,no", "yes,nay"),
            Plant("comment", "measured twice", "measured once"),
            Plant("link", "example.org/one", "example.org/two"),
            Plant("alignment", 'horizontal="left"', 'horizontal="right"'),
            Plant("width of a column", "width = 20", "width = 21"),
            Plant("frozen rows", 'freeze_panes = "A2"', 'freeze_panes = "A3"'),
            Plant("hidden sheet", '"visible"', '"hidden"'),
            Plant("defined name", "$B$2", "$B$1"),
            Plant("picture in a sheet", "(10, 200, 30)", "(10, 220, 30)"),
            Plant("place of a picture", '"E5"', '"E6"'),
            Plant("rows printed on each page", '"1:1"', '"1:2"'),
            Plant("whole number instead of a fraction", "[1, 2.5]", "[1.5, 2.5]"),
        ],
    ),
    Notebook(
        "details of documents",
        _OFFICE,
        [
            Plant("picture in a document", "(10, 20, 30)", "(90, 20, 30)"),
            Plant("margin", "Cm(2)", "Cm(2.1)"),
            Plant("header", '"internal"', '"external"'),
            Plant("size of a style", "Pt(11)", "Pt(12)"),
            Plant("title in the properties", '"Plan"', '"Plans"'),
            Plant("style of a paragraph", "List Bullet", "List Number"),
            Plant("place of a box", "add_textbox(Inches(1)", "add_textbox(Inches(2)"),
            Plant("notes of a slide", "slowly", "loudly"),
            Plant("title of a PDF", '"Offer")', '"Offers")'),
            Plant("size of a font", '"Helvetica", 12', '"Helvetica", 13'),
            Plant("another font", '"Helvetica", 12', '"Times-Roman", 12'),
            Plant("link of a PDF", "example.org/a", "example.org/b"),
            Plant("outline of a PDF", '"Start"', '"Begin"'),
            Plant("picture of a PDF", "(200, 10, 10)", "(200, 10, 60)"),
            Plant("dashes of a line", "setDash(3, 2)", "setDash(3, 1)"),
            Plant("binary value of a database", "x'00ff'", "x'00fe'"),
            Plant("view of a database", "select k from", "select v from"),
            Plant("type of an array", 'dtype="float64"', 'dtype="float32"'),
            Plant("text in an array", '["x", "y"]', '["x", "z"]'),
            Plant("file no longer empty", 'write("")', 'write("\\n")'),
        ],
    ),
    Notebook(
        "details of pages and texts",
        _PAGES,
        [
            Plant("address of a link", "example.org/1", "example.org/2"),
            Plant("table in a table", "inner 1", "inner 2"),
            Plant("class of a table", 'class="wide"', 'class="narrow"'),
            Plant("picture in a page", "CTAEAOw", "CRAEAOw"),
            Plant("value of a field", 'value="7"', 'value="8"'),
            Plant("checked or not", " checked>", ">"),
            Plant("number in a script", "limit = 30", "limit = 31"),
            Plant("number in a style sheet", "margin: 4px", "margin: 5px"),
            Plant("order of paragraphs", "<p>first</p><p>second</p>", "<p>second</p><p>first</p>"),
            Plant("kind of a list", "<ul><li>one</li></ul>", "<ol><li>one</li></ol>"),
            Plant("spaces in preformatted text", "<pre>a  b", "<pre>a b"),
            Plant("view of an SVG", "0 0 40 20", "0 0 40 21"),
            Plant("style sheet of an SVG", "fill: red", "fill: tan"),
            Plant("rotation", "rotate(10)", "rotate(11)"),
            Plant("opacity", 'opacity="0.5"', 'opacity="0.6"'),
            Plant("transparency of one pixel", "(1, 2, 3, 200)", "(1, 2, 3, 210)"),
            Plant("size that a picture is shown at", "width=300", "width=310"),
            Plant("tab", "tabs\\tand", "tabs and"),
            Plant("two spaces", "and  spaces", "and spaces"),
            Plant("empty line", "print(); ", ""),
            Plant("accent", "café", "cafe"),
            Plant("line break at the end", ', end="")', ")"),
            Plant("null", '"a": None', '"a": 0'),
            Plant("key missing", '"a": None, ', ""),
            Plant("order in a list", "[1, 2, 3]", "[1, 3, 2]"),
            Plant("form missing", ', "text/latex": "$x$"', ""),
            Plant("sign of zero", "-0.0", "0.0"),
            Plant("smallest number", "5e-324", "1e-323"),
            Plant("digit of a date", "2024-01-05", "2024-01-06"),
            Plant("list instead of a tuple", "(1,)", "[1]"),
            Plant("truth", "[True, None]", "[False, None]"),
        ],
    ),
]
