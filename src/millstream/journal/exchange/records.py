"""A checkpoint on its way between a journal and tables of LangGraph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import Any, Final, Protocol

from langgraph.checkpoint.serde.base import CipherProtocol

from millstream.journal.drafts import Typed

SENDS: Final = "pending_sends"
"""Where formats before the fourth keep what was sent to nodes."""
TASKS: Final = "__pregel_tasks"
FIELDS: Final = (
    "v",
    "ts",
    "id",
    "channel_values",
    "channel_versions",
    "versions_seen",
    "updated_channels",
)
"""What a checkpoint has, in this order."""


class ExchangeError(ValueError):
    """Something cannot be imported or exported; says what, and what to do."""


class RowsError(ExchangeError):
    """A thread cannot be moved because of one of its rows; others can."""


class LeftOutError(ExchangeError):
    """Threads could not be moved; all others were."""

    def __init__(self, report: Report, reasons: Mapping[str, str]) -> None:
        self.report = report
        """What was moved."""
        self.reasons = reasons
        """By thread."""
        first, *more = reasons.values()
        also = f" (and {len(more)} more)" if more else ""
        count = f"{len(reasons)} of {report.threads + len(reasons)} threads"
        super().__init__(f"{count} were left out: {first}{also}")


@dataclass(slots=True)
class Write:
    """One write of a task."""

    task_id: str
    path: str
    index: int
    channel: str
    typed: Typed


@dataclass(slots=True)
class Record:
    """A checkpoint, and what tasks wrote next to it."""

    thread_id: str
    ns: str
    id: str
    parent: str | None
    fields: dict[str, Any]
    """Of `FIELDS`, those that it has, but for the values."""
    values: dict[str, Typed]
    extra: dict[str, bytes]
    """What else the checkpoint has, as msgpack."""
    metadata: dict[str, Any]
    writes: list[Write] = field(default_factory=list)
    size: int = 0
    """Bytes of it, about."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ns = f", namespace {self.ns!r}" if self.ns else ""
        return f"checkpoint {self.id!r} of thread {self.thread_id!r}{ns}"


@dataclass(slots=True)
class Report:
    """What was moved."""

    threads: int = 0
    """Threads that were looked at."""
    checkpoints: int = 0
    """Those that were not there before."""
    writes: int = 0
    """As well."""
    present: int = 0
    """Checkpoints that were there."""

    def add(self, other: Report) -> None:
        """Count what another one says, too."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


class Tables(Protocol):
    """Where LangGraph's savers keep threads."""

    @property
    def path(self) -> str:
        """What errors call it."""

    def places(self, thread_ids: Sequence[str] | None) -> Sequence[tuple[str, str]]:
        """Return threads and namespaces, of all threads if None."""

    def count(self, places: Sequence[tuple[str, str]]) -> int:
        """Return how many checkpoints are there."""

    def records(self, thread_id: str, ns: str) -> Iterator[Record]:
        """Yield checkpoints, the oldest first."""

    def found(self, thread_id: str, ns: str, ids: Sequence[str]) -> set[str]:
        """Return which of some checkpoints are there."""

    def write(self, records: Sequence[Record], known: set[str]) -> int:
        """Store checkpoints but for those that are known, and all writes, in one transaction.

        Returns how many writes were not there before.
        """

    def close(self) -> None:
        """Let go of the database."""


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Name what cannot be read because it makes no sense."""
    try:
        yield
    except ExchangeError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise RowsError(f"{name} cannot be read: {error}") from error


@contextmanager
def using(path: str, errors: type[Exception], what: str) -> Iterator[None]:
    """Name the database that has failed; `what` could not be done with it."""
    try:
        yield
    except errors as error:
        raise ExchangeError(f"{path} cannot be {what}: {' '.join(str(error).split())}") from error


def check(record: Record) -> None:
    """Refuse what is no checkpoint.

    Raises:
        ValueError: It says what is wrong.
    """
    own = record.fields
    if own.get("id") != record.id:
        raise ValueError(f"its row has the id {record.id!r}, and what is stored {own.get('id')!r}")
    versions, seen = own.get("channel_versions", {}), own.get("versions_seen", {})
    by_name = (versions, seen, record.metadata, *(seen.values() if isinstance(seen, dict) else ()))
    for each in by_name:
        if not isinstance(each, dict) or not all(isinstance(name, str) for name in each):
            raise ValueError(f"versions and metadata are dicts by name, not {each!r}")


def places_in(
    ask: Callable[..., list[tuple[Any, ...]]], mark: str, thread_ids: Sequence[str] | None
) -> Sequence[tuple[str, str]]:
    """Return threads and namespaces, of all threads if None; `mark` stands for a value."""
    query = "SELECT DISTINCT thread_id, checkpoint_ns FROM checkpoints"
    if thread_ids is None:
        return [(thread, ns) for thread, ns in ask(f"{query} ORDER BY 1, 2")]
    return [
        (thread, ns)
        for id in thread_ids
        for thread, ns in ask(f"{query} WHERE thread_id = {mark} ORDER BY 2", (id,))
    ]


def opened(kind: Any, data: Any, cipher: CipherProtocol | None, name: str) -> Typed:
    """Return a value that may be encrypted, as it was before."""
    if data is None:
        data = b""
    if not isinstance(kind, str) or not isinstance(data, (bytes, memoryview)):
        raise RowsError(f"{name} cannot be read: it has no format, or no bytes")
    kind, _, how = kind.partition("+")
    data = bytes(data)
    if not how:
        return kind, data
    if cipher is None:
        raise ExchangeError(
            f"{name} cannot be read, it is encrypted: give the journal its serializer"
        )
    try:
        return kind, cipher.decrypt(how, data)
    except Exception as error:  # each cipher has its own
        raise ExchangeError(
            f"{name} cannot be decrypted; is it another key? {type(error).__name__}: {error}"
        ) from error


def sealed(typed: Typed, cipher: CipherProtocol | None) -> Typed:
    """Return what `EncryptedSerializer` would store of a value."""
    if cipher is None:
        return typed
    how, data = cipher.encrypt(typed[1])
    return f"{typed[0]}+{how}", data


def with_text_versions(record: Record) -> Record:
    """Return a record whose versions are texts, as all savers of LangGraph have them.

    They cannot go on with numbers: a thread would have both, which do not compare. What is the same
    number and another value, on another branch, gets another text, because tables may keep values
    by version.
    """
    versions: Mapping[str, Any] = record.fields.get("channel_versions") or {}
    seen: Mapping[str, Mapping[str, Any]] = record.fields.get("versions_seen") or {}
    if not any(type(each) is int for of in (versions, *seen.values()) for each in of.values()):
        return record
    texts = {name: _text(each, name, record.values.get(name)) for name, each in versions.items()}
    record.fields["channel_versions"] = texts
    record.fields["versions_seen"] = {
        node: {
            name: texts[name] if versions.get(name) == each else _text(each, name, None)
            for name, each in of.items()
        }
        for node, of in seen.items()
    }
    return record


def _text(version: Any, channel: str, typed: Typed | None) -> Any:
    if type(version) is not int:
        return version
    digest = blake2b(channel.encode(), digest_size=6)
    if typed is not None:
        digest.update(typed[0].encode() + b"\0")
        digest.update(typed[1])
    return f"{version:032}.0.{int.from_bytes(digest.digest(), 'big'):016}"
