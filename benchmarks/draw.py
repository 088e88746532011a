"""Draw the chart that `chart` describes on standard input: `-m benchmarks.draw FILE.svg`.

It is run by the Python of the environment that has matplotlib.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

# Told apart by every kind of colour vision, and in grey (Okabe and Ito).
COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#BBBBBB")
BAR: Final = 0.2
"""Height of a bar; rows are one apart."""
GOAL: Final[dict[str, Any]] = {"color": "black", "linestyle": "dotted"}


def draw(picture: dict[str, Any], path: str) -> None:
    """Draw horizontal bars on a logarithmic axis."""
    # The same numbers give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "millstream", "svg.fonttype": "none"})
    rows = picture["bars"]
    colours = dict(zip(picture["series"], COLOURS, strict=True))
    figure = Figure(figsize=(10, 1.4 + 0.5 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for index, row in enumerate(rows):
        _draw_row(axes, index, row, colours)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(min(min(row["values"].values()) for row in rows) / 2)
    axes.margins(x=0.1)
    axes.set_xlabel("microseconds, best round (logarithmic; less is better)")
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", which="major", linewidth=0.4)
    axes.set_axisbelow(True)
    axes.set_title(picture["title"], fontsize=10)
    shown = [Patch(color=colour, label=series) for series, colour in colours.items()]
    goal = Line2D([], [], label="goal for millstream", **GOAL)
    figure.legend(handles=[*shown, goal], loc="outside lower center", ncols=5, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def _draw_row(axes: Axes, index: int, row: dict[str, Any], colours: dict[str, str]) -> None:
    found = [series for series in colours if series in row["values"]]
    first = index - (len(found) - 1) / 2 * BAR
    for place, series in enumerate(found):
        value = row["values"][series]
        drawn = axes.barh(first + place * BAR, value, BAR, color=colours[series])
        name = f" {row['peer']}" if colours[series] == COLOURS[2] else ""
        words = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
        axes.bar_label(drawn, [words + name], padding=2, fontsize=6)
    if row["goal"] is not None:
        axes.vlines(row["goal"], index - 2.2 * BAR, index + 2.2 * BAR, **GOAL)


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
