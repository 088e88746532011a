"""The words of the protocol: channels, filters, answers to commands. Pure.

In the log the mode of a protocol event says which channel and which graph it belongs to. So a
filter decides once for all events of a kind, without looking into them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from millstream.server.log.event_ids import EventId
from millstream.server.log.run_log import PROTOCOL

CHANNELS: Final = (
    "values",
    "updates",
    "messages",
    "tools",
    "lifecycle",
    "input",
    "checkpoints",
    "tasks",
    "custom",
)
NAMED: Final = "custom:"
"""What the names of channels begin with that programs make."""
_EVENT_ID: Final = re.compile(r"(\d{1,15})-(\d{1,15})", re.ASCII)
_SEQ: Final = re.compile(r"-1|\d{1,16}", re.ASCII)


class ProtocolError(Exception):
    """A command, or a request for events, that is refused; with a code of the protocol."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> ProtocolError:
    """Return the error for parameters that are none."""
    return ProtocolError("invalid_argument", message)


def success(id: int, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a command that was carried out."""
    # What clients have read is theirs to know: nothing is behind them.
    return {"type": "success", "id": id, "result": result, "meta": {"applied_through_seq": 0}}


def failure(id: int | None, error: ProtocolError) -> dict[str, Any]:
    """Return the answer to a command that was refused."""
    return {"type": "error", "id": id, "error": error.code, "message": error.message}


def mode_of(channel: str, namespace: Sequence[str]) -> str:
    """Return the mode of the events of a channel about a graph."""
    return f"{PROTOCOL}{_plain(channel)}\n{'|'.join(namespace)}"


def _plain(channel: str) -> str:
    # Names of channels are the program's. A database takes no zeros.
    return channel.replace("\n", " ").replace("\0", " ")


class EventFilter:
    """Which events of a thread a reader gets: channels, graphs, how far below them."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        """Take what a client has sent; `ProtocolError` for what is no filter."""
        self.channels: Final = frozenset(_channels(params.get("channels")))
        self.namespaces: Final = _namespaces(params.get("namespaces"))
        self.depth: Final = _depth(params.get("depth"))
        self._known: dict[str, bool] = {}

    def __contains__(self, mode: object) -> bool:
        """Say whether events of a mode pass."""
        known = self._known.get(mode) if isinstance(mode, str) else False
        if known is None:
            assert isinstance(mode, str)
            known = self._known[mode] = self._lets_pass(mode)
        return known

    def _lets_pass(self, mode: str) -> bool:
        if not mode.startswith(PROTOCOL):
            return False
        channel, _, path = mode[len(PROTOCOL) :].partition("\n")
        is_wanted = channel in self.channels or (
            channel.startswith(NAMED) and "custom" in self.channels
        )
        return is_wanted and self._covers(path.split("|") if path else [])

    def _covers(self, namespace: Sequence[str]) -> bool:
        if not self.namespaces:
            return True
        return any(
            _begins_with(namespace, prefix)
            and (self.depth is None or len(namespace) - len(prefix) <= self.depth)
            for prefix in self.namespaces
        )


class Place:
    """Up to where a reader has read: nothing, a number, or the id of an event."""

    def __init__(self, seq: int = 0, id: EventId = (0, 0)) -> None:
        self.seq: Final = seq
        self.id: Final = id

    @classmethod
    def of(cls, params: Mapping[str, Any], last_event_id: str | None = None) -> Place:
        """Return the place that a request names; the header, or else what is in the body."""
        since = params.get("since")
        if since is not None and (type(since) is not int or since < 0):
            raise invalid("since must be a non-negative integer")
        since_id = params.get("since_event_id")
        if since_id is not None and not isinstance(since_id, str):
            raise invalid("since_event_id must be a string")
        if last_event_id is not None:
            text = last_event_id.strip()
            if _SEQ.fullmatch(text):
                return cls(seq=max(0, int(text)))
            return cls(id=_id_of(text))
        if since_id is not None:
            return cls(id=_id_of(since_id))
        return cls(seq=since or 0)

    def is_before(self, id: EventId, frame: bytes) -> bool:
        """Say whether an event comes after the place."""
        return id > self.id and (self.seq == 0 or seq_of(frame) > self.seq)


def seq_of(frame: bytes) -> int:
    """Return the number of a protocol event, which is the id of its frame."""
    return int(frame[frame.rindex(b"id: ") + 4 : -4])


def text_of(frame: bytes) -> str:
    """Return a protocol event as a text: what stands in the data of its frame."""
    return frame[frame.index(b"data: ") + 6 : frame.rindex(b"\r\nid: ")].decode()


def _id_of(text: str) -> EventId:
    # Ids of other servers are unknown here: everything is sent, and clients know what they have.
    found = _EVENT_ID.fullmatch(text)
    return (0, 0) if found is None else (int(found[1]), int(found[2]))


def _channels(given: Any) -> list[str]:
    if not isinstance(given, list) or not given:
        raise invalid("channels is required and must be a non-empty array")
    wrong = [
        str(channel)[:100]
        for channel in given
        if not isinstance(channel, str)
        or not (channel in CHANNELS or (channel.startswith(NAMED) and channel != NAMED))
    ]
    if wrong:
        raise invalid(
            f"channels contains unsupported entries: {', '.join(wrong)}. Allowed: "
            f"{', '.join(CHANNELS)}, or any `custom:<name>`."
        )
    return given


def _namespaces(given: Any) -> list[list[str]]:
    if given is None:
        return []
    is_valid = isinstance(given, list) and all(map(is_namespace, given))
    if not is_valid:
        raise invalid("namespaces must be an array of arrays of strings")
    found: list[list[str]] = given
    return found


def is_namespace(given: Any) -> bool:
    """Say whether something is a namespace."""
    return isinstance(given, list) and all(isinstance(segment, str) for segment in given)


def _depth(given: Any) -> int | None:
    if given is not None and (type(given) is not int or given < 0):
        raise invalid("depth must be a non-negative integer")
    return given


def _begins_with(namespace: Sequence[str], prefix: Sequence[str]) -> bool:
    """Say whether a graph is that of a prefix or below; a segment may name a node alone."""
    return len(prefix) <= len(namespace) and all(
        segment == wanted or (":" not in wanted and segment.partition(":")[0] == wanted)
        for segment, wanted in zip(namespace, prefix, strict=False)
    )
