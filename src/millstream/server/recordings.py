"""What is stored of a run, as the lines of a recording: see docs/recording.md.

The server keeps what a run has said in the modes that its client asked for, as JSON. So the values
of these lines are JSON, too, but for messages and their tokens, of which the class is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from millstream.modes.names import MESSAGES
from millstream.recording.lines import AT, COUNT, END, FORMAT, HEADER, STARTED, Status
from millstream.server import sse
from millstream.server.log.run_log import ERROR, PROTOCOL, Entry
from millstream.version import __version__

ENDS: Final[Mapping[str, Status]] = {
    "success": "success",
    "interrupted": "interrupted",
    "error": "error",
    "timeout": "error",
}
"""What the status of a run is in a recording."""
PROTOCOL_EVENT: Final = "protocol"
"""The mode of lines that are protocol events, as the API gives them."""
CLASSES: Final[Mapping[str, str]] = {
    "ai": "AIMessage",
    "human": "HumanMessage",
    "system": "SystemMessage",
    "tool": "ToolMessage",
    "AIMessageChunk": "AIMessageChunk",
    "HumanMessageChunk": "HumanMessageChunk",
    "SystemMessageChunk": "SystemMessageChunk",
    "ToolMessageChunk": "ToolMessageChunk",
}
"""The class of a message by its type."""


class RunLines:
    """Makes the lines of one run, in order: the first, its events, the last."""

    def __init__(self, run: Mapping[str, Any], graph: str, drawing: Any) -> None:
        self._run = run
        self._graph = graph
        self._drawing = drawing
        self._started = 0
        self._at = 0
        self._count = 0
        self._error: dict[str, Any] | None = None

    def begin(self, first: Entry) -> bytes:
        """Return the first line, given the first event."""
        self._started = first.ms
        run = self._run
        return _line(
            {
                HEADER: FORMAT,
                STARTED: first.ms * 1000,
                "source": "server",
                "graph": self._graph,
                "namespace": [],
                "stream_mode": "values",
                "input": run["kwargs"].get("input"),
                "configurable": {"thread_id": run["thread_id"], "run_id": run["run_id"]},
                "drawing": self._drawing,
                "versions": {"millstream": __version__},
            }
        )

    def take(self, entries: Iterable[Entry]) -> bytes:
        """Return the lines of events."""
        return b"".join(self._lines(entries))

    def _lines(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        for entry in entries:
            self._at = (entry.ms - self._started) * 1000
            name, text = sse.parsed(entry.frame)
            data = orjson.loads(text)
            if entry.mode == ERROR:
                self._error = data
                continue
            self._count += 1
            mode, *namespace = name.split("|")
            if entry.mode.startswith(PROTOCOL):
                mode, namespace = PROTOCOL_EVENT, data.get("params", {}).get("namespace", [])
            elif mode == MESSAGES and isinstance(data, list) and len(data) == 2:
                data = {"$tuple": [_message(data[0]), data[1]]}
            yield _line({AT: self._at, "ns": namespace, "mode": mode, "data": data})

    def end(self) -> bytes:
        """Return the last line."""
        last: dict[str, Any] = {AT: self._at, END: ENDS.get(self._run["status"], "cancelled")}
        if self._error is not None:
            kind, text = self._error.get("error", "Error"), self._error.get("message", "")
            last["error"] = {"$error": {"class": kind, "text": text}}
        return _line({**last, COUNT: self._count})


def _message(message: Any) -> Any:
    kind = CLASSES.get(str(message.get("type"))) if isinstance(message, dict) else None
    if kind is None:
        return message
    return {"$message": kind, **{k: v for k, v in message.items() if not k.startswith("$")}}


def _line(data: Mapping[str, Any]) -> bytes:
    return orjson.dumps(data) + b"\n"
