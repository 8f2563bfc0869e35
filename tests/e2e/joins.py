"""What a model says and runs when it is asked to explore chinook.sqlite and to draw how its tables join."""

from __future__ import annotations

from kernel_gateway.scripted_model import text, tool_use

PROMPT = "explore this SQLite database and generate a PDF with a join diagram of all the tables"
TABLES = "Album Artist Customer Employee Genre Invoice InvoiceLine MediaType Playlist PlaylistTrack Track".split()

LOOK = """\
import sqlite3

db = sqlite3.connect("file:chinook.sqlite?mode=ro", uri=True)
tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
for table in tables:
    (rows,) = db.execute(f'SELECT count(*) FROM "{table}"').fetchone()
    print(f"{table:15}{rows:>7,} rows")"""

KEYS = """\
import pandas as pd

columns = {table: db.execute(f'PRAGMA table_info("{table}")').fetchall() for table in tables}
joins = pd.DataFrame(
    [
        (table, column, other, key or next(c[1] for c in columns[other] if c[5]))
        for table in tables
        for _, _, other, column, key, *_ in db.execute(f'PRAGMA foreign_key_list("{table}")')
    ],
    columns=["table", "column", "references", "key"],
).sort_values(["table", "column"], ignore_index=True)
joins"""

ORPHANS = """\
for table, column, other, key in joins.itertuples(index=False):
    sql = f'''SELECT count(*) FROM "{table}" a LEFT JOIN "{other}" b ON a."{column}" = b."{key}"
              WHERE a."{column}" IS NOT NULL AND b."{key}" IS NULL'''
    print(f"{table}.{column:13} -> {other}.{key}: {db.execute(sql).fetchone()[0]} rows without a partner")"""

DRAW = """\
import matplotlib.pyplot as plt
import networkx as nx
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

WIDTH, ROW, GAP, STEP = 3.4, 0.36, 0.95, 5.2
INK, LINE = "#22313f", "#7f8c9a"

# Columns of the drawing: a table stands right of everything it refers to, and as near to what refers to it as it can.
graph = nx.DiGraph((other, table) for table, _, other, _ in joins.itertuples(index=False) if table != other)
level = {t: n for n, generation in enumerate(nx.topological_generations(graph)) for t in generation}
for table in reversed(list(nx.topological_sort(graph))):
    level[table] = min((level[t] for t in graph.successors(table)), default=level[table] + 1) - 1

height = {t: ROW * (len(columns[t]) + 1.25) for t in tables}
offset = {(t, c[1]): height[t] / 2 - ROW * (n + 1.75) for t in tables for n, c in enumerate(columns[t])}
ends = [((t, c), (o, k)) for t, c, o, k in joins.itertuples(index=False) if t != o]
middle = {t: float(-n) for n, t in enumerate(sorted(tables))}
for sweep in range(24):
    order = range(max(level.values()) + 1) if sweep % 2 else range(max(level.values()), -1, -1)
    for n in order:
        beside = [t for t in tables if level[t] == n]
        near = {t: [middle[b[0]] + offset[b] - offset[a] for e in ends for a, b in (e, e[::-1]) if a[0] == t] for t in beside}
        wanted = {t: sum(near[t]) / len(near[t]) for t in beside}
        beside.sort(key=lambda t: (-wanted[t], t))
        tops, top = [], float("inf")
        for t in beside:
            top = min(wanted[t] + height[t] / 2, top)
            tops.append(top)
            top -= height[t] + GAP
        shift = sum(wanted[t] - (y - height[t] / 2) for t, y in zip(beside, tops)) / len(beside)
        for t, y in zip(beside, tops):
            middle[t] = y - height[t] / 2 + shift

left = {t: level[t] * STEP for t in tables}
top = {t: middle[t] + height[t] / 2 for t in tables}
row = {(t, column): middle[t] + offset[t, column] for t, column in offset}
hues = dict(zip(sorted(set(level.values())), ["#2a6f97", "#2f7f6f", "#8a5a44", "#7a4f8b"]))
foreign = {(t, c) for t, c, _, _ in joins.itertuples(index=False)}

plt.rcParams.update({"pdf.fonttype": 42, "font.family": "DejaVu Sans"})
low, high = min(top[t] - height[t] for t in tables), max(top.values())
fig = plt.figure(figsize=(16.5, 11.7))
ax = fig.add_axes((0, 0, 1, 1), aspect="equal")
ax.axis("off")

for table, column, other, key in joins.itertuples(index=False):
    y0, y1 = row[other, key], row[table, column]
    if table == other:
        x = left[table]
        points = [(x, y1), (x - 1.1, y1), (x - 1.1, y0), (x, y0)]
        start, end, way = (x, y0), (x, y1), -1
    else:
        x0, x1 = left[other] + WIDTH, left[table]
        points = [(x1, y1), (x1 - 1.1, y1), (x0 + 1.1, y0), (x0, y0)]
        start, end, way = (x0, y0), (x1, y1), 1
    curve = Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    ax.add_patch(PathPatch(curve, fill=False, color=hues[level[other]], linewidth=1.6, alpha=0.85, zorder=1))
    for dy in (-0.11, 0, 0.11):
        ax.plot([end[0] - 0.22, end[0]], [end[1], end[1] + dy], color=hues[level[other]], linewidth=1.4, zorder=2)
    bar = start[0] + 0.16 * way
    ax.plot([bar, bar], [start[1] - 0.12, start[1] + 0.12], color=hues[level[other]], linewidth=1.6, zorder=2)

for table in tables:
    x, y, colour = left[table], top[table], hues[level[table]]
    whole, head = ("white", LINE, y - height[table], height[table]), (colour, colour, y - ROW * 1.25, ROW * 1.25)
    for face, edge, bottom, tall in (whole, head):
        style = "round,pad=0,rounding_size=0.12"
        ax.add_patch(FancyBboxPatch((x, bottom), WIDTH, tall, style, facecolor=face, edgecolor=edge, linewidth=1, zorder=3))
    (count,) = db.execute(f'SELECT count(*) FROM "{table}"').fetchone()
    middle_of_head = y - ROW * 0.64
    ax.text(x + 0.14, middle_of_head, table, color="white", fontsize=11, weight="bold", va="center", zorder=4)
    ax.text(x + WIDTH - 0.14, middle_of_head, f"{count:,}", color="white", fontsize=8.5, va="center", ha="right", zorder=4)
    for _, name, kind, _, _, primary in columns[table]:
        mark = " ".join(m for m, is_so in (("PK", primary), ("FK", (table, name) in foreign)) if is_so)
        weight = "bold" if primary else "normal"
        ax.text(x + 0.72, row[table, name], name, fontsize=8.5, va="center", color=INK, weight=weight, zorder=4)
        ax.text(x + 0.12, row[table, name], mark, fontsize=6.5, va="center", color=colour, weight="bold", zorder=4)
        ax.text(x + WIDTH - 0.12, row[table, name], kind.lower(), fontsize=6, va="center", ha="right", color=LINE, zorder=4)

right = max(left.values()) + WIDTH
ax.set_xlim(-1.5, right + 0.7)
ax.set_ylim(low - 0.9, high + 1.9)
ax.text(-0.8, high + 1.15, "Chinook: how the tables join", fontsize=22, weight="bold", color=INK)
ax.text(-0.8, high + 0.65, f"{len(tables)} tables, {len(joins)} foreign keys; each line runs from a key (|) to the rows "
        "that refer to it (crow's foot). Number of rows in each head.", fontsize=10.5, color=LINE)
fig.savefig("join_diagram.pdf", metadata={"Title": "Chinook: how the tables join", "CreationDate": None})
plt.show()"""

REPLIES = (
    (
        text("I look at the tables first."),
        tool_use("toolu_look", "python", code=LOOK),
        text("Eleven tables. Which columns refer to which?"),
        tool_use("toolu_keys", "python", code=KEYS),
    ),
    (
        text("Eleven foreign keys, one of them within `Employee`. Before I draw them: do the data keep to them?"),
        tool_use("toolu_orphans", "python", code=ORPHANS),
    ),
    (
        text(
            "Every reference finds its partner. Now the diagram: each table with its columns, right of what it refers to."
        ),
        tool_use("toolu_draw", "python", code=DRAW),
    ),
    (
        text("All lines are readable and no box covers another. I check that the PDF is what it should be."),
        tool_use("toolu_check", "bash", command="head -c 5 join_diagram.pdf; echo; ls join_diagram.pdf"),
        tool_use("toolu_show", "present_files", paths=["join_diagram.pdf"]),
    ),
    (
        text(
            "`join_diagram.pdf` shows all **11 tables** and the **11 foreign keys** between them. Sales run from `Employee` over "
            "`Customer` and `Invoice` to `InvoiceLine`, the catalogue from `Artist` over `Album` to `Track`; they meet in `InvoiceLine`."
        ),
    ),
)
