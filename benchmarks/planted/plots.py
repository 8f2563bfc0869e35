"""Pictures: lines, bars, heat maps, seaborn, SVG, plotly and vega."""

from .notebooks import Notebook, Plant

_LINES = [
    """
import numpy as np, matplotlib.pyplot as plt
x = np.linspace(0, 6, 40)
y = np.sin(x)
""",
    """
y2 = y.copy()
y2[12] += 0.0
plt.plot(x, y2, "o-", color="#1f77b4", label="sine", markersize=4)
plt.plot(x, np.cos(x), label="cosine")
plt.title("Two waves"); plt.xlabel("time / s"); plt.grid(True)
plt.legend()
plt.show()
""",
    """
fig, axes = plt.subplots(1, 2, figsize=(7, 3))
axes[0].hist(np.random.default_rng(3).normal(size=400), bins=20)
axes[1].scatter(x, y, s=12, c=y, cmap="viridis")
fig.tight_layout()
plt.show()
""",
    """
fig, axis = plt.subplots()
axis.set_yscale("linear")
axis.errorbar(x, np.exp(x / 3), yerr=0.2, fmt=".")
axis.axhline(2.0, linewidth=1.0, linestyle="--")
axis.annotate("half", (3, 3))
fig
""",
]
_BARS = [
    """
import matplotlib.pyplot as plt
names, values = ["ant", "bee", "cat", "dog"], [3, 7, 5, 6]
fig, axis = plt.subplots(figsize=(5, 3), dpi=80)
bars = axis.bar(names, values, color="tab:green")
axis.bar_label(bars, fmt="%.1f", fontsize=9)
axis.set_ylim(0, 8)
plt.show()
""",
    """
import numpy as np
grid = np.add.outer(np.arange(12), np.arange(12)) % 7 * 1.0
grid[4, 5] += 0.0
plt.imshow(grid, cmap="magma"); plt.colorbar()
plt.show()
""",
    """
plt.pie([4, 3, 2], labels=["a", "b", "c"], startangle=90)
plt.show()
""",
    """
ax = plt.figure(figsize=(4, 4)).add_subplot(projection="3d")
t = np.linspace(0, 12, 120)
ax.plot(np.cos(t), np.sin(t), t, linewidth=1.5)
plt.show()
""",
    """
from IPython.display import Image, display
from PIL import Image as P
import io
picture = P.new("RGB", (160, 90), "white")
for i in range(160):
    picture.putpixel((i, 45), (200, 30, 30))
b = io.BytesIO(); picture.save(b, "JPEG", quality=90)
display(Image(data=b.getvalue(), format="jpeg"))
""",
]
_SEABORN = [
    """
import seaborn as sns, pandas as pd, matplotlib.pyplot as plt
from vega_datasets import data
iris = data.iris()
iris.loc[7, "petalLength"] += 0.0
""",
    """
sns.scatterplot(data=iris, x="petalLength", y="petalWidth", hue="species")
plt.show()
""",
    """
sns.boxplot(data=iris, x="species", y="sepalLength", width=0.6)
plt.show()
""",
    """
sns.heatmap(iris.drop(columns="species").corr(), annot=True, fmt=".2f", cmap="vlag")
plt.show()
""",
    """
sns.lmplot(data=iris, x="sepalLength", y="sepalWidth", height=3, seed=1)
plt.show()
""",
]
_SVG = [
    """
import io, numpy as np, matplotlib.pyplot as plt
from IPython.display import SVG, display
def show(figure):
    out = io.StringIO(); figure.savefig(out, format="svg"); plt.close(figure)
    display(SVG(out.getvalue()))
""",
    """
fig, axis = plt.subplots(figsize=(4, 3))
axis.plot([1, 2, 3, 4], [1, 4, 2, 3], clip_on=True, label="run")
axis.fill_between([1, 2, 3, 4], [0, 1, 1, 0], alpha=0.3)
axis.set_title("Growth in summer"); axis.legend(loc="upper left")
show(fig)
""",
    """
fig, axis = plt.subplots(figsize=(4, 3))
axis.scatter([1, 2, 3], [3, 1, 2], marker="s", color="#aa3366")
show(fig)
""",
    """
SVG('<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><circle id="sun" cx="30" cy="30" r="12" fill="gold"/>'
    '<path d="M 5 50 L 30 20 L 85 50"/><text x="4" y="12">hill</text></svg>')
""",
]
_FIGURES = [
    """
import uuid
from IPython.display import display
def plotly(traces, layout):
    display({"application/vnd.plotly.v1+json": {"data": traces, "layout": layout, "config": {"plotlyServerURL": ""}},
             "text/html": f'<div id="{uuid.uuid4()}" class="plotly-graph-div" style="height:100%"></div>'}, raw=True)
""",
    """
plotly([{"type": "scatter", "uid": str(uuid.uuid4()), "x": [1, 2, 3, 4], "y": [2.5, 3.25, 1.125, 4.0], "mode": "lines"}],
       {"title": {"text": "Sales by month"}, "template": {"layout": {"colorway": ["#636efa", "#ef553b"]}}})
""",
    """
import numpy as np, base64
heights = np.linspace(0, 1, 500) ** 2
heights[100] += 0.0
plotly([{"type": "bar", "y": {"dtype": "f8", "bdata": base64.b64encode(heights.tobytes()).decode()}}], {"bargap": 0.1})
""",
    """
display({"application/vnd.vegalite.v5+json": {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "mark": "bar",
  "data": {"values": [{"a": "A", "b": 28}, {"a": "B", "b": 55}, {"a": "C", "b": 43}]},
  "encoding": {"x": {"field": "a", "type": "nominal"}, "y": {"field": "b", "type": "quantitative"}}},
  "text/plain": "<VegaLite 5 object>"}, raw=True)
""",
    """
from IPython.display import JSON
JSON({"answer": 42, "names": ["ada", "bob"], "deep": {"rate": 0.125, "flag": True}})
""",
]

NOTEBOOKS = [
    Notebook(
        "matplotlib lines",
        _LINES,
        [
            Plant("one data point moved by 0.3", "y2[12] += 0.0", "y2[12] += 0.3"),
            Plant("one data point moved by 0.02", "y2[12] += 0.0", "y2[12] += 0.02"),
            Plant("colour of a line", "#1f77b4", "#2f67b4"),
            Plant("colour of a line by two levels", "#1f77b4", "#1f79b4"),
            Plant("one letter of the title", "Two waves", "Two waver"),
            Plant("legend missing", "plt.legend()\n", "\n"),
            Plant("grid off", "plt.grid(True)", "plt.grid(False)"),
            Plant("label of an axis", "time / s", "time / h"),
            Plant(
                "font size",
                "import numpy as np, matplotlib.pyplot as plt\n",
                "import numpy as np, matplotlib.pyplot as plt\nplt.rcParams['font.size'] = 10.3\n",
            ),
            Plant(
                "defaults of another version of the library",
                "import numpy as np, matplotlib.pyplot as plt\n",
                "import numpy as np, matplotlib.pyplot as plt\nplt.style.use('classic')\n",
            ),
            Plant("another seed", "default_rng(3)", "default_rng(4)"),
            Plant("another number of bins", "bins=20", "bins=21"),
            Plant("size of the figure", "figsize=(7, 3)", "figsize=(7.1, 3)"),
            Plant("width of a line", "linewidth=1.0", "linewidth=1.2"),
            Plant("logarithmic axis", '"linear"', '"log"'),
            Plant("annotation moved", "(3, 3)", "(3, 3.1)"),
            Plant("picture missing", 'annotate("half", (3, 3))\nfig', 'annotate("half", (3, 3))\nplt.close()'),
        ],
    ),
    Notebook(
        "bars, maps and 3D",
        _BARS,
        [
            Plant("one bar", "[3, 7, 5, 6]", "[3, 7, 5.1, 6]"),
            Plant("two bars swapped", "[3, 7, 5, 6]", "[7, 3, 5, 6]"),
            Plant("one label", '"cat"', '"rat"'),
            Plant("one cell of a heat map by 4 %", "grid[4, 5] += 0.0", "grid[4, 5] += 0.25"),
            Plant("colour map", '"magma"', '"inferno"'),
            Plant("one slice", "[4, 3, 2]", "[4, 3, 2.1]"),
            Plant("one row of pixels", "(i, 45)", "(i, 46)"),
            Plant("resolution", "dpi=80", "dpi=81"),
            Plant("width of a line in 3D", "linewidth=1.5", "linewidth=1.7"),
        ],
    ),
    Notebook(
        "seaborn",
        _SEABORN,
        [
            Plant("one of 150 points", '"petalLength"] += 0.0', '"petalLength"] += 0.4'),
            Plant("width of the boxes", "width=0.6", "width=0.65"),
            Plant("digits in a heat map", '".2f"', '".3f"'),
            Plant("another seed of the band", "seed=1", "seed=2"),
        ],
    ),
    Notebook(
        "SVG",
        _SVG,
        [
            Plant("one point of a curve", "[1, 4, 2, 3]", "[1, 4, 2.01, 3]"),
            Plant("one letter of the title", "in summer", "in summar"),
            Plant("two letters swapped", "Growth in", "Growht in"),
            Plant("transparency", "alpha=0.3", "alpha=0.35"),
            Plant("colour of markers", "#aa3366", "#aa3367"),
            Plant("form of markers", 'marker="s"', 'marker="o"'),
            Plant("point of a path", "L 30 20", "L 30 21"),
            Plant("colour of a shape", "gold", "goldenrod"),
            Plant("radius", 'r="12"', 'r="12.5"'),
        ],
    ),
    Notebook(
        "plotly, vega and JSON",
        _FIGURES,
        [
            Plant("one value of a trace", "3.25", "3.26"),
            Plant("one of 500 packed values", "heights[100] += 0.0", "heights[100] += 0.001"),
            Plant("title", "Sales by month", "Sales by week"),
            Plant("colour of the template", "#ef553b", "#ef553c"),
            Plant("value of a vega bar", '"b": 55', '"b": 56'),
            Plant("mark of a vega figure", '"mark": "bar"', '"mark": "line"'),
            Plant("one JSON value", '"answer": 42', '"answer": 43'),
            Plant("type of a JSON value", '"flag": True', '"flag": 1'),
            Plant("one JSON digit", "0.125", "0.126"),
        ],
    ),
]
