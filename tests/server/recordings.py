"""Recorded exchanges with the reference server, replayed against ours.

`MILLSTREAM_RECORDINGS` names their folder; beside the repository it is found without. What the
recorded ids are here is learnt from the answers: where a recorded id stands, ours is its
counterpart from then on, in paths and bodies of later requests too.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import httpx
import pytest

import waiting
from server.fixtures import Running
from server.streams import Event, live, parse

FOLDER: Final = Path(
    os.environ.get("MILLSTREAM_RECORDINGS")
    or Path(__file__).parents[3] / "shared" / "spec" / "server-recordings"
)
WITH_RECORDINGS: Final = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the recordings are not part of the repository"
)
ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?(\+00:00|Z)")
THREAD: Final = re.compile(r"/threads/([0-9a-f-]{36})")
WHOLE: Final = re.compile(r"(lc_run--[0-9a-f-]{36})-0$")
"""The id of a message that came in one piece, which the recorded server sometimes shortened."""
EVENT_ID: Final = re.compile(r"\d{13}-\d+")
RUN: Final = re.compile(r"/runs/([0-9a-f-]{36})")
Part: TypeAlias = Literal["all", "start", "end"]
"""Which part of a stream has to be the same, where somebody came late or left early."""
CHUNK: Final = re.compile(r"^\[\+[\d.]+ms \d+B\] ", re.MULTILINE)
COMPARED: Final = (
    "content-type",
    "location",
    "content-location",
    "x-pagination-total",
    "x-pagination-next",
    "cache-control",
    "x-accel-buffering",
)
"""The headers that clients go by."""
BEGINNING: Final = "?last_event_id=-1"
"""What the address of a resumable stream ends with, by docs/server-compatibility.md."""
UNCOMPARED: Final = {
    # What versions, machines and requests are called.
    "version",
    "langgraph_py_version",
    "langgraph_version",
    "langgraph_api_version",
    "langgraph_plan",
    "langgraph_host",
    "langgraph_api_url",
    "langgraph_request_id",
    "langgraph_auth_user",
    "langgraph_auth_user_id",
    "langgraph_auth_permissions",
    "langsmith_tracing_replicas",
    "langsmith_tracing_session_on_runs",
    "langsmith_session_name",
    "__request_start_time_ms__",
    "user_id",
    "ls_integration",
    "lc_versions",
    # When a model of OpenAI's API was made.
    "created",
}
"""What answers may have or not, by docs/server-compatibility.md."""


@dataclass
class Recording:
    """One exchange."""

    name: str
    method: str
    path: str
    sent_headers: dict[str, str]
    sent: str | None
    status: int
    headers: dict[str, str]
    body: str

    @property
    def is_stream(self) -> bool:
        """Whether it was answered with events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")


def load(name: str) -> Recording:
    """Return a recording by its name."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    head, _, rest = text.partition("< -- total")
    requested = [line[2:] for line in head.splitlines() if line.startswith("> ")]
    answered = [line[2:] for line in head.splitlines() if line.startswith("< ")]
    method, _, path = requested[0].partition(" ")
    sent_headers, sent = {}, None
    for line in requested[1:]:
        match = re.fullmatch(r"([A-Za-z-]+): (.*)", line)
        if match and sent is None:
            sent_headers[match[1]] = match[2]
        else:
            sent = line if sent is None else f"{sent}\n{line}"
    headers = dict(line.partition(": ")[::2] for line in answered[1:])
    chunks = CHUNK.split(rest.partition("\n")[2])[1:]
    body = "".join(chunk[:-1] if chunk.endswith("\n") else chunk for chunk in chunks)
    return Recording(name, method, path, sent_headers, sent, int(answered[0]), headers, body)


def events(text: str) -> Iterator[tuple[str, Any]]:
    """Yield names and payloads of a stream's events; heartbeats are none."""
    for frame in re.split(r"(?:\r?\n){2}", text.replace("\\r\\n", "")):
        fields = dict(
            line.partition(": ")[::2] for line in frame.splitlines() if not line.startswith(":")
        )
        if "event" in fields or "data" in fields:
            yield fields.get("event", "message"), json.loads(fields.get("data") or "null")


@dataclass
class Replay:
    """What recorded ids are here."""

    server: Running
    ids: dict[str, str] = field(default_factory=dict)
    """Recorded id -> ours."""
    event_ids: dict[str, str] = field(default_factory=dict)
    """The same for those of events of streams."""

    def play(self, recording: Recording, *, optional: frozenset[str] = frozenset()) -> list[str]:
        """Send what was sent, and return how the answer differs from the recorded one.

        Keys and headers that are `optional` may differ.
        """
        if recording.is_stream and recording.path.endswith("/stream/events"):
            return self._play_protocol(recording, optional)
        with self.sending(recording) as response:
            response.read()
        return self.compare_answers(
            recording, response.status_code, response.headers, response.text, optional
        )

    def compare_answers(
        self,
        recording: Recording,
        status: int,
        headers: Mapping[str, str],
        text: str,
        optional: frozenset[str] = frozenset(),
    ) -> list[str]:
        """Return how an answer differs from the recorded one."""
        if status != recording.status:
            return [f"status {status}, not {recording.status}: {text}"]
        found = self.compare_heads(recording, headers, optional)
        if recording.is_stream and recording.path.endswith("/stream/events"):
            recorded = [payload for _, payload in events(recording.body)]
            return found + self.compare_protocol(recorded, [e.data for e in parse(text)], optional)
        return found + self._compare_bodies(recording, text, optional)

    @contextmanager
    def sending(self, recording: Recording) -> Iterator[httpx.Response]:
        """Send what was sent; the body of the answer is not read yet."""
        self._make_thread(recording)
        sent = None if recording.sent is None else self.ours(recording.sent)
        headers = {name: self.ours(text) for name, text in recording.sent_headers.items()}
        if sent:
            headers = {"content-type": "application/json", **headers}
        path = self.ours(recording.path)
        with self.server.http.stream(
            recording.method, path, content=sent, headers=headers
        ) as response:
            yield response

    def compare_heads(
        self, recording: Recording, headers: Mapping[str, str], optional: frozenset[str]
    ) -> list[str]:
        """Return how headers differ."""
        found = []
        for name in COMPARED:
            expected, got = recording.headers.get(name), headers.get(name)
            if name == "location" and got is not None and not (expected or "").endswith(BEGINNING):
                got = got.removesuffix(BEGINNING)
            if name not in optional and (expected or got):
                found += self.compare(expected, got, f"header {name}", optional)
        return found

    def start(self, recording: Recording, body: Mapping[str, Any]) -> None:
        """Create the run that a recording is about and that was not recorded."""
        self._make_thread(recording)
        thread_id, run_id = THREAD.match(recording.path), RUN.search(recording.path)
        assert thread_id
        made = self.server.http.post(f"/threads/{self.ids[thread_id[1]]}/runs", json=body)
        assert made.status_code == 200, made.text
        if run_id:
            self.ids[run_id[1]] = made.json()["run_id"]

    def until_over(self, recording: Recording) -> None:
        """Wait for the end of the runs of the thread that a recording is about."""
        thread_id = THREAD.match(recording.path)
        assert thread_id
        path = f"/threads/{self.ids[thread_id[1]]}/runs"
        waiting.until(
            lambda: (
                not {"pending", "running"}
                & {r["status"] for r in self.server.http.get(path).json()}
            )
        )

    def _play_protocol(self, recording: Recording, optional: frozenset[str]) -> list[str]:
        """Return how events of the protocol differ, of which each channel has an order."""
        recorded = [payload for _, payload in events(recording.body)]
        ends = sum(map(is_root_end, recorded))
        ours: list[Any] = []
        with self.sending(recording) as response:
            assert response.status_code == recording.status
            found = self.compare_heads(recording, response.headers, optional)
            reading = live(response)
            while ends > sum(map(is_root_end, ours)):
                ours.append(next(reading).data)
        return found + self.compare_protocol(recorded, ours, optional)

    def compare_protocol(
        self, recorded: Sequence[Any], ours: Sequence[Any], optional: frozenset[str]
    ) -> list[str]:
        """Return how events of the protocol differ."""
        found = []
        for method in ("lifecycle", "values", "messages", "tools", "input.requested"):
            if method in optional:
                continue
            of_both = [
                [event["params"] for event in those if event["method"] == method]
                for those in (recorded, ours)
            ]
            found += self.compare(*of_both, method, optional | {"timestamp"})
        return found

    def compare(
        self, recorded: Any, ours: Any, where: str, optional: frozenset[str] = frozenset()
    ) -> list[str]:
        """Return how two values differ."""
        if isinstance(recorded, dict) and isinstance(ours, dict):
            if len(recorded) == len(ours) == 1:
                self._learn(*recorded, *ours)  # A message or a task by its id.
            recorded = self._with_our_ids(recorded)
            ours = {WHOLE.sub(r"\1", key): value for key, value in ours.items()}
            unneeded = UNCOMPARED | optional
            found = [
                f"{where} has {'no' if key in recorded else 'also'} {key}"
                for key in {*recorded} ^ {*ours}
                if key not in unneeded
            ]
            for key in recorded:
                if key in ours and key not in unneeded:
                    found += self.compare(recorded[key], ours[key], f"{where}.{key}", optional)
            return found
        if isinstance(recorded, list) and isinstance(ours, list):
            if len(recorded) != len(ours):
                return [f"{where} has {len(ours)} items, not {len(recorded)}: {ours}"]
            if where.endswith(".tools"):
                recorded, ours = (sorted(those, key=_name) for those in (recorded, ours))
            pairs = zip(recorded, ours, strict=True)
            return [
                difference
                for n, (one, other) in enumerate(pairs)
                for difference in self.compare(one, other, f"{where}[{n}]", optional)
            ]
        if isinstance(recorded, str) and isinstance(ours, str):
            recorded, ours = WHOLE.sub(r"\1", recorded), WHOLE.sub(r"\1", ours)
            self._learn(recorded, ours)
            recorded, ours = TIME.sub(r"TIME\1", self.ours(recorded)), TIME.sub(r"TIME\1", ours)
        if recorded != ours or type(recorded) is not type(ours):
            return [f"{where} is {ours!r}, not {recorded!r}"]
        return []

    def _compare_bodies(
        self, recording: Recording, ours: str, optional: frozenset[str]
    ) -> list[str]:
        if recording.is_stream:
            return self.compare_events(recording, parse(ours), optional)
        try:
            recorded_json, our_json = json.loads(recording.body), json.loads(ours)
        except ValueError:
            return self.compare(recording.body, ours, "body", optional)
        return self.compare(recorded_json, our_json, "body", optional)

    def compare_events(
        self,
        recording: Recording,
        ours: Sequence[Event],
        optional: frozenset[str],
        part: Part = "all",
    ) -> list[str]:
        """Return how the events of streams differ."""
        recorded = [*events(recording.body)]
        ids = EVENT_ID.findall("".join(re.findall(r"^id: .*$", recording.body, re.MULTILINE)))
        if part != "all":
            common = min(len(recorded), len(ours))
            one = slice(common) if part == "start" else slice(len(recorded) - common, None)
            other = slice(common) if part == "start" else slice(len(ours) - common, None)
            recorded, ours = recorded[one], ours[other]
        names, our_names = [name for name, _ in recorded], [event.name for event in ours]
        found = self.compare(names, our_names, "events", optional)
        if found:
            return [*found, f"recorded: {names}", f"ours: {our_names}"]
        for n, ((name, payload), event) in enumerate(zip(recorded, ours, strict=True)):
            found += self.compare(payload, event.data, f"{n} {name}", optional)
        if len(ids) == len(ours):
            # Where several shared an id, who came back with it had seen them all.
            self.event_ids.update(zip(ids, (event.id or "" for event in ours), strict=True))
        return found

    def _with_our_ids(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        return {WHOLE.sub(r"\1", self.ours(key)): value for key, value in recorded.items()}

    def _learn(self, recorded: str, ours: str) -> None:
        expected, got = ID.findall(recorded), ID.findall(ours)
        if len(expected) == len(got):
            for one, other in zip(expected, got, strict=True):
                self.ids.setdefault(one, other)

    def ours(self, text: str) -> str:
        """Return a text with our ids for recorded ones."""
        text = EVENT_ID.sub(lambda match: self.event_ids.get(match[0], match[0]), text)
        return ID.sub(lambda match: self.ids.get(match[0], match[0]), text)

    def _make_thread(self, recording: Recording) -> None:
        # Most threads were made by exchanges that are not among the recordings.
        match = THREAD.match(recording.path)
        if match and match[1] not in self.ids and recording.status != 404:
            made = self.server.http.post("/threads", json={"thread_id": str(uuid.uuid4())})
            self.ids[match[1]] = made.json()["thread_id"]


def _name(tool: Mapping[str, Any]) -> str:
    return str(tool["name"])


def is_root_end(event: Mapping[str, Any]) -> bool:
    """Say whether an event of the protocol is the end of a run."""
    params = event["params"]
    is_root = event["method"] == "lifecycle" and not params["namespace"]
    return is_root and params["data"]["event"] != "running"
