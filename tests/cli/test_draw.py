"""`millstream draw` prints the structure of a graph."""

from __future__ import annotations

from typing import Any


def test_mermaid_is_the_default(millstream: Any) -> None:
    outcome = millstream("draw", "graphs.py:graph")

    assert outcome.code == 0
    assert "__start__ --> add;" in outcome.out


def test_ascii_draws_boxes(millstream: Any) -> None:
    outcome = millstream("draw", "graphs:builder", "--format", "ascii")

    assert outcome.code == 0
    assert "| add |" in outcome.out


def test_xray_opens_subgraphs(millstream: Any) -> None:
    closed, opened = (
        millstream("draw", "graphs:outer"),
        millstream("draw", "graphs:outer", "--xray"),
    )

    assert "subgraph inner" not in closed.out
    assert "subgraph inner" in opened.out


def test_an_unknown_format_is_one_line(millstream: Any) -> None:
    complaint = millstream("draw", "graphs:graph", "--format", "png").complaint

    assert "'png' is not one of 'mermaid', 'ascii'" in complaint
