"""Recordings of all examples give every form of stream as the live runs did."""

from __future__ import annotations

import asyncio
import importlib
import io
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest

import millstream
from millstream.checkpoint.memory import InMemorySaver
from millstream.modes.names import MODES
from millstream.protocols import agui, aisdk, openai
from millstream.protocols.lines import named_line

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples"
LICENSE: Final = str(ROOT / "LICENSE")
MADE_UP: Final = re.compile(
    r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}"
    r"|(?<='event_id': ')[^']*|(?<='timestamp': )\d+"
    r"|(?<='seq': )\d+|(?<=\"sequence_number\":)\d+"
    r"|(?<=\"timestamp\":)\d+|(?<=\"created\":)\d+|(?<=_at\":)\d+"
)
"""Ids, times and places that are made up for each reader."""
OF_TOOLS: Final = re.compile(
    r"(ToolMessage\((?:(?! id=)[^()])*), id='[^']*'"
    r"|(?<=\"type\":\"tool\")(,\"name\":\"\w+\",\"id\":).*?(?=,)"
)
"""Ids of tools' messages, which are given one after they were told."""


def module(name: str) -> Any:
    """Return the module of an example."""
    return importlib.import_module(name)


def agents() -> Any:
    """Return the graph of `agents.py`, whose models take no time."""
    actor = module("actor").Actor
    text = Path(LICENSE).read_text(encoding="utf-8")
    return module("agents").make_graph(text, lambda part, slowness: actor(part=part))


def mill() -> Any:
    """Return the graph of `frontends/mill.py`, with a saver, so that it can ask."""
    return module("mill").builder.compile(name="mill", checkpointer=InMemorySaver())


CASES: dict[str, tuple[Callable[[], Any], Any]] = {
    "agents": (agents, {"messages": "Look at it."}),
    "chat": (lambda: module("chat").graph(), {"messages": "6 * 7"}),
    "cluster": (lambda: module("cluster").build(None), {"limit": 1000}),
    "digest": (lambda: module("digest").graph, {"path": LICENSE}),
    "mill": (mill, {"messages": "weigh 3 sacks"}),
    "mill that asks": (mill, {"messages": "grind 3 sacks"}),
    "mill that fails": (mill, {"messages": "open the sluice"}),
}
IN_THREADS: Final = ("agents", "cluster", "digest")
"""Graphs whose tasks run in threads: what these tell at the same moment may change places."""
AT: Final[Any] = {"configurable": {"thread_id": "1"}}

Form = Callable[..., AsyncIterator[Any]]


def _items(version: str) -> Form:
    def read(source: Any, given: Any, **more: Any) -> AsyncIterator[Any]:
        options = {"stream_mode": list(MODES), "subgraphs": True, "version": version}
        items: AsyncIterator[Any] = source.astream(given, AT, **options, **more)
        return items

    return read


async def _run_stream(source: Any, given: Any, **more: Any) -> AsyncIterator[Any]:
    async with await source.astream_events(given, AT, version="v3", **more) as run:
        async for event in run:
            yield event


def _events(source: Any, given: Any, **more: Any) -> AsyncIterator[Any]:
    events: AsyncIterator[Any] = source.astream_events(given, AT, version="v2", **more)
    return events


async def _frames(source: Any, given: Any, **more: Any) -> AsyncIterator[Any]:
    async for namespace, mode, data in _items("v1")(source, given, **more):
        yield named_line("|".join((mode, *namespace)), data)


FORMS: dict[str, Form] = {
    "v1": _items("v1"),
    "v2": _items("v2"),
    "run stream": _run_stream,
    "events": _events,
    "sse": _frames,
    "ag-ui": lambda source, given, **more: agui.astream(source, given, AT, **more),
    "ai-sdk": lambda source, given, **more: aisdk.astream(source, given, AT, **more),
    "chat": lambda source, given, **more: openai.astream_chat(source, given, AT, **more),
    "responses": lambda source, given, **more: openai.astream_response(source, given, AT, **more),
}


async def told(form: Form, source: Any, given: Any, **more: Any) -> list[str]:
    """Return what a form of stream tells of a run, without what is made up; and its error."""
    found: list[str] = []
    try:
        async for item in form(source, given, **more):
            text = item if isinstance(item, str) else repr(item)
            found.append(OF_TOOLS.sub(r"\1\2", MADE_UP.sub("…", text)))
    except RuntimeError as error:
        found.append(repr(error))
    return found


@pytest.fixture(autouse=True)
def _examples_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (EXAMPLES, EXAMPLES / "frontends"):
        monkeypatch.syspath_prepend(str(folder))
    for name in ("CHAT_MODEL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module("mill"), "PACE", 0)


def _cases() -> list[Any]:
    """Return each example with each form; those that say most are quick in one form alone."""
    return [
        pytest.param(
            case, form, marks=[pytest.mark.long] if case == "agents" and form != "v2" else []
        )
        for case in CASES
        for form in FORMS
    ]


@pytest.mark.parametrize(("case", "form"), _cases())
def test_it_is_told_as_it_was(case: str, form: str) -> None:
    make, given = CASES[case]
    read = FORMS[form]

    live = asyncio.run(told(read, make(), given, record=(file := io.BytesIO())))
    shown = asyncio.run(told(read, millstream.replay(file), given))

    assert len(live) > 1
    if case in IN_THREADS:
        assert sorted(shown) == sorted(live)
    else:
        assert shown == live


def test_no_example_is_left_out() -> None:
    files = [*EXAMPLES.glob("*.py"), *(EXAMPLES / "frontends").glob("*.py")]
    with_graphs = {file.stem for file in files if "StateGraph(" in file.read_text(encoding="utf-8")}

    assert with_graphs == {case.split()[0] for case in CASES}
