"""Transformers that follow nested graphs by the `tasks` events alone, as LangChain's agents do."""

from __future__ import annotations

from typing import Any

import pytest

from millstream.errors import GraphInterrupt
from millstream.stream.transformers import _TasksLifecycleBase


class Following(_TasksLifecycleBase):
    """Notes what it is told."""

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self.notes: list[tuple[Any, ...]] = []

    def init(self) -> dict[str, Any]:
        return {}

    def _on_started(self, ns: Any, graph_name: Any, trigger_call_id: Any) -> None:
        self.notes.append(("started", ns, graph_name, trigger_call_id, self._pending_cause))

    def _on_terminal(self, ns: Any, status: Any, error: Any) -> None:
        self.notes.append((status, ns, error))


def event(namespace: list[str], method: str = "tasks", **data: Any) -> Any:
    return {"method": method, "params": {"namespace": namespace, "data": data}}


CALL = {"type": "tool_call", "id": "call-1", "name": "search", "args": {}}


def test_a_graph_starts_once_with_its_first_task_and_ends_with_the_task_that_called_it() -> None:
    following = Following()

    kept = [
        following.process(each)
        for each in (
            event([], id="1", input={}),
            event(["sub:1"], id="2", input={}),
            event(["sub:1"], id="2", result={}),
            event(["sub:1"], id="3", input={}),
            event([], "values", n=1),
            event([], id="other", result={}),
            event([], id="1", result={}),
            event([], id="1", result={}),
        )
    ]

    assert following.notes == [
        ("started", ("sub:1",), "sub", "1", None),
        ("completed", ("sub:1",), None),
    ]
    # What was asked for this transformer alone does not reach the log.
    assert kept == [False] * 4 + [True] + [False] * 3


@pytest.mark.parametrize(
    ("result", "status", "error"),
    [
        ({"result": {}, "error": "broken"}, "failed", "broken"),
        ({"result": {}, "interrupts": [{"value": "?"}]}, "interrupted", None),
        ({"result": {}, "error": None, "interrupts": []}, "completed", None),
    ],
)
def test_a_graph_ends_as_the_task_that_called_it(
    result: dict[str, Any], status: str, error: str | None
) -> None:
    following = Following()
    following.process(event(["sub:1"], id="2", input={}))

    following.process(event([], id="1", **result))

    assert following.notes[1:] == [(status, ("sub:1",), error)]


@pytest.mark.parametrize(
    "input",
    [CALL, [CALL], {"__type": "tool_call_with_context", "tool_call": CALL, "state": {}}],
    ids=["call", "list", "with context"],
)
def test_an_agent_has_its_own_name_and_the_tool_call_that_it_was_called_for(input: Any) -> None:
    following = Following()
    following.process(event([], id="1", input=input))

    following.process(
        event(["tools:1"], id="2", input={}, metadata={"lc_agent_name": "researcher"})
    )

    cause = {"type": "toolCall", "tool_call_id": "call-1"}
    assert following.notes == [("started", ("tools:1",), "researcher", "1", cause)]


def test_a_graph_that_is_no_agent_has_no_tool_call() -> None:
    following = Following()
    following.process(event([], id="1", input=CALL))

    following.process(event(["tools:1"], id="2", input={}))

    assert following.notes == [("started", ("tools:1",), "tools", "1", None)]


def test_only_graphs_below_the_scope_are_followed() -> None:
    following = Following(("sub:1",))

    for namespace in ([], ["sub:1"], ["other:2", "in:3"], ["sub:1", "in:4"], ["sub:1", "static"]):
        following.process(event(namespace, id="x", input={}))

    assert following.notes == [("started", ("sub:1", "in:4"), "in", "4", None)]


@pytest.mark.parametrize(
    ("raised", "status", "text"),
    [
        (None, "completed", None),
        (ValueError("broken"), "failed", "broken"),
        (GraphInterrupt(), "interrupted", None),
    ],
    ids=["end", "error", "question"],
)
def test_what_is_open_at_the_end_of_the_run_ends_like_it(
    raised: Exception | None, status: str, text: str | None
) -> None:
    following = Following()
    following.process(event(["sub:1"], id="2", input={}))

    for _ in range(2):
        following.finalize() if raised is None else following.fail(raised)

    assert following.notes[1:] == [(status, ("sub:1",), text)]
