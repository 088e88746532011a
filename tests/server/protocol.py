"""What tests say and read in the protocol of event streams."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from server.fixtures import Running
from server.streams import Event, live

ALL = [
    "values",
    "updates",
    "messages",
    "tools",
    "lifecycle",
    "input",
    "checkpoints",
    "tasks",
    "custom",
]
_ids = itertools.count(1)


def command(server: Running, at: str, method: str, **params: Any) -> dict[str, Any]:
    """Send a command and return the answer."""
    sent = {"id": next(_ids), "method": method, "params": params}
    response = server.http.post(f"/threads/{at}/commands", json=sent)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer["id"] == sent["id"]
    return answer


def result(server: Running, at: str, method: str, **params: Any) -> dict[str, Any]:
    """Send a command that is carried out, and return its result."""
    answer = command(server, at, method, **params)
    assert answer["type"] == "success", answer
    found: dict[str, Any] = answer["result"]
    return found


def refused(server: Running, at: str, method: str, **params: Any) -> str:
    """Send a command that is refused, and return the code of the error."""
    answer = command(server, at, method, **params)
    assert answer["type"] == "error", answer
    assert answer["message"]
    return str(answer["error"])


@contextmanager
def listening(
    server: Running,
    at: str,
    *channels: str,
    headers: dict[str, str] | None = None,
    **params: Any,
) -> Iterator[Iterator[Event]]:
    """Read the events of some channels of a thread, all by default."""
    body = {"channels": list(channels or ALL), **params}
    path = f"/threads/{at}/stream/events"
    with server.http.stream("POST", path, json=body, headers=headers or {}) as response:
        assert response.status_code == 200, response.read()
        yield live(response)


def until(events: Iterator[Event], is_last: Callable[[Event], bool]) -> list[Event]:
    """Return the events up to the one that is the last."""
    found = []
    for event in events:
        found.append(event)
        if is_last(event):
            return found
    raise AssertionError(f"the stream has ended after {found}")


def is_end(event: Event) -> bool:
    """Say whether an event says that a run has ended."""
    params = event.data["params"]
    is_root = event.name == "lifecycle" and params["namespace"] == []
    return is_root and params["data"]["event"] in ("completed", "failed", "interrupted")


def run(server: Running, at: str, graph: str, input: Any, **params: Any) -> list[Event]:
    """Start a run, and return its events when it has ended."""
    run_id = None
    with listening(server, at) as events:
        run_id = result(server, at, "run.start", assistant_id=graph, input=input, **params)
        assert run_id
        return until(events, is_end)


def data_of(events: list[Event], method: str, *, nested: bool = False) -> list[Any]:
    """Return the data of the events of a method, of the graph itself or of those below."""
    return [
        event.data["params"]["data"]
        for event in events
        if event.name == method and bool(event.data["params"]["namespace"]) == nested
    ]


def text_of(events: list[Event], *, nested: bool = False) -> str:
    """Return what models have said."""
    return "".join(
        data["delta"]["text"]
        for data in data_of(events, "messages", nested=nested)
        if data["event"] == "content-block-delta"
    )
