"""However a run has ended, every form of its replay ends as the live run did.

A run that was cancelled, and a recording that was cut, have no such end: nobody was there to be
told. Of these, protocols say that it is so.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

import millstream
from millstream.checkpoint.memory import InMemorySaver
from millstream.errors import RunCancelledError
from millstream.graph import START, MessagesState, StateGraph
from millstream.modes.names import MODES
from millstream.protocols import agui, aisdk, openai
from millstream.types import StreamWriter, TimeoutPolicy, interrupt

GIVEN: Final = {"messages": "hi"}
AT: Final[Any] = {"configurable": {"thread_id": "1"}}
MADE_UP: Final = re.compile(
    r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}"
    r"|(?<='event_id': ')[^']*|(?<='timestamp': )\d+"
    r"|(?<='seq': )\d+|(?<=\"sequence_number\":)\d+"
    r"|(?<=\"timestamp\":)\d+|(?<=\"created\":)\d+|(?<=_at\":)\d+"
)
"""Ids and times that are made up for each reader."""


class MillError(Exception):
    """An error of a program's own, with something that its text does not have."""

    def __init__(self, text: str, sacks: int) -> None:
        super().__init__(text, sacks)

    def __str__(self) -> str:
        return f"{self.args[0]}!"


class Unknown:
    """A value that a recording has only the text of."""

    def __repr__(self) -> str:
        return "<unknown>"


def fail_plainly() -> None:
    raise ValueError("no such sack")


def fail_in_own_words() -> None:
    raise MillError("stuck", 3)


def fail_with_an_object() -> None:
    raise KeyError(Unknown())


def fail_at_a_file() -> None:
    open("/nowhere/at all").close()


async def wait() -> None:
    await asyncio.Event().wait()


def ask() -> None:
    interrupt({"how many": "sacks?"})


ENDS: Final[dict[str, Any]] = {
    "error": fail_plainly,
    "own error": fail_in_own_words,
    "error with an object": fail_with_an_object,
    "error of a file": fail_at_a_file,
    "interrupted": ask,
    "timeout": wait,
}


def ending_with(end: Any) -> Any:
    """Return a graph with a model, of which the last node ends so."""

    async def say(state: MessagesState, writer: StreamWriter) -> Any:
        writer({"sacks": 3})
        model = GenericFakeChatModel(messages=iter([AIMessage("Hello there")]))
        return {"messages": await model.ainvoke("hi")}

    async def last(state: MessagesState) -> Any:
        waiting = end()
        return None if waiting is None else await waiting

    limit = TimeoutPolicy(run_timeout=0.01) if end is wait else None
    builder = StateGraph(MessagesState).add_node("say", say).add_node("last", last, timeout=limit)
    builder.add_edge(START, "say").add_edge("say", "last")
    return builder.compile(name="mill", checkpointer=InMemorySaver())


Form = Callable[..., AsyncIterator[Any]]


def _items(version: str) -> Form:
    options = {"stream_mode": list(MODES), "subgraphs": True, "version": version}
    return lambda source, **more: source.astream(GIVEN, AT, **options, **more)


async def _run_stream(source: Any, **more: Any) -> AsyncIterator[Any]:
    async with await source.astream_events(GIVEN, AT, version="v3", **more) as run:
        async for event in run:
            yield event


ITEMS: Final[dict[str, Form]] = {
    "v1": _items("v1"),
    "v2": _items("v2"),
    "events": lambda source, **more: source.astream_events(GIVEN, AT, version="v2", **more),
}
PROTOCOLS: Final[dict[str, Form]] = {
    "ag-ui": lambda source, **more: agui.astream(source, GIVEN, AT, **more),
    "ai-sdk": lambda source, **more: aisdk.astream(source, GIVEN, AT, **more),
    "chat": lambda source, **more: openai.astream_chat(source, GIVEN, AT, **more),
    "responses": lambda source, **more: openai.astream_response(source, GIVEN, AT, **more),
}
FORMS: Final = {**ITEMS, "run stream": _run_stream, **PROTOCOLS}


async def told(form: Form, source: Any, **more: Any) -> list[str]:
    """Return what a form of stream tells, without what is made up; and what it raises."""
    found: list[str] = []
    try:
        async for item in form(source, **more):
            found.append(item if isinstance(item, str) else repr(item))
    except Exception as error:
        found.append(f"{type(error).__name__}: {error} {error!r}")
    return [MADE_UP.sub("…", text) for text in found]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("end", ENDS)
def test_it_ends_as_it_did(end: str, form: str) -> None:
    read = FORMS[form]

    live = asyncio.run(told(read, ending_with(ENDS[end]), record=(file := io.BytesIO())))
    shown = asyncio.run(told(read, millstream.replay(file)))

    # Of an argument that is no plain value, only the text is known.
    expected = [text.replace("KeyError(<unknown>)", "KeyError('<unknown>')") for text in live]
    assert shown == expected
    assert len(live) > 3


async def _cancelled() -> io.BytesIO:
    """Return the recording of a run that was cancelled."""
    file = io.BytesIO()
    run = await ending_with(asyncio.Event().wait).astart(GIVEN, AT, version="v3", record=file)
    async with run:
        async for event in run.events():
            if event.mode == "custom":
                run.cancel()
        with pytest.raises(RunCancelledError):
            await run.await_end()
    return file


CANCELLED: Final = {
    "ag-ui": '"outcome":{"type":"cancelled"}',
    "ai-sdk": '{"type":"abort","reason":"cancelled"}',
    "chat": "the run was cancelled",
    "responses": '"status":"cancelled"',
}
"""What a front end is told of a run that somebody has stopped."""


def test_a_run_that_was_cancelled_is_not_shown_as_one_that_ended() -> None:
    replay = millstream.replay(asyncio.run(_cancelled()))

    assert replay.status == "cancelled"
    for name, form in PROTOCOLS.items():
        assert CANCELLED[name] in asyncio.run(told(form, replay))[-1]
    with pytest.raises(RunCancelledError, match="'mill' was cancelled"):
        replay.invoke()
    with pytest.raises(RunCancelledError), replay.stream_events() as run:
        list(run)
    # Its reader had gone, or had stopped it, and was told nothing.
    assert list(replay.stream(stream_mode="custom")) == [{"sacks": 3}]


@pytest.mark.filterwarnings("ignore::millstream.recording.reading.TruncatedRecordingWarning")
@pytest.mark.parametrize("form", FORMS)
def test_what_was_cut_is_told_to_there_and_not_as_if_it_had_ended(form: str) -> None:
    read = FORMS[form]
    live = asyncio.run(told(read, ending_with(lambda: None), record=(file := io.BytesIO())))
    lines = gzip.decompress(file.getvalue()).splitlines(keepends=True)
    cut = io.BytesIO(gzip.compress(b"".join(lines[:-1])))

    shown = asyncio.run(told(read, millstream.replay(cut)))

    if form in PROTOCOLS:
        assert shown[:-1] == live[:-1]
        assert "BytesIO ends before the run does" in shown[-1]
        assert ("TruncatedRecordingWarning" in shown[-1]) == (form == "ag-ui")
    else:
        assert shown == live
