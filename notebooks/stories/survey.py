"""A survey of businesses, every two weeks, by state: a noisy chart, rolling means, and who moved most."""

from __future__ import annotations

from kernel_gateway.scripted_model import text, tool_use

from .story import Story

_READ = """\
import pandas as pd

share = pd.read_csv("ai-use-by-state.csv", parse_dates=["end"], index_col="end")
print(f"{len(share)} surveys of {share.shape[1]} states, {share.index[0]:%d %B %Y} to {share.index[-1]:%d %B %Y}")
print(f"{share.isna().sum().sum()} of {share.size:,} values are suppressed: too few businesses answered")
share.iloc[[0, -1], :8]"""

_CHART = """\
import matplotlib.pyplot as plt

INK, SOFT, PALE = "#22313f", "#7f8c9a", "#c9d3da"
SHOWN = {"CA": "#2a6f97", "TX": "#c8553d", "NY": "#7a4f8b", "FL": "#2f7f6f"}

def chart(lines, title, note):
    fig, axes = plt.subplots(figsize=(9.5, 5.4), layout="constrained")
    for state in lines.columns:
        axes.plot(lines.index, lines[state], color=PALE, linewidth=0.7, alpha=0.75, zorder=1)
    ends = {}
    for state, colour in SHOWN.items():
        line = lines[state].dropna()
        axes.plot(line.index, line, color=colour, linewidth=2.2, zorder=3)
        ends[state] = (line.iloc[-1], colour)
    # Names at the ends of the lines, moved apart where they would touch.
    low = -9.0
    for state, (y, colour) in sorted(ends.items(), key=lambda e: e[1]):
        low = max(y, low + 0.045 * axes.get_ylim()[1])
        axes.annotate(state, (lines.index[-1], low), (7, 0), textcoords="offset points", color=colour, weight="bold", va="center")
    axes.set_title(title, loc="left", weight="bold", fontsize=14, color=INK, pad=26)
    axes.text(0, 1.03, note, transform=axes.transAxes, color=SOFT, fontsize=9.5)
    axes.set_ylim(0, None)
    axes.yaxis.set_major_locator(plt.MultipleLocator(5))
    axes.yaxis.set_major_formatter("{x:.0f} %")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, colors=SOFT)
    axes.grid(axis="y", color="#e6eaed", linewidth=0.8)
    plt.show()

chart(share, "Businesses that use AI", "% that used it in the last two weeks, each survey; grey: the other states")"""

_ROLL = """\
rolling = share.rolling(6, min_periods=4).mean()
chart(rolling, "Businesses that use AI: rolling mean of six surveys", "% that used it in the last two weeks; grey: the other states")"""

_MOVED = """\
year = pd.DataFrame({
    "first": share.iloc[:6].mean(),
    "last": share.iloc[-6:].mean(),
    "surveys": share.notna().sum(),
})
year = year[year["surveys"] >= 30].assign(gain=lambda t: t["last"] - t["first"]).sort_values("gain", ascending=False)
year.head(8).style.format("{:.1f}", subset=["first", "last", "gain"]).bar(subset=["gain"], color="#a9cfd6", vmin=0)"""

_DOTS = """\
shown = year.sort_values("last")
fig, axes = plt.subplots(figsize=(9.5, 8.6), layout="constrained")
axes.hlines(shown.index, shown["first"], shown["last"], color=PALE, linewidth=2.4, zorder=1)
axes.scatter(shown["first"], shown.index, color="white", edgecolor=SOFT, linewidth=1.4, s=26, zorder=2)
axes.scatter(shown["last"], shown.index, color="#2a6f97", s=34, zorder=3)
axes.set_title("Every state with enough answers uses more AI than at the start", loc="left", weight="bold", fontsize=14, color=INK, pad=26)
axes.text(0, 1.012, "○ mean of the first six surveys   ● mean of the last six", transform=axes.transAxes, color=SOFT, fontsize=9.5)
axes.xaxis.set_major_formatter("{x:.0f} %")
axes.set_xlim(0, None)
axes.margins(y=0.015)
axes.spines[["top", "right", "left"]].set_visible(False)
axes.tick_params(length=0, colors=SOFT, labelsize=8.5)
axes.grid(axis="x", color="#e6eaed", linewidth=0.8)
fig.savefig("ai-use-by-state.png", dpi=130)
plt.show()"""

STORY = Story(
    "survey-rolling-means",
    (
        (
            "How many businesses use AI? Chart it by state, with California, Texas, New York and Florida in colour.",
            (
                (text("A look at the file first."), tool_use("toolu_read", "python", code=_READ)),
                (
                    text("A row a survey, a column a state. The four states in front of all others:"),
                    tool_use("toolu_chart", "python", code=_CHART),
                ),
                (text("It rises, but a single survey of a single state is noisy."),),
            ),
        ),
        (
            "Too jumpy. Plot it as a six-survey rolling mean.",
            (
                (
                    text("The table and the function are still there. A mean needs at least four of its six surveys."),
                    tool_use("toolu_roll", "python", code=_ROLL),
                ),
                (text("The noise is gone: all four have risen, Florida most, and the order of the states shows."),),
            ),
        ),
        (
            "Which states moved most from start to end? A table, and a picture of all of them.",
            (
                (
                    text(
                        "I compare the mean of the first six surveys with that of the last six, for states with at least 30 surveys."
                    ),
                    tool_use("toolu_moved", "python", code=_MOVED),
                ),
                (text("And all of them in one picture:"), tool_use("toolu_dots", "python", code=_DOTS)),
                (tool_use("toolu_show", "present_files", paths=["ai-use-by-state.png"]),),
                (
                    text(
                        "The table has the eight that gained most; the picture, sorted by today's share, has every state with enough "
                        "answers. It is in `ai-use-by-state.png`."
                    ),
                ),
            ),
        ),
    ),
    ("ai-use-by-state.csv",),
)
