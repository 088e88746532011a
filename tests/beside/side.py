"""One of the two servers, as scenes see it: what they ask and what comes back is kept."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
from langgraph_sdk import get_sync_client

import waiting
from server.recordings import Recording, is_root_end
from server.streams import Event, live, parse

NAMES = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


class Kept:
    """A stream as it is read."""

    def __init__(self, response: httpx.Response) -> None:
        self.events: list[Event] = []
        self._live = live(response)

    def until(self, mark: str) -> None:
        """Read until an event has a name, or says something."""
        while not self.events or mark not in f"{self.events[-1].name} {self.events[-1].data}":
            self.events.append(next(self._live))

    def to_root_end(self) -> None:
        """Read protocol events until the run has ended."""
        while not self.events or not is_root_end(self.events[-1].data):
            self.events.append(next(self._live))


class Side:
    """A server, in one scene."""

    def __init__(self, url: str, scene: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=30)
        self.client = get_sync_client(url=url, api_key=None)
        self.scene = scene
        self.exchanges: dict[str, Recording] = {}

    def close(self) -> None:
        """Leave the server."""
        self.http.close()
        self.client.http.client.close()

    def id(self, name: str) -> str:
        """Return an id that is the same for both servers."""
        return str(uuid.uuid5(NAMES, f"{self.scene} {name}"))

    def thread(self, name: str, **given: Any) -> str:
        """Make a thread, and return its path."""
        id = self.id(f"thread {name}")
        made = self.http.post("/threads", json={"thread_id": id, **given})
        assert made.status_code == 200, made.text
        return f"/threads/{id}"

    def ask(
        self,
        name: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: str | None = None,
        headers: Mapping[str, str] | None = None,
        look: bool = True,
    ) -> Any:
        """Send a request, and return the JSON or the events that come back."""
        text = content if content is not None else None if body is None else json.dumps(body)
        sent = {"content-type": "application/json"} if text is not None else {}
        request = self.http.build_request(
            method, path, content=text, headers={**sent, **(headers or {})}
        )
        try:
            response = self.http.send(request)
        except httpx.TransportError:
            # The reference closes a connection behind the answer, when it is at fault.
            response = self.http.send(request)
        self._keep(name, method, path, response, response.text if look else "")
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return parse(response.text)
        try:
            return response.json()
        except ValueError:
            return None

    @contextmanager
    def reading(self, name: str, method: str, path: str, body: Any = None) -> Iterator[Kept]:
        """Read a stream as long as the block goes on."""
        with self.http.stream(method, path, json=body) as response:
            kept = Kept(response)
            yield kept
        frames = "".join(
            f"event: {event.name}\r\ndata: {json.dumps(event.data)}\r\n\r\n"
            for event in kept.events
        )
        self._keep(name, method, path, response, frames)

    def protocol(self, name: str, path: str, body: Any) -> None:
        """Read the events of a thread until its run has ended."""
        with self.reading(name, "POST", path, body) as stream:
            stream.to_root_end()

    def running(self, name: str, path: str, given: Any) -> str:
        """Start a run of `slow`, and return its id when it has said something."""
        body = {"assistant_id": "slow", "input": given, "stream_mode": ["custom"]}
        run_id = str(self.ask(name, "POST", f"{path}/runs", body)["run_id"])
        waiting.until(lambda: self.http.get(f"{path}/state").json()["next"] == ["tick"])
        return run_id

    def call(self, name: str, method: Callable[..., Any], *args: Any, **given: Any) -> Any:
        """Call a method of the client, and keep what it returns or raises."""
        try:
            result = method(*args, **given)
            if isinstance(result, Iterator):
                result = list(result)
        except Exception as error:
            result = {"raised": type(error).__name__, "text": str(error)}
        text = json.dumps(result, default=str)
        headers = {"content-type": "application/json"}
        self.exchanges[name] = Recording(name, "", "", {}, None, 200, headers, text)
        return result

    def _keep(self, name: str, method: str, path: str, response: httpx.Response, text: str) -> None:
        assert name not in self.exchanges, name
        text = text.replace(str(self.http.base_url).rstrip("/"), "http://server")
        status, headers = response.status_code, dict(response.headers)
        self.exchanges[name] = Recording(name, method, path, {}, None, status, headers, text)
