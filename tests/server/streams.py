"""What tests say and read about runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx

from server.fixtures import Running

SINK = {"messages": [{"role": "user", "content": "hi"}], "topic": "cats"}


class Event(NamedTuple):
    """A server-sent event."""

    name: str
    data: Any
    id: str | None = None


def parse(text: str) -> list[Event]:
    """Return the events of a stream."""
    return [event for block in text.split("\r\n\r\n") if (event := parse_block(block)) is not None]


def live(response: httpx.Response) -> Iterator[Event]:
    """Yield the events of a stream as they come."""
    rest = ""
    for text in response.iter_text():
        *blocks, rest = (rest + text).split("\r\n\r\n")
        for block in blocks:
            if (event := parse_block(block)) is not None:
                yield event


def parse_block(block: str) -> Event | None:
    """Return the event that is in a block, None if it is a comment."""
    fields = dict(line.split(": ", 1) for line in block.split("\r\n") if line[:1] not in ("", ":"))
    if not fields:
        return None
    return Event(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id"))


def thread(server: Running, **given: Any) -> str:
    """Make a thread and return its id."""
    response = server.http.post("/threads", json=given)
    assert response.status_code == 200, response.text
    return str(response.json()["thread_id"])


def stream(
    server: Running, graph: str, input: Any, *, at: str | None = None, **body: Any
) -> list[Event]:
    """Create a run, on a thread of its own or `at` one, and return its events."""
    at = at or str(uuid.uuid4())
    response = server.http.post(
        f"/threads/{at}/runs/stream",
        json={"assistant_id": graph, "input": input, "if_not_exists": "create", **body},
    )
    assert response.status_code == 200, response.text
    return parse(response.text)


def start(server: Running, at: str, graph: str, input: Any, **body: Any) -> dict[str, Any]:
    """Create a run in the background and return it."""
    response = server.http.post(
        f"/threads/{at}/runs",
        json={"assistant_id": graph, "input": input, "if_not_exists": "create", **body},
    )
    assert response.status_code == 200, response.text
    run: dict[str, Any] = response.json()
    return run


def names(events: list[Event]) -> list[str]:
    """Return the names of events without the ids of tasks in them."""
    return ["|".join(part.split(":")[0] for part in event.name.split("|")) for event in events]
