"""What a model says and runs over btos_state.xlsx in three turns: a chart, a rolling average, curves."""

from __future__ import annotations

from kernel_gateway.scripted_model import text, tool_use

PROMPTS = (
    "recreate the AI adoption chart",
    "plot it as a six survey rolling average",
    "curved, not straight, lines between points",
)

READ = """\
import pandas as pd

sheets = pd.read_excel("btos_state.xlsx", sheet_name=["Response Estimates", "Collection and Reference Dates"])
raw = sheets["Response Estimates"]
ai = raw[(raw["Question ID"] == 7) & (raw["Answer"] == "Yes")].set_index("State")
print(ai["Question"].iloc[0])

dates = sheets["Collection and Reference Dates"].dropna(subset=["Col End"])
ends = pd.Series(pd.to_datetime(dates["Col End"]).values, index=dates["Smpdt"].astype(int).astype(str))
# "S" is suppressed: too few answers.
share = ai.filter(regex=r"^\\d{6}$").apply(lambda survey: pd.to_numeric(survey.str.rstrip("%"), errors="coerce")).T
share.index = share.index.map(ends)
share = share.sort_index()
share.shape, int(share.isna().sum().sum())"""

CHART = """\
import matplotlib.pyplot as plt

STATES = {"CA": "#2a6f97", "NY": "#7a4f8b", "TX": "#c8553d", "FL": "#2f7f6f"}

def chart(lines, title, draw=lambda axes, line, **style: axes.plot(line.index, line, **style)):
    fig, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    for name, colour in {**STATES, "all": "#22313f"}.items():
        line = (lines.mean(axis=1) if name == "all" else lines[name]).dropna()
        draw(axes, line, color=colour, linewidth=2.6 if name == "all" else 1.5)
        label = "mean of states" if name == "all" else name
        axes.annotate(label, (line.index[-1], line.iloc[-1]), (6, 0), textcoords="offset points", color=colour, va="center")
    axes.set_title(title, loc="left", weight="bold")
    axes.set_ylabel("% of businesses that used AI in the last two weeks")
    axes.set_ylim(0, None)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    plt.show()

chart(share, "Use of AI by businesses, by end of survey")"""

ROLL = """\
import time

rolling = share.rolling(6, min_periods=4).mean()
rounds = []
for n, (end, survey) in enumerate(rolling.iterrows(), 1):
    # One survey at a time: how many states have enough answers for a mean of six surveys?
    rounds.append((end, survey.notna().sum()))
    if n % 5 == 0:
        print(f"{n} of {len(rolling)} surveys", flush=True)
        with open("checked.log", "a") as log:
            log.write(f"{n}\\n")
        time.sleep(0.3)
print(f"{rounds[-1][1]} states have a mean at {rounds[-1][0]:%d %B %Y}")"""

ROLLED = 'chart(rolling, "Use of AI by businesses, mean of six surveys")'

CURVED = """\
from scipy.interpolate import PchipInterpolator

def curve(axes, line, **style):
    days = (line.index - line.index[0]).days.to_numpy()
    fine = pd.Series(range(days[-1] + 1))
    axes.plot(line.index[0] + pd.to_timedelta(fine, unit="D"), PchipInterpolator(days, line)(fine), **style)
    axes.plot(line.index, line, ".", color=style["color"], markersize=4)

chart(rolling, "Use of AI by businesses, mean of six surveys", curve)"""

LAST_WORDS = "Done: curves instead of straight lines, the points themselves as dots."

CHART_TURN = (
    (
        text("I read question 7, the share of businesses that used AI in the last two weeks."),
        tool_use("toolu_read", "python", code=READ),
    ),
    (text("46 surveys. Four large states and the mean of all:"), tool_use("toolu_chart", "python", code=CHART)),
    (text("The share has doubled since September 2023: from about 4 to 9 % in the mean of the states."),),
)
ROLL_TURN = (
    (
        text("The table `share` is still there; I take means of six surveys."),
        tool_use("toolu_roll", "python", code=ROLL),
        tool_use("toolu_rolled", "python", code=ROLLED),
    ),
    (text("The rolling average takes out most of the noise of single surveys."),),
)
CURVE_TURN = (
    (
        text("Monotone cubic curves through the same points: they do not overshoot."),
        tool_use("toolu_curved", "python", code=CURVED),
    ),
    (text(LAST_WORDS),),
)
REPLIES = (*CHART_TURN, *ROLL_TURN, *CURVE_TURN)
