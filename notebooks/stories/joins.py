"""A music shop's database: how its tables join, and what a join of five of them tells."""

from __future__ import annotations

from kernel_gateway.scripted_model import text, tool_use
from tests.e2e import joins

from .story import Story

_SALES = """\
sales = pd.read_sql('''
    SELECT Invoice.BillingCountry AS country, Genre.Name AS genre, sum(InvoiceLine.UnitPrice * InvoiceLine.Quantity) AS dollars
    FROM InvoiceLine
    JOIN Invoice ON Invoice.InvoiceId = InvoiceLine.InvoiceId
    JOIN Track ON Track.TrackId = InvoiceLine.TrackId
    JOIN Genre ON Genre.GenreId = Track.GenreId
    GROUP BY country, genre
''', db).pivot(index="country", columns="genre", values="dollars").fillna(0)

top = sales.loc[sales.sum(axis=1).nlargest(10).index, sales.sum().nlargest(8).index]
shares = 100 * top.div(sales.sum(axis=1)[top.index], axis=0)
top.round(2)"""

_HEAT = """\
fig, ax = plt.subplots(figsize=(9.5, 5.6), layout="constrained")
mesh = ax.imshow(shares, cmap="YlGnBu", vmin=0, aspect="auto")
for y, country in enumerate(shares.index):
    for x, genre in enumerate(shares.columns):
        value = shares.loc[country, genre]
        ax.text(x, y, f"{value:.0f}", ha="center", va="center", fontsize=9.5, color="white" if value > 22 else INK)
ax.set_xticks(range(len(shares.columns)), shares.columns, rotation=25, ha="left")
ax.set_yticks(range(len(shares.index)), [f"{c}  (${sales.loc[c].sum():,.0f})" for c in shares.index])
ax.xaxis.tick_top()
ax.tick_params(length=0)
ax.spines[:].set_visible(False)
ax.set_xticks([n - 0.5 for n in range(1, len(shares.columns))], minor=True)
ax.set_yticks([n - 0.5 for n in range(1, len(shares.index))], minor=True)
ax.grid(which="minor", color="white", linewidth=2)
ax.tick_params(which="minor", length=0)
fig.suptitle("What each country buys: % of its sales by genre", x=0.01, ha="left", weight="bold", fontsize=14)
plt.show()"""

STORY = Story(
    "join-diagram",
    (
        (
            "Explore this SQLite database and generate a PDF with a join diagram of all the tables.",
            joins.REPLIES,
        ),
        (
            "Use those joins: which genres does each of the ten largest markets buy?",
            (
                (
                    text(
                        "From `InvoiceLine` to `Invoice` for the country, and over `Track` to `Genre`: four tables, three joins."
                    ),
                    tool_use("toolu_sales", "python", code=_SALES),
                ),
                (
                    text(
                        "Markets differ tenfold in size, so I compare the shares, with the sales of each in brackets."
                    ),
                    tool_use("toolu_heat", "python", code=_HEAT),
                ),
                (
                    text(
                        "**Rock is first in every one of the ten markets**, followed in six by Latin. "
                        "The rows are sorted by sales: the United States alone buy more than Canada and France together."
                    ),
                ),
            ),
        ),
    ),
    ("chinook.sqlite",),
)
