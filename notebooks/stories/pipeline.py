"""Airports from a CSV through the shell and Node to a map: one session, three languages."""

from __future__ import annotations

from kernel_gateway.scripted_model import text, tool_use

from .story import Story

_TAKE = """\
CSV=$(python3 -c "from vega_datasets import data; print(data.airports.filepath)")
cp "$CSV" airports.csv && wc -l < airports.csv
head -n 3 airports.csv
# Some names hold commas, in quotes: the state is found from the end of the line.
tail -n +2 airports.csv | awk -F, '{print $(NF-3)}' | sort | uniq -c | sort -rn > by-state.txt
echo "the eight states with most airports:"
head -n 8 by-state.txt"""

_PARSE = """\
const fs = require("fs");
// Quoted fields may hold commas.
const split = line => [...line.matchAll(/("([^"]*)"|[^,]*)(,|$)/g)].map(m => m[2] ?? m[1]);
const [head, ...rows] = fs.readFileSync("airports.csv", "utf8").trim().split(/\\r?\\n/).map(split);
const airports = rows.map(r => Object.fromEntries(head.map((h, i) => [h, r[i]])))
  .map(a => ({...a, lat: +a.latitude, lon: +a.longitude}))
  .filter(a => a.country === "USA");
console.log(`${airports.length} airports; without a position: ${airports.filter(a => !Number.isFinite(a.lat + a.lon)).length}`);"""

_LONELY = """\
const rad = d => d * Math.PI / 180;
const km = (a, b) => {
  const h = Math.sin(rad(b.lat - a.lat) / 2) ** 2 +
    Math.cos(rad(a.lat)) * Math.cos(rad(b.lat)) * Math.sin(rad(b.lon - a.lon) / 2) ** 2;
  return 2 * 6371 * Math.asin(Math.sqrt(h));
};
// The 48 states: Alaska, Hawaii and the islands are another story.
const inside = airports.filter(a => a.lat > 24.3 && a.lat < 49.5 && a.lon > -125 && a.lon < -66);
for (const a of inside) {
  a.near = Infinity;
  for (const b of inside) {
    if (a === b) continue;
    const far = km(a, b);
    if (far < a.near) Object.assign(a, {near: far, neighbour: b});
  }
}
inside.sort((a, b) => b.near - a.near);
const lonely = inside.slice(0, 5);
console.log(lonely.map(a => `${a.near.toFixed(0).padStart(4)} km  ${a.name}, ${a.city} ${a.state}`).join("\\n"));"""

_DRAW = """\
// Albers' conic projection with equal areas, as maps of the 48 states are mostly drawn.
const [p1, p2, p0, l0] = [29.5, 45.5, 37.5, -96].map(rad);
const n = (Math.sin(p1) + Math.sin(p2)) / 2, c = Math.cos(p1) ** 2 + 2 * n * Math.sin(p1);
const rho = p => Math.sqrt(c - 2 * n * Math.sin(p)) / n;
const place = a => {
  const r = rho(rad(a.lat)), t = n * (rad(a.lon) - l0);
  return [480 + 1180 * r * Math.sin(t), 362 - 1180 * (rho(p0) - r * Math.cos(t))].map(v => v.toFixed(1));
};
const dots = inside.map(a => `M${place(a)}h0`).join("");
const escaped = s => s.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const marks = lonely.map((a, i) => {
  const [x, y] = place(a), [u, v] = place(a.neighbour);
  return `<path d="M${x},${y}L${u},${v}" stroke="#c8553d" stroke-dasharray="3 2"/><circle cx="${x}" cy="${y}" r="4.5" fill="#c8553d"/>` +
    `<text x="${x}" y="${y - 9}" text-anchor="middle" font-weight="bold" fill="#c8553d">${i + 1}</text>`;
}).join("\\n");
const legend = lonely.map((a, i) => `<text x="24" y="${548 + 17 * i}">` +
  `<tspan font-weight="bold" fill="#c8553d">${i + 1}</tspan>  ${escaped(a.name)}, ${escaped(a.city)} ${a.state}: ${a.near.toFixed(0)} km to the next</text>`).join("\\n");
fs.writeFileSync("airports.svg", `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 640" font-family="DejaVu Sans, sans-serif" font-size="12" fill="#22313f">
<rect width="960" height="640" fill="#fbfaf7"/>
<text x="24" y="38" font-size="21" font-weight="bold">${inside.length.toLocaleString("en-US")} airports, and the five loneliest</text>
<text x="24" y="59" fill="#7f8c9a">Each dot is an airport of the 48 states; the lines lead to the nearest neighbour.</text>
<path d="${dots}" stroke="#2a6f97" stroke-opacity=".55" stroke-width="3" stroke-linecap="round"/>
${marks}
${legend}
</svg>
`);
console.log(`airports.svg: ${(fs.statSync("airports.svg").size / 1024).toFixed(0)} KB`);"""

_SHOW = """\
from IPython.display import SVG

SVG("airports.svg")"""

_TOTAL = """\
# What Node found, beside what the shell counted: the same file, read twice.
tail -n +2 airports.csv | grep -c ',USA,'
gzip -9 -n -k -f airports.svg && ls airports.svg airports.svg.gz"""

STORY = Story(
    "bash-and-node",
    (
        (
            "Take the airports from vega_datasets into a CSV and count them by state, in the shell. "
            "Then find the loneliest airports in JavaScript.",
            (
                (
                    text("The file out of the package, and a count with awk."),
                    tool_use("toolu_take", "bash", command=_TAKE),
                ),
                (
                    text("Alaska and Texas lead. Now Node reads the same file."),
                    tool_use("toolu_parse", "node", code=_PARSE),
                    text("Its names stay, as in Python: the next cell goes on with `airports`."),
                    tool_use("toolu_lonely", "node", code=_LONELY),
                ),
                (text("Those are the five airports of the 48 states that lie farthest from any other in the list."),),
            ),
        ),
        (
            "Draw a map of it.",
            (
                (
                    text("Node projects the points and writes an SVG; Python shows it."),
                    tool_use("toolu_draw", "node", code=_DRAW),
                    tool_use("toolu_svg", "python", code=_SHOW),
                ),
                (
                    text("A last check in the shell, and a small copy to send."),
                    tool_use("toolu_total", "bash", command=_TOTAL),
                ),
                (tool_use("toolu_files", "present_files", paths=["airports.svg"]),),
                (text("`airports.svg` is the map; the shell and Node agree on the number of airports."),),
            ),
        ),
    ),
)
