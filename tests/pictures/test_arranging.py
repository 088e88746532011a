"""Where things are: nothing lies on anything else, and lines end where they belong."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from millstream.pictures import DrawableGraph
from millstream.pictures.measures import CHARACTERS, PIXELS, Measures
from pictures.graphs import EXAMPLES, graph, graphs
from pictures.looking import arranged, check


@pytest.mark.parametrize("measures", [PIXELS, CHARACTERS], ids=["pixels", "characters"])
@pytest.mark.parametrize("drawn", EXAMPLES.values(), ids=EXAMPLES)
def test_nothing_lies_on_anything_else(drawn: DrawableGraph, measures: Measures) -> None:
    check(drawn, measures)


@pytest.mark.parametrize("measures", [PIXELS, CHARACTERS], ids=["pixels", "characters"])
@given(drawn=graphs())
@example(drawn=graph(("in:a", "a"), ("in:a", "in:b", "")))
@settings(max_examples=40, deadline=None)
def test_so_it_is_in_any_graph(measures: Measures, drawn: DrawableGraph) -> None:
    check(drawn, measures)


@pytest.mark.parametrize("measures", [PIXELS, CHARACTERS], ids=["pixels", "characters"])
def test_so_it_is_where_rows_are_folded(measures: Measures) -> None:
    workers = [f"n{number}" for number in range(20)]
    inner = [f"in:n{number}" for number in range(15)]
    leading = [("hub", name, name) for name in workers] + [("hub", name) for name in inner]

    check(graph(*leading, *((name, "hub") for name in workers + inner)), measures)


def test_edges_lead_downwards_unless_they_close_a_cycle() -> None:
    drawn = EXAMPLES["agent"]

    found = arranged(drawn, PIXELS)

    upwards = [
        (edge.source, edge.target)
        for line, edge in zip(found.lines, drawn.edges, strict=True)
        if line.points[-1][1] < line.points[0][1]
    ]
    assert upwards == [("tools", "agent")]


def test_a_chain_is_one_straight_line() -> None:
    names = [f"n{number}" for number in range(40)]

    found = arranged(graph(*pairwise(names)), PIXELS)

    assert len({point[0] for line in found.lines for point in line.points}) == 1


def test_what_spreads_and_meets_again_is_symmetric() -> None:
    middle = ["b", "c", "d", "e"]
    edges = [("a", name) for name in middle] + [(name, "z") for name in middle]

    boxes = arranged(graph(*edges), PIXELS).boxes

    centres = {name: box.x + box.width / 2 for name, box in boxes.items()}
    assert centres["a"] == centres["z"] == pytest.approx((boxes["b"].x + boxes["e"].right) / 2)


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_a_graph_is_always_drawn_alike(data: st.DataObject) -> None:
    drawn = data.draw(graphs())

    assert arranged(drawn, PIXELS) == arranged(drawn, PIXELS)
