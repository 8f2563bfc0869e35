"""What is new in each run, with changes beside it: two re-runs tell them apart."""

from .notebooks import Notebook, Plant

_CHANCE = [
    """
import random, time, os, uuid, numpy as np, matplotlib.pyplot as plt, pandas as pd
print("samples: 500")
print("started", time.time_ns(), "pid", os.getpid())
print("mode fast")
""",
    """
noise = np.random.default_rng().normal(size=30)
print(f"mean {noise.mean():.6f} of {len(noise)} values")
plt.figure(figsize=(4, 3)); plt.plot(noise); plt.title("Noise"); plt.show()
""",
    """
pd.DataFrame({"name": ["x", "y", "z"], "random": np.random.default_rng().random(3), "fixed": [1, 2, 3]})
""",
    """
from IPython.display import JSON
JSON({"id": str(uuid.uuid4()), "rows": 17})
""",
    """
import csv
with open("log.csv", "w") as f:
    csv.writer(f).writerows([["time", "value"], [time.time_ns(), 5], [time.time_ns(), 6]])
""",
]

NOTEBOOKS = [
    Notebook(
        "chance",
        _CHANCE,
        [
            Plant("number beside what is new", "samples: 500", "samples: 501"),
            Plant("word beside what is new", "mode fast", "mode slow"),
            Plant("count in a line with chance", "size=30", "size=31"),
            Plant("column beside a random one", "[1, 2, 3]", "[1, 2, 4]"),
            Plant("label beside a random number", '"z"]', '"w"]'),
            Plant("JSON beside a random id", '"rows": 17', '"rows": 18'),
            Plant("size of a random picture", "figsize=(4, 3)", "figsize=(5, 3)"),
            Plant("title of a random picture", '"Noise"', '"Noises"'),
            Plant("csv cell beside a time", "time.time_ns(), 6]", "time.time_ns(), 7]"),
        ],
        is_chance=True,
    )
]
