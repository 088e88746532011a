"""The stream modes are listed in one table, and every other place that lists them agrees."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from langchain_core.tools import tool

from millstream._types.stream_parts import StreamPart
from millstream.checkpoint.memory import InMemorySaver
from millstream.graph import START, MessagesState, StateGraph
from millstream.modes.names import GRAPHS, PUBLIC_MODES
from millstream.modes.parts import check_modes
from millstream.prebuilt import ToolNode
from millstream.pregel import Pregel
from millstream.pregel._running.invoking import OtherMode
from millstream.types import StreamMode, StreamWriter
from prebuilt.conversation import asking, tool_call

ROOT: Final = Path(__file__).parents[2]


def typed_parts() -> set[str]:
    """Return the modes whose parts `StreamPart` declares."""
    kinds = [getattr(part, "__origin__", part) for part in get_args(StreamPart.__value__)]
    return {
        re.sub(r"\W|Literal", "", kind.__annotations__["type"].__forward_arg__) for kind in kinds
    }


def table_of(page: str) -> set[str]:
    """Return the first column of the table of modes in a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = re.search(r"\| (?:stream )?mode \|.*\n\|---\|---\|\n((?:\|.*\n)+)", text)
    assert rows is not None
    return set(re.findall(r"^\| `(\w+)` \|", rows[1], re.MULTILINE))


def docstring_of(method: Callable[..., Any]) -> set[str]:
    """Return the modes that the explanation of `stream_mode` names."""
    explained = re.search(r"stream_mode: (.*?)\n\s+\w+: ", method.__doc__ or "", re.DOTALL)
    assert explained is not None
    return set(re.findall(r"`(\w+)`", explained[1])) & set(PUBLIC_MODES)


LISTS: Final[dict[str, Callable[[], set[str]]]] = {
    "types.StreamMode": lambda: set(get_args(StreamMode)),
    "invoking.OtherMode": lambda: {*get_args(OtherMode), "values"},
    "the members of types.StreamPart": typed_parts,
    "the docstring of stream": lambda: docstring_of(Pregel.stream),
    "README.md": lambda: table_of("README.md"),
    "docs/streaming.md": lambda: table_of("docs/streaming.md"),
}


@pytest.mark.parametrize("place", LISTS)
def test_every_place_that_lists_the_modes_has_those_of_the_table(place: str) -> None:
    assert LISTS[place]() == set(PUBLIC_MODES)


@tool
def mill(grain: str, writer: StreamWriter) -> str:
    """Mill the grain."""
    writer(f"milling {grain}")
    return "flour"


def test_a_run_that_does_everything_has_parts_of_every_mode(driver: Any) -> None:
    builder = StateGraph(MessagesState).add_node("tools", ToolNode([mill])).add_edge(START, "tools")
    graph = builder.compile(InMemorySaver())

    parts = driver.stream(
        graph,
        asking(tool_call("mill", {"grain": "rye"})),
        {"configurable": {"thread_id": "1"}},
        stream_mode=list(PUBLIC_MODES),
        version="v2",
    )

    assert {part["type"] for part in parts} == set(PUBLIC_MODES)


def test_what_run_streams_are_told_besides_is_no_mode_to_ask_for() -> None:
    with pytest.raises(ValueError, match=f"Unknown stream mode '{GRAPHS}'"):
        check_modes([GRAPHS])
