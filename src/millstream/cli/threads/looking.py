"""`millstream threads list`, `show` and `history`: what is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, dropwhile, islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from millstream.cli.failures import DONE, UsageError
from millstream.cli.threads.opening import (
    SCHEMA,
    AsJson,
    Database,
    Encrypted,
    Namespace,
    Schema,
    Thread,
    opened,
)
from millstream.cli.threads.showing import print_fields, print_json, print_rows

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

    from millstream.journal import Journal

Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")]

_THREAD: Final = ("thread_id", "updated", "step", "checkpoint_id", "checkpoint_ns")
_CHECKPOINT: Final = ("checkpoint_id", "ts", "source", "step", "parent_id", "waiting_writes")


def list_threads(
    database: Database,
    *,
    limit: Limit = None,
    after: Annotated[
        str | None, typer.Option("--after", help="Only those that began after this thread.")
    ] = None,
    schema: Schema = SCHEMA,
    encrypted: Encrypted = False,
    json: AsJson = False,
) -> int:
    """Print the threads of DATABASE, each with its newest checkpoint, as they began."""
    from millstream.journal.catalog import thread_ids

    with opened(database, schema, encrypted=encrypted) as journal:
        ids: Iterable[str] = thread_ids(journal)
        if after is not None:
            ids = _after(ids, after)
        print_rows(_threads(journal, islice(ids, limit)), _THREAD, as_json=json)
    return DONE


def show(
    database: Database,
    thread: Thread,
    *,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", help="Its id; the newest one if not given.")
    ] = None,
    ns: Namespace = "",
    schema: Schema = SCHEMA,
    encrypted: Encrypted = False,
    json: AsJson = False,
) -> int:
    """Print the values of a checkpoint of THREAD, and what tasks wrote next to it."""
    with opened(database, schema, encrypted=encrypted) as journal:
        found = find_checkpoint(journal, thread, ns, checkpoint)
    fields = {
        "thread_id": thread,
        **_described(found),
        "values": found.checkpoint["channel_values"],
        "metadata": found.metadata,
        "writes": [list(write) for write in found.pending_writes or ()],
    }
    if json:
        print_json(fields)
    else:
        print_fields(fields)
    return DONE


def history(
    database: Database,
    thread: Thread,
    *,
    limit: Limit = None,
    before: Annotated[
        str | None, typer.Option("--before", help="Only what is older than this checkpoint.")
    ] = None,
    ns: Namespace = "",
    schema: Schema = SCHEMA,
    encrypted: Encrypted = False,
    json: AsJson = False,
) -> int:
    """Print the checkpoints of THREAD, the newest first."""
    config: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": ns}}
    until: Any = {"configurable": {"checkpoint_id": before}}
    with opened(database, schema, encrypted=encrypted) as journal:
        found = journal.list(config, limit=limit, before=None if before is None else until)
        rows: Iterator[dict[str, Any]] = map(_described, found)
        first = next(rows, None)
        if first is None:
            if before is None:
                raise _missing(journal, thread, ns, None)
            find_checkpoint(journal, thread, ns, None)
        else:
            rows = chain((first,), rows)
        print_rows(rows, _CHECKPOINT, as_json=json)
    return DONE


def find_checkpoint(journal: Journal, thread: str, ns: str, id: str | None) -> CheckpointTuple:
    """Return a checkpoint, the newest one if it is not named, or say what is missing."""
    configurable = {"thread_id": thread, "checkpoint_ns": ns}
    if id is not None:
        configurable["checkpoint_id"] = id
    found = journal.get_tuple({"configurable": configurable})
    if found is None:
        raise _missing(journal, thread, ns, id)
    return found


def check_threads(journal: Journal, threads: Iterable[str]) -> None:
    """Say which of these threads a journal does not have."""
    from millstream.journal.catalog import namespaces

    for thread in threads:
        if not namespaces(journal, thread):
            raise UsageError(f"there is no thread {thread!r}")


def _missing(journal: Journal, thread: str, ns: str, id: str | None) -> UsageError:
    from millstream.journal.catalog import namespaces

    known = namespaces(journal, thread)
    if not known:
        return UsageError(f"there is no thread {thread!r}")
    what = "no checkpoint" if id is None else f"no checkpoint {id!r}"
    where = f"in its namespace {ns!r}" if ns else "outside of nested graphs"
    return UsageError(f"thread {thread!r} has {what} {where}; its namespaces are {known}")


def _after(ids: Iterable[str], last: str) -> Iterator[str]:
    rest = dropwhile(lambda id: id != last, ids)
    if next(rest, None) is None:
        raise UsageError(f"there is no thread {last!r}")
    return iter(rest)


def _threads(journal: Journal, ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    for thread_id in ids:
        config: Any = {"configurable": {"thread_id": thread_id}}
        # One that was only called from elsewhere may have nothing outside of nested graphs.
        found = journal.get_tuple(config) or next(journal.list(config, limit=1), None)
        row = {} if found is None else _described(found)
        yield {
            "thread_id": thread_id,
            "updated": row.get("ts"),
            "step": row.get("step"),
            "checkpoint_id": row.get("checkpoint_id"),
            "checkpoint_ns": None if found is None else _ns(found),
        }


def _ns(found: CheckpointTuple) -> str:
    ns: str = found.config["configurable"].get("checkpoint_ns", "")
    return ns


def _described(found: CheckpointTuple) -> dict[str, Any]:
    parent = found.parent_config
    return {
        "checkpoint_id": found.checkpoint["id"],
        "ts": found.checkpoint.get("ts"),
        "source": found.metadata.get("source"),
        "step": found.metadata.get("step"),
        "parent_id": None if parent is None else parent["configurable"]["checkpoint_id"],
        "waiting_writes": len(found.pending_writes or ()),
    }
