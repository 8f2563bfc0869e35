"""Another version of a library, by the switches that the libraries have for the behaviour of their older and newer versions."""

from .notebooks import Notebook, Plant

_VERSIONS = [
    """
import warnings
import numpy as np, pandas as pd, matplotlib.pyplot as plt
LIBRARY = "2.4.1"
def scale(values, ddof=0): return (values - values.mean()) / values.std(ddof=ddof)
print("model library", LIBRARY)
""",
    """
np.set_printoptions(legacy=False)
[np.float64(0.1), np.array([1.0, 2.5, 1e-7])]
""",
    """
pd.set_option("future.infer_string", False)
pd.Series(["a", "b", "c"], name="key")
""",
    """
values = np.array([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
print([float(round(v, 4)) for v in scale(values)])
""",
    """
plt.rcParams["image.cmap"] = "viridis"; plt.rcParams["axes.xmargin"] = 0.05; plt.rcParams["boxplot.medianprops.color"] = "C1"
fig, (a, b, c) = plt.subplots(1, 3, figsize=(8, 2.6)); a.imshow(values.reshape(2, 4)); b.plot(values); c.boxplot(values); plt.show()
""",
    """
def old_name(values): return values.sum()
print(old_name(values))
""",
    """
rng = np.random.Generator(np.random.PCG64(7))
rng.integers(0, 100, 6)
""",
    """
pd.cut(pd.Series(-values), 3, precision=3).value_counts(sort=True)
""",
]

NOTEBOOKS = [
    Notebook(
        "versions",
        _VERSIONS,
        [
            Plant("another library version, printed", '"2.4.1"', '"2.5.0"'),
            Plant("another library version: numpy writes scalars otherwise", "legacy=False", 'legacy="1.25"'),
            Plant("another library version: pandas infers strings", 'infer_string", False', 'infer_string", True'),
            Plant("another library version: a default of a function", "ddof=0)", "ddof=1)"),
            Plant("another library version: default colour map", '"viridis"', '"jet"'),
            Plant("another library version: default margins", 'xmargin"] = 0.05', 'xmargin"] = 0.0'),
            Plant("another library version: colour of the median", '"C1"', '"r"'),
            Plant(
                "another library version: a deprecation warning",
                "def old_name(values): return",
                "def old_name(values): warnings.warn('use new_name', FutureWarning, stacklevel=2); return",
            ),
            Plant("another library version: a name is gone", "def old_name(values)", "def new_name(values)"),
            Plant("another library version: another random generator", "np.random.PCG64(7)", "np.random.MT19937(7)"),
            Plant("another library version: labels rounded otherwise", "precision=3)", "precision=2)"),
            Plant("another library version: order of counts", "value_counts(sort=True)", "value_counts(sort=False)"),
        ],
    )
]
