"""Florence Nightingale's rose diagram, drawn again from her numbers."""

from __future__ import annotations

from kernel_gateway.scripted_model import text, tool_use

from .story import Story

_READ = """\
from vega_datasets import data

deaths = data.crimea().set_index("date")
print(f"{len(deaths)} months, {deaths.to_numpy().sum():,} deaths")
print((deaths.sum() / deaths.to_numpy().sum()).map("{:.0%}".format).to_string())
deaths.head()"""

_ROSE = """\
import numpy as np
import matplotlib.pyplot as plt

COLOURS = {"disease": "#8fb8c9", "other": "#5a5a5a", "wounds": "#d98880"}
halves = [(deaths.iloc[12:], "April 1855 to March 1856"), (deaths.iloc[:12], "April 1854 to March 1855")]
fig, both = plt.subplots(1, 2, figsize=(11.5, 6.4), subplot_kw={"projection": "polar"}, layout="constrained", width_ratios=[1, 1.75])
for axes, (year, title) in zip(both, halves):
    # She began at nine o'clock and went clockwise; areas, not radii, are the numbers.
    angles = np.pi - np.arange(len(year)) * 2 * np.pi / 12
    for angle, (_, month) in zip(angles, year.iterrows()):
        # Each wedge starts in the middle; the smaller ones lie on top.
        for cause, number in month.sort_values(ascending=False).items():
            axes.bar(angle, np.sqrt(number), 2 * np.pi / 12, color=COLOURS[cause], edgecolor="white", linewidth=0.9)
    edge = np.sqrt(year.max(axis=1))
    for angle, r, month in zip(angles, edge, year.index):
        turn = np.degrees(angle) % 360
        axes.text(angle, r + 4.2, f"{month:%b}", ha="center", va="center", rotation=turn - 90 if turn <= 180 else turn + 90, fontsize=9, color="#444")
    axes.text(0.5, -0.02, title, transform=axes.transAxes, ha="center", fontsize=11, color="#444")
    axes.set_ylim(0, edge.max() + 6)
    axes.axis("off")
handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
fig.legend(handles, COLOURS, loc="lower left", frameon=False, title="deaths from", alignment="left")
fig.suptitle("Causes of mortality in the army in the East", fontsize=17, weight="bold", x=0.02, ha="left")
fig.savefig("rose.png", dpi=130)
plt.show()"""

STORY = Story(
    "nightingale-rose",
    (
        (
            "vega_datasets has Florence Nightingale's numbers from the Crimean War. Draw her rose diagram again, with areas as the numbers.",
            (
                (text("Two years by month and cause:"), tool_use("toolu_read", "python", code=_READ)),
                (
                    text(
                        "Most soldiers died of disease, not of wounds: that was her point. The rose, each wedge from the middle:"
                    ),
                    tool_use("toolu_rose", "python", code=_ROSE),
                ),
                (tool_use("toolu_show", "present_files", paths=["rose.png"]),),
                (
                    text(
                        "The small rose on the left is the second year: after the sanitary commission came in March 1855, deaths from "
                        "disease fell month by month. As in her print of 1858 the right one comes first in time."
                    ),
                ),
            ),
        ),
    ),
)
