"""The log: one line for each request and each run, as text or as JSON, with their ids.

Lines are formatted and written by a thread of their own: who logs hands over a record, and does not
wait. Nothing that clients send is in them but method, path and request id, and headers that the
configuration names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from millstream._base.texts import visible
from millstream.server.auth.guard import USER
from millstream.server.headers import request_id_of

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from millstream.server.headers import HeaderFilter
    from millstream.server.runs.active import ActiveRun
    from millstream.server.storage.run_records import End, Job

PROBES: Final = ("/ok", "/livez", "/readyz")
"""The paths that those go by who look after the process, all the time."""
_QUIET: Final = frozenset((*PROBES, "/metrics"))
_WAITING: Final = 10_000
"""Lines that wait to be written at most; more are left out, and counted."""

_requests = logging.getLogger("millstream.server.requests")
_runs = logging.getLogger("millstream.server.runs")
_run: ContextVar[Mapping[str, str] | None] = ContextVar("millstream_run", default=None)
"""The ids of the run that goes on here, whose nodes may log too."""


def enter_run(job: Job) -> None:
    """Have what is logged from here on, in this task, tell of which run it is."""
    _run.set({"run_id": job.run_id, "thread_id": job.thread_id})


def log_request(
    connection: HTTPConnection, status: int, began: float, headers: HeaderFilter
) -> None:
    """Tell of a request that has been answered."""
    scope = connection.scope
    # Where the application is mounted, this is behind what it is mounted at.
    asked = scope["path"].removeprefix(scope.get("root_path", ""))
    level = logging.DEBUG if asked in _QUIET else logging.INFO
    if not _requests.isEnabledFor(level):
        return
    user = scope.get(USER)
    method = scope.get("method", "WEBSOCKET")
    path = quote(scope["path"], safe="/:@!$&'()*+,;=~")
    fields: dict[str, Any] = {
        "method": method,
        "path": path,
        "status": status,
        "ms": _ms(monotonic() - began),
        "request_id": request_id_of(connection),
    }
    if user is not None and user.identity:
        fields["user"] = user.identity
    fields.update(headers.of(connection.headers))
    _requests.log(level, "%s %s %s", method, path, status, extra={"fields": fields})


def log_run(active: ActiveRun, end: End, status: str | None) -> None:
    """Tell of a run that has ended, or that goes on in another process."""
    if not _runs.isEnabledFor(logging.INFO):
        return
    job = active.job
    fields: dict[str, Any] = {
        "run_id": job.run_id,
        "thread_id": job.thread_id,
        "assistant_id": job.assistant_id,
        "graph_id": job.graph_id,
        "status": status or "lost",
        "attempt": job.attempt,
        "ms": _ms(monotonic() - active.began_at),
        "events": active.log.last,
        "request_id": job.kwargs["config"]["configurable"].get("langgraph_request_id"),
    }
    if end.error is not None:
        # Its text may tell what is in the state.
        fields["error"] = end.error.get("error")
    if end.raised_at is not None:
        fields["at"] = end.raised_at
    _runs.info("run of %s: %s", job.graph_id, fields["status"], extra={"fields": fields})


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


@contextmanager
def writing(format: str, level: str) -> Iterator[None]:
    """Have all that this process logs written to stderr until the block ends."""
    root, own = logging.getLogger(), logging.getLogger("millstream")
    target = logging.StreamHandler()
    target.setFormatter(_Json() if format == "json" else _Text())
    lines: Queue[Any] = Queue(_WAITING)
    handler, listener = _Handing(lines), _Listener(lines, target)
    before = root.level, own.level
    # What others log, such as the addresses that are called, is for those who ask for it.
    root.setLevel(logging.WARNING)
    own.setLevel(level.upper())
    root.addHandler(handler)
    logging.captureWarnings(True)
    listener.start()
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(before[0])
        own.setLevel(before[1])
        listener.stop()


class _Handing(QueueHandler):
    """Hands records over as they are; when too many wait, they are left out."""

    left_out = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        # From here on another thread has it.
        record.__dict__["run"] = _run.get()
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        record.__dict__["left_out"] = self.left_out
        try:
            self.queue.put_nowait(record)
        except Full:
            self.left_out += 1
        else:
            self.left_out = 0


class _Listener(QueueListener):
    """Writes what is handed over; at the end, all that waits."""

    def enqueue_sentinel(self) -> None:
        lines: Any = self.queue
        lines.put(None)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record tells besides its text."""
    fields = {**(getattr(record, "run", None) or {}), **getattr(record, "fields", {})}
    left_out = getattr(record, "left_out", 0)
    return {**fields, "lines_left_out": left_out} if left_out else fields


class _Json(logging.Formatter):
    """An object in each line."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(told, str).decode()


class _Text(logging.Formatter):
    """A line for people; what an error tells is in lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in fields_of(record).items())
        line = f"{record.levelname} {record.name}: {record.getMessage()}{fields}"
        line = visible(f"{_time_of(record)} {line}".replace("\n", "\n  "))
        if record.exc_info:
            line += f"\n{visible(self.formatException(record.exc_info))}"
        return line


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
