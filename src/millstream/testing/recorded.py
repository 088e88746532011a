"""Tests of agents without their models: what a graph does is compared with a recorded run.

`RecordedModel` says what the models of a recording have said, so that the same happens again as far
as the graph is the same; `assert_runs_as_recorded` says where it is not.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, Final, TypeAlias, Union

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable

from millstream._base.texts import safe_str
from millstream.modes.content_blocks import ErrorEvent
from millstream.modes.encoders import encode_json
from millstream.modes.names import CUSTOM, MESSAGES, UPDATES
from millstream.recording.lines import BLOCKS
from millstream.recording.reading import RecordedRun
from millstream.replaying.replay import Replay
from millstream.testing.scripted import ModelCall, ScriptedModel

__all__ = ("RecordedModel", "aassert_runs_as_recorded", "assert_runs_as_recorded")

Source: TypeAlias = Union[str, "os.PathLike[str]", IO[bytes]]

Heard: TypeAlias = tuple[Sequence[Any], Union[Exception, None]]
"""The items of a stream, and what it raised in the end."""

COMPARED: Final = (UPDATES, CUSTOM)
_IDS: Final = re.compile(
    r"(?:lc_)?run-+[0-9a-f-]{36}(?:-\d+)?|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}"
)
"""What is made up for each run: ids of tasks, messages, questions."""


class RecordedModel(ScriptedModel):
    """A chat model that says, with each call, what the next call of a model in a recording said.

    A call that has failed fails again, after what it had said. The model has no tools: what it is
    bound to changes nothing. Calls side by side take turns as they come; give each node that has a
    model of its own a `RecordedModel` of that `node`.
    """

    def __init__(self, source: Source, *, node: str | None = None, **kwargs: Any) -> None:
        """Read what models have said in a recording, in one node of it or in all."""
        super().__init__(*_calls_in(RecordedRun(source), node), **kwargs)

    @property
    def _llm_type(self) -> str:
        return "recorded"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model as it is: what it says is recorded."""
        return self

    def _one_too_many(self, number: int, turns: int, call: ModelCall) -> AssertionError:
        return AssertionError(
            f"a model is called {number} times, and {turns} times in the recording: the graph does "
            "something else than it did"
        )


def _calls_in(run: RecordedRun, node: str | None) -> list[list[AIMessageChunk | BaseException]]:
    """Return what each call of a model said, in the order in which the calls began to speak.

    That is chunks, and at last the error of a call that has failed.
    """
    calls: dict[int, tuple[Any, list[AIMessageChunk | BaseException]]] = {}
    failures = _failures_in(run)
    for _, (_, _, (message, metadata), _) in run.read((MESSAGES,)):
        # What nodes return themselves has nothing of a model beside it.
        if "ls_model_type" not in metadata or node not in (None, metadata.get("langgraph_node")):
            continue
        if not isinstance(message, AIMessageChunk):
            # Said in one go, by a model that does not stream.
            message = AIMessageChunk(**{**message.__dict__, "type": "AIMessageChunk"})
        # Metadata are one object for a call; kept, so that no identity is used twice.
        calls.setdefault(id(metadata), (metadata, []))[1].append(message)
    for _, said in calls.values():
        first: Any = said[0]
        if (failure := failures.get(first.id)) is not None:
            said.append(failure)
    return [said for _, said in calls.values()]


def _failures_in(run: RecordedRun) -> Mapping[str, BaseException]:
    """Return the errors of messages that their models have not finished, by the message."""
    ids: dict[str, str] = {}
    failures: dict[str, BaseException] = {}
    for _, (_, _, (event, metadata), _) in run.read((BLOCKS,)):
        if isinstance(event, ErrorEvent):
            failures[ids[metadata["run_id"]]] = event.error
        elif isinstance(event, Mapping) and event.get("event") == "message-start":
            ids[metadata["run_id"]] = event["id"]
    return failures


def assert_runs_as_recorded(
    source: Source,
    graph: Any,
    config: Any = None,
    *,
    input: Any = ...,
    stream_mode: Sequence[str] = COMPARED,
) -> None:
    """Run a graph, and raise `AssertionError` if it says something else than a recorded run.

    Args:
        source: The recording.
        graph: The graph, its models replaced by a `RecordedModel` or by others that say the same.
        config: The config of the new run.
        input: What it is given; what the recorded run was given by default.
        stream_mode: What is compared, of nested graphs too. Ids do not count, nor does the order of
            what graphs say. If the recorded run has raised something, this one has to as well.

    Raises:
        AssertionError: It says something else, or raises another error than the recorded run.
        Exception: What the graph raises, if the recorded run has raised nothing.
    """
    replay, given, options = _recorded(source, input, stream_mode)
    _compare(_heard(replay.stream(**options)), _heard(graph.stream(given, config, **options)))


async def aassert_runs_as_recorded(
    source: Source,
    graph: Any,
    config: Any = None,
    *,
    input: Any = ...,
    stream_mode: Sequence[str] = COMPARED,
) -> None:
    """Do what `assert_runs_as_recorded` does with `astream` of the graph."""
    replay, given, options = _recorded(source, input, stream_mode)
    said: list[Any] = []
    error = None
    try:
        async for item in graph.astream(given, config, **options):
            said.append(item)  # noqa: PERF401  # what came before an error counts
    except Exception as raised:
        error = raised
    _compare(_heard(replay.stream(**options)), (said, error))


def _recorded(
    source: Source, input: Any, stream_mode: Sequence[str]
) -> tuple[Replay, Any, dict[str, Any]]:
    """Return the recorded run, what the graph is given, and what both are asked for."""
    replay = Replay(source)
    given = replay.header.get("input") if input is ... else input
    return replay, given, {"stream_mode": list(stream_mode), "subgraphs": True}


def _heard(items: Iterable[Any]) -> Heard:
    """Return the items of a stream, and what it raised in the end."""
    said: list[Any] = []
    try:
        for item in items:
            said.append(item)  # noqa: PERF402  # what came before an error counts
    except Exception as error:
        return said, error
    return said, None


def _compare(recorded: Heard, said: Heard) -> None:
    if said[1] is not None and recorded[1] is None:
        raise said[1]
    expected, found = _texts(recorded), _texts(said)
    missing, surplus = _without(expected, found), _without(found, expected)
    if missing or surplus:
        lines = [*(f"- {text}" for text in missing[:3]), *(f"+ {text}" for text in surplus[:3])]
        raise AssertionError(
            f"the graph does not run as recorded: of {len(expected)} items {len(missing)} are "
            f"missing (-), and {len(surplus)} were not there (+):\n" + "\n".join(lines)
        ) from said[1]


def _without(texts: Sequence[str], others: Iterable[str]) -> list[str]:
    left = list(others)
    kept = []
    for text in texts:
        if text in left:
            left.remove(text)
        else:
            kept.append(text)
    return kept


def _texts(heard: Heard) -> list[str]:
    items, error = heard
    texts = [_text(item) for item in items]
    if error is not None:
        kind = type(error)
        said = f"raises {kind.__module__}.{kind.__qualname__}: {safe_str(error)}"
        texts.append(_IDS.sub("…", said))
    return texts


def _text(item: Any) -> str:
    data = encode_json((*item, None))
    # Times of their own, and what providers say of a call, are no part of what an agent does.
    return _IDS.sub("…", json.dumps(data, ensure_ascii=False, sort_keys=True))
