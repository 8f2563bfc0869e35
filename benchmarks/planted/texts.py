"""Streams, values, warnings, errors, progress, shells."""

from .notebooks import Notebook, Plant

_TEXTS = [
    """
import sys, warnings, tempfile, os
print("rows read: 1284")
print("mean 0.123456789012345")
""",
    """
print("note: 3 rows dropped", file=sys.stderr)
warnings.warn("column b has 2 gaps")
""",
    """
class Thing: pass
things = [Thing(), Thing()]
print(things[0], os.path.basename(tempfile.gettempdir()), tempfile.mkdtemp(dir="/tmp"))
things, (lambda: 0), print
""",
    """
for i in range(4):
    print(f"line {i}: {i ** 3}")
{"b": 2, "a": [1, 2.5, "x"], "s": {3}}
""",
    """
print("\\x1b[32mgreen\\x1b[0m and \\x1b[1mbold\\x1b[0m")
"hex", hex(3735928559), 1e-17, 2**70
""",
    """
from IPython.display import Markdown, Latex, display
display(Markdown("**Result**: 17 of 20"))
display(Latex(r"$\\frac{a}{b} = 3$"))
""",
    """
%time sum(range(200000))
""",
    """
%timeit -n 20 -r 3 sum(range(100))
""",
    """
import time
for n in range(0, 11):
    rate = n / (time.perf_counter() % 7 + 0.01)
    sys.stderr.write(f"\\r{n * 10:3d}%|{'#' * n}{' ' * (10 - n)}| {n}/10 [00:00<00:00, {rate:.2f}it/s]"); sys.stderr.flush()
""",
]
_ERRORS = [
    """
def load(path):
    with open(path) as f:
        return f.read()
load("prices-2024.csv")
""",
    """
values = [1, 2, 3]
values[7]
""",
    """
import pandas as pd
pd.DataFrame({"a": [1]})["b"]
""",
    """
int("12x")
""",
    """
print("after the errors", len(values))
1 / 0
""",
    """
raise ValueError(f"object {object()} has 3 gaps")
""",
    """
raise SystemExit(3)
""",
]
_SHELL = [
    """%%bash
echo "files: 3"; seq 3 | tr '\\n' ' '; echo
""",
    """%%bash
time true
echo "warning: low disk" >&2
""",
    """!echo shell says 7
""",
    """
import json, datetime, decimal, fractions
decimal.Decimal("1.10"), fractions.Fraction(3, 7), datetime.date(2024, 2, 29), b"bytes", None, float("nan")
""",
    """
import numpy as np
np.arange(12).reshape(3, 4) * 1.5
""",
    """
import networkx as nx
g = nx.karate_club_graph()
print(g, sorted(nx.degree_centrality(g).items(), key=lambda p: -p[1])[:3])
nx.shortest_path(g, 0, 33)
""",
]

NOTEBOOKS = [
    Notebook(
        "streams and values",
        _TEXTS,
        [
            Plant("one digit printed", "rows read: 1284", "rows read: 1285"),
            Plant("last digit of a long number", "0.123456789012345", "0.123456789012346"),
            Plant("line on stderr", "3 rows dropped", "4 rows dropped"),
            Plant(
                "one warning more",
                'warnings.warn("column b has 2 gaps")',
                'warnings.warn("column b has 2 gaps"); warnings.warn("column c has 1 gap")',
            ),
            Plant("warning missing", '\nwarnings.warn("column b has 2 gaps")', ""),
            Plant("one object less", "[Thing(), Thing()]", "[Thing()]"),
            Plant("one line more", "range(4)", "range(5)"),
            Plant("order of printed lines", "range(4):", "reversed(range(4)):"),
            Plant("value in a dictionary", '"a": [1, 2.5', '"a": [1, 2.0'),
            Plant("digit of a hexadecimal number", "3735928559", "3735928558"),
            Plant("a very small number", "1e-17", "2e-17"),
            Plant("a very large number", "2**70", "2**70 + 1"),
            Plant("words in colour", "\\x1b[32mgreen", "\\x1b[32mgreens"),
            Plant("number in markdown", "17 of 20", "18 of 20"),
            Plant("formula", "= 3$", "= 4$"),
            Plant("result of a timed line", "sum(range(200000))", "sum(range(200001))"),
            Plant("progress that stops early", "range(0, 11)", "range(0, 10)"),
        ],
    ),
    Notebook(
        "errors",
        _ERRORS,
        [
            Plant("file in a message", "prices-2024.csv", "prices-2023.csv"),
            Plant("type of an error", "values[7]", "values['7']"),
            Plant("error is gone", "values[7]", "values[2]"),
            Plant("key in a message", '["b"]', '["c"]'),
            Plant("literal in a message", '"12x"', '"13x"'),
            Plant(
                "error where there was none",
                'print("after the errors", len(values))',
                'print("after the errors", len(value))',
            ),
            Plant("number in a message", "has 3 gaps", "has 4 gaps"),
            Plant("status of an exit", "SystemExit(3)", "SystemExit(4)"),
        ],
    ),
    Notebook(
        "shells and types",
        _SHELL,
        [
            Plant("line of bash", "files: 3", "files: 4"),
            Plant("stderr of bash", "low disk", "no disk"),
            Plant("sequence of bash", "seq 3", "seq 4"),
            Plant("line of a shell escape", "says 7", "says 8"),
            Plant("zero at the end of a decimal", '"1.10"', '"1.1"'),
            Plant("a fraction", "Fraction(3, 7)", "Fraction(3, 8)"),
            Plant("a date", "(2024, 2, 29)", "(2024, 2, 28)"),
            Plant("shape of an array", "reshape(3, 4)", "reshape(4, 3)"),
            Plant("type of an array", "* 1.5", "* 1.5 + 0j"),
            Plant("one edge of a graph", "karate_club_graph()", "karate_club_graph(); g.remove_edge(0, 1)"),
        ],
    ),
]
