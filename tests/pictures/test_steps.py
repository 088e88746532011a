"""The steps of arranging a graph, each by itself."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.pictures.ordering import crossings, in_order
from millstream.pictures.placing import increasing
from millstream.pictures.ranking import Link, in_rows, upward
from millstream.pictures.routing import tracked

NUMBERS = st.lists(st.integers(-20, 20), min_size=1, max_size=8)


@given(
    edges=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda e: e[0] != e[1]))
)
@settings(max_examples=50, deadline=None)
def test_without_what_closes_a_cycle_every_edge_leads_downwards(
    edges: list[tuple[int, int]],
) -> None:
    closing = upward(8, edges)
    links = [
        Link(number, *(reversed(edge) if closes else edge), is_upward=closes)
        for number, (edge, closes) in enumerate(zip(edges, closing, strict=True))
    ]

    rows = in_rows(8, links, set(), set())

    for link in links:
        assert [rows.rank[v] for v in link.path] == list(
            range(rows.rank[link.upper], rows.rank[link.lower] + 1)
        )


def test_a_cycle_is_closed_by_the_edge_that_leads_back() -> None:
    assert upward(3, [(0, 1), (1, 2), (2, 0), (2, 1)]) == [False, False, True, True]


def test_long_edges_share_what_they_pass_where_there_are_many() -> None:
    """Or that would grow with the square of the nodes."""
    count = 120
    chain = [Link(number, number, number + 1) for number in range(count)]
    to_the_end = [Link(count + number, number, count) for number in range(count - 1)]

    rows = in_rows(count + 1, chain + to_the_end, set(), set())

    assert len(rows.rank) < 3 * count
    assert [rows.rank[v] for v in to_the_end[0].path] == list(range(count + 1))


def test_a_row_of_very_many_becomes_several() -> None:
    """A node may lead to hundreds; what leads to those further down goes one way together."""
    links = [
        *(Link(number, 0, number + 1, label=(4, 1)) for number in range(30)),
        *(Link(30 + number, number + 1, 31) for number in range(30)),
    ]

    rows = in_rows(32, links, set(), set())

    sizes = Counter(rows.rank[1:31])
    assert sizes == {2: 10, 4: 10, 6: 10}
    assert rows.rank[31] == 7
    # Each label stands in a row of its own above its node.
    assert all(rows.rank[link.label_at] == rows.rank[link.lower] - 1 for link in links[:30])
    assert len({link.path[1] for link in links[10:30]}) == 1


def test_decisions_share_no_way_with_what_is_always_taken() -> None:
    links = [
        *(Link(number, 0, number + 1, is_dashed=number % 2 == 0) for number in range(30)),
    ]

    in_rows(31, links, set(), set())

    ways = {(link.path[1], link.is_dashed) for link in links[20:]}
    assert len(ways) == 2


def test_lines_that_need_not_cross_do_not() -> None:
    # 0 -> 3, 1 -> 2 and 1 -> 4: as they come, the first crosses the second.
    links = [Link(0, 0, 3), Link(1, 1, 2), Link(2, 1, 4)]
    rows = in_rows(5, links, set(), set())

    order = in_order(rows)

    place = [0] * 5
    for row in order:
        for at, vertex in enumerate(row):
            place[vertex] = at
    assert crossings(rows, order, place) == 0


def test_crossings_are_counted() -> None:
    links = [Link(0, 0, 3), Link(1, 1, 2), Link(2, 0, 2), Link(3, 1, 3)]
    rows = in_rows(4, links, set(), set())

    assert crossings(rows, [[0, 1], [2, 3]], [0, 1, 0, 1]) == 1
    assert crossings(rows, [[0, 1], [3, 2]], [0, 1, 1, 0]) == 1


@given(wanted=NUMBERS)
def test_positions_never_fall_and_nothing_near_is_better(wanted: list[int]) -> None:
    found = increasing([float(number) for number in wanted], [1.0] * len(wanted))

    def cost(numbers: list[float]) -> float:
        return sum((a - b) ** 2 for a, b in zip(numbers, wanted, strict=True))

    assert all(left <= right for left, right in pairwise(found))
    for start, end in combinations(range(len(found) + 1), 2):
        for step in (-0.5, 0.5):
            moved = [x + step * (start <= at < end) for at, x in enumerate(found)]
            if all(left <= right for left, right in pairwise(moved)):
                assert cost(moved) >= cost(found) - 1e-9


def test_weights_pull() -> None:
    assert increasing([4.0, 0.0], [3.0, 1.0]) == [3.0, 3.0]


@given(
    starts=st.lists(st.integers(0, 12), min_size=1, max_size=6, unique=True),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_lines_on_tracks_share_no_place_but_where_they_cross(
    starts: list[int], data: st.DataObject
) -> None:
    ends = data.draw(st.permutations([2 * start + 1 for start in starts]))
    spans = [(2.0 * start, float(end)) for start, end in zip(starts, ends, strict=True)]

    gap = tracked(spans)

    pieces = [
        [(start, 0.0), *way, (end, gap.height)]
        for (start, end), way in zip(spans, gap.ways, strict=True)
    ]
    for left, right in combinations(pieces, 2):
        for (ax, ay), (bx, by) in pairwise(left):
            for (cx, cy), (dx, dy) in pairwise(right):
                both_across = ay == by == cy == dy
                assert not (
                    both_across and max(ax, bx) >= min(cx, dx) and max(cx, dx) >= min(ax, bx)
                )


@pytest.mark.parametrize(
    "spans", [[(1.0, 5.0), (5.0, 9.0)], [(5.0, 9.0), (1.0, 5.0)]], ids=["first", "second"]
)
def test_a_line_that_leaves_where_another_enters_passes_below_it(
    spans: list[tuple[float, float]],
) -> None:
    gap = tracked(spans)

    rows = {span: way[0][1] for span, way in zip(spans, gap.ways, strict=True)}
    assert rows[1.0, 5.0] > rows[5.0, 9.0]


def test_two_lines_that_change_places_are_drawn_all_the_same() -> None:
    gap = tracked([(1.0, 5.0), (5.0, 1.0)])

    assert len({way[0][1] for way in gap.ways}) == 2
