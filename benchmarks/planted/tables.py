"""Tables: pandas, Styler, statsmodels, plain HTML."""

from .notebooks import Notebook, Plant

_PANDAS = [
    """
import pandas as pd, numpy as np
frame = pd.DataFrame({"item": ["pen", "book", "lamp", "desk"], "price": [9.99, 12.5, 30.0, 149.0], "count": [3, 1, 2, 1]})
frame
""",
    """
frame.assign(total=frame.price * frame["count"]).sort_values("total")
""",
    """
print(frame.dtypes)
frame.describe()
""",
    """
wide = pd.DataFrame(np.random.default_rng(1).normal(size=(60, 8)).round(4), columns=list("abcdefgh"))
wide.iloc[37, 3] = 0.1234
pd.set_option("display.max_rows", 100)
wide
""",
    """
frame.groupby("count").agg({"price": ["min", "max", "mean"]})
""",
    """
wide.a.head(), wide.mean()
""",
    """
pd.crosstab(frame.item, frame["count"], margins=True)
""",
]
_STYLER = [
    """
import pandas as pd
scores = pd.DataFrame({"math": [1.5, 2.25, 3.0], "art": [3.5, 1.0, 2.0]}, index=["ann", "bob", "cyd"])
scores.style.background_gradient(cmap="Blues").format("{:.2f}")
""",
    """
scores.style.highlight_max(color="lightgreen").set_caption("Best marks")
""",
    """
scores.style.bar(subset=["math"], color="#5fba7d")
""",
    """
from IPython.display import HTML
HTML('<h3 style="color: navy">Result</h3><p>The mean is <b>2.25</b> of <a href="#more" id="more">three</a>.</p>'
     '<table><tr><td rowspan="2">x</td><td>1</td></tr><tr><td>2</td></tr></table>')
""",
]
_STATISTICS = [
    """
import numpy as np, pandas as pd, statsmodels.api as sm
rng = np.random.default_rng(5)
x = np.linspace(0, 10, 80)
y = 2.0 * x + 1 + rng.normal(size=80)
fit = sm.OLS(y, sm.add_constant(x)).fit()
fit.params
""",
    """
print(f"r2 = {fit.rsquared:.6f}")
fit.conf_int()
""",
    """
from scipy import stats, optimize
print(stats.ttest_ind(x[:40], y[:40]))
print(optimize.minimize(lambda v: (v[0] - 3) ** 2 + (v[1] + 1) ** 4, [0, 0]).x)
""",
    """
from sklearn.linear_model import Ridge
model = Ridge(alpha=1.0).fit(x[:, None], y)
model
""",
    """
model.coef_, model.intercept_, np.linalg.eigvalsh(np.cov(x, y))
""",
    """
table = fit.summary2().tables[1]
table
""",
]

NOTEBOOKS = [
    Notebook(
        "pandas",
        _PANDAS,
        [
            Plant("one digit", "9.99", "9.89"),
            Plant("two rows swapped", '"pen", "book"', '"book", "pen"'),
            Plant("column renamed", '"desk"], "price"', '"desk"], "cost"'),
            Plant(
                "columns in another order",
                '"price": [9.99, 12.5, 30.0, 149.0], "count": [3, 1, 2, 1]',
                '"count": [3, 1, 2, 1], "price": [9.99, 12.5, 30.0, 149.0]',
            ),
            Plant("type of a column", "[3, 1, 2, 1]", "[3, 1, 2, 1.0]"),
            Plant("sorted the other way", 'sort_values("total")', 'sort_values("total", ascending=False)'),
            Plant("last digit of one of 480 numbers", "0.1234", "0.1235"),
            Plant("one statistic missing", '["min", "max", "mean"]', '["min", "max"]'),
            Plant("margins missing", ", margins=True", ""),
            Plant("last expression missing", "wide.a.head(), wide.mean()", "wide.a.head();"),
            Plant("one row more", "size=(60, 8)", "size=(61, 8)"),
        ],
    ),
    Notebook(
        "Styler and HTML",
        _STYLER,
        [
            Plant("one value and its shade", "[1.5, 2.25, 3.0]", "[1.5, 2.35, 3.0]"),
            Plant("colours of the gradient", '"Blues"', '"Greens"'),
            Plant("format", "{:.2f}", "{:.1f}"),
            Plant("colour of the highlight", "lightgreen", "lightblue"),
            Plant("caption", "Best marks", "Best mark"),
            Plant("colour of the bars", "#5fba7d", "#5fba7e"),
            Plant("style of a heading", "color: navy", "color: teal"),
            Plant("number in a sentence", "<b>2.25</b>", "<b>2.52</b>"),
            Plant("cell that spans rows", 'rowspan="2"', 'rowspan="1"'),
            Plant("label of a row", '"cyd"]', '"syd"]'),
        ],
    ),
    Notebook(
        "statistics",
        _STATISTICS,
        [
            Plant("one coefficient", "2.0 * x", "2.001 * x"),
            Plant("another seed", "default_rng(5)", "default_rng(6)"),
            Plant("regularisation", "alpha=1.0", "alpha=1.1"),
            Plant("one value of 80", "stats.ttest_ind(x[:40]", "stats.ttest_ind(x[:41]"),
            Plant("start of the optimiser", "[0, 0]).x", "[0, 1]).x"),
            Plant("number of digits", ".6f", ".5f"),
        ],
    ),
]
