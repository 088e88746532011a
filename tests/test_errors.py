"""Errors and signals: what they carry, what catches them, that they pickle."""

from __future__ import annotations

import pickle
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import langgraph.errors
import langgraph.types
import pytest
from pydantic import TypeAdapter, ValidationError

import millstream.errors
import millstream.types
from millstream.errors import (
    ErrorCode,
    GraphBubbleUp,
    GraphDrained,
    GraphInterrupt,
    NodeCancelledError,
    NodeInterrupt,
    NodeTimeoutError,
    ParentCommand,
    UnknownInterruptError,
    is_invalid_resume,
    mark_invalid_resume,
)
from millstream.types import Command, Interrupt
from millstream.warnings import LangGraphDeprecatedSinceV10, LangGraphDeprecationWarning

BUILD: dict[str, Callable[[Any, Any], BaseException]] = {
    "interrupt": lambda e, t: e.GraphInterrupt([t.Interrupt(1, "a")]),
    "no interrupts": lambda e, t: e.GraphInterrupt(),
    "command": lambda e, t: e.ParentCommand(t.Command(goto="x")),
    "drained": lambda e, t: e.GraphDrained("why"),
    "drained by default": lambda e, t: e.GraphDrained(),
    "unknown": lambda e, t: e.UnknownInterruptError(
        "m", reason="not_pending", interrupt_ids=["a"], pending_ids=["b"]
    ),
    "cancelled": lambda e, t: e.NodeCancelledError("n"),
    "cancelled with a message": lambda e, t: e.NodeCancelledError("n", "because"),
    "run timeout": lambda e, t: e.NodeTimeoutError("n", 1.23456, kind="run", run_timeout=1.5),
    "idle timeout": lambda e, t: e.NodeTimeoutError(
        "n", 1.23456, kind="idle", idle_timeout=2, run_timeout=3.0
    ),
    "recursion": lambda e, t: e.GraphRecursionError("m"),
    "update": lambda e, t: e.InvalidUpdateError("m"),
    "input": lambda e, t: e.EmptyInputError("m"),
    "channel": lambda e, t: e.EmptyChannelError(),
    "task": lambda e, t: e.TaskNotFound("m"),
}

ALL = pytest.mark.parametrize("build", BUILD.values(), ids=BUILD.keys())


@ALL
def test_an_error_tells_what_the_reference_tells(build: Callable[[Any, Any], Any]) -> None:
    actual = build(millstream.errors, millstream.types)
    expected = build(langgraph.errors, langgraph.types)

    assert type(actual).__name__ == type(expected).__name__
    assert (str(actual), repr(actual)) == (str(expected), repr(expected))
    assert vars(actual) == vars(expected)


@ALL
def test_an_error_pickles(build: Callable[[Any, Any], Any]) -> None:
    error = build(millstream.errors, millstream.types)

    twin = pickle.loads(pickle.dumps(error))

    assert type(twin) is type(error)
    assert (twin.args, vars(twin)) == (error.args, vars(error))


def test_every_name_of_the_reference_is_exported() -> None:
    assert set(millstream.errors.__all__) >= set(langgraph.errors.__all__)
    assert [code.value for code in ErrorCode] == [code.value for code in langgraph.errors.ErrorCode]


def test_a_message_with_a_code_points_to_its_page() -> None:
    texts = [
        errors.create_error_message(
            message="Broken.", error_code=errors.ErrorCode.MULTIPLE_SUBGRAPHS
        )
        for errors in (millstream.errors, langgraph.errors)
    ]

    assert texts[0] == texts[1]


@pytest.mark.parametrize("kind", [GraphBubbleUp, GraphInterrupt, NodeInterrupt, ParentCommand])
def test_except_exception_cannot_swallow_a_signal(kind: type[BaseException]) -> None:
    assert not issubclass(kind, Exception)
    assert issubclass(kind, GraphBubbleUp)


def test_a_drained_run_can_be_caught_as_an_exception_and_as_a_signal() -> None:
    assert issubclass(GraphDrained, Exception)
    assert issubclass(GraphDrained, GraphBubbleUp)


def test_a_node_interrupt_warns_once_and_carries_one_interrupt() -> None:
    with pytest.warns(LangGraphDeprecatedSinceV10) as caught:
        error = NodeInterrupt("v", "i")

    assert [str(warning.message) for warning in caught] == [
        "NodeInterrupt is deprecated. Please use `langgraph.types.interrupt` instead. "
        "Deprecated in LangGraph V1.0 to be removed in V2.0."
    ]
    assert error.args == ([Interrupt("v", "i")],)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pickle.loads(pickle.dumps(error)).args == error.args


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "run", "idle_timeout": 1}, "run_timeout is required when kind='run'"),
        ({"kind": "idle", "run_timeout": 1}, "idle_timeout is required when kind='idle'"),
        ({"kind": "walk"}, "kind must be 'idle' or 'run'"),
    ],
)
def test_a_timeout_error_needs_the_limit_that_was_exceeded(
    options: dict[str, Any], text: str
) -> None:
    for kind in (NodeTimeoutError, langgraph.errors.NodeTimeoutError):
        with pytest.raises(ValueError, match=f"^{text}$"):
            kind("n", 1.0, **options)


def test_the_mark_of_an_invalid_resume_is_found_on_any_error() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(int).validate_python("a")
    errors = [ValueError("v"), caught.value]
    before = [is_invalid_resume(error) for error in errors]

    for error in errors:
        mark_invalid_resume(error)

    assert before == [False, False]
    assert [is_invalid_resume(error) for error in errors] == [True, True]
    assert all(map(langgraph.errors.is_invalid_resume, errors))


def test_an_error_that_cannot_be_marked_stays_as_it_is() -> None:
    class Sealed(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    error = Sealed()
    mark_invalid_resume(error)

    assert not is_invalid_resume(error)


def test_notes_survive_a_pickle() -> None:
    error = NodeCancelledError("n")
    error.__dict__["__notes__"] = ["during task"]

    twin = pickle.loads(pickle.dumps(error))

    assert twin.__dict__["__notes__"] == ["during task"]
    assert "NodeCancelledError" in traceback.format_exception_only(twin)[0]


def test_a_command_for_the_parent_carries_it() -> None:
    command = Command[str](goto="x", graph=Command.PARENT)

    assert ParentCommand(command).args == (command,)


def test_interrupt_ids_of_an_unknown_interrupt_are_tuples() -> None:
    error = UnknownInterruptError("m", reason="ambiguous", pending_ids=["a", "b"])

    assert (error.reason, error.interrupt_ids, error.pending_ids) == ("ambiguous", (), ("a", "b"))


@pytest.mark.parametrize("name", ["SinceV05", "SinceV10", "SinceV11"])
def test_deprecations_are_worded_like_the_reference(name: str) -> None:
    import langgraph.warnings as theirs

    import millstream.warnings as ours

    kind = f"LangGraphDeprecated{name}"
    actual, expected = getattr(ours, kind)("Old."), getattr(theirs, kind)("Old.")

    assert (str(actual), vars(actual)) == (str(expected), vars(expected))
    assert issubclass(type(actual), LangGraphDeprecationWarning)


def test_a_deprecation_pickles_and_is_removed_with_the_next_major_version_by_default() -> None:
    warning = LangGraphDeprecationWarning("Old", since=(0, 3))

    twin = pickle.loads(pickle.dumps(warning))

    assert str(twin) == "Old. Deprecated in LangGraph V0.3 to be removed in V1.0."
