"""`millstream threads list`, `show` and `history`: what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from millstream.cli.failures import DONE, UsageError
from millstream.cli.threads.opening import AsJson, Database, Thread, opened
from millstream.cli.threads.showing import print_fields, print_json, print_rows

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

    from millstream.journal import Journal

Namespace = Annotated[str, typer.Option("--ns", help="A nested graph's namespace.")]

_THREAD: Final = ("thread_id", "updated", "step", "checkpoint_id")
_CHECKPOINT: Final = ("checkpoint_id", "ts", "source", "step", "parent_id", "waiting_writes")


def list_threads(database: Database, *, json: AsJson = False) -> int:
    """Print the threads of DATABASE, each with its newest checkpoint."""
    with opened(database) as journal:
        print_rows(_threads(journal), _THREAD, as_json=json)
    return DONE


def show(
    database: Database,
    thread: Thread,
    *,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", help="Its id; the newest one if not given.")
    ] = None,
    ns: Namespace = "",
    json: AsJson = False,
) -> int:
    """Print the values of a checkpoint of THREAD, and what tasks wrote next to it."""
    configurable = {"thread_id": thread, "checkpoint_ns": ns}
    if checkpoint is not None:
        configurable["checkpoint_id"] = checkpoint
    with opened(database) as journal:
        found = journal.get_tuple({"configurable": configurable})
    if found is None:
        raise UsageError(f"there is no {_named(thread, checkpoint, ns)}")
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
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None,
    ns: Namespace = "",
    json: AsJson = False,
) -> int:
    """Print the checkpoints of THREAD, the newest first."""
    config: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": ns}}
    with opened(database) as journal:
        rows = map(_described, journal.list(config, limit=limit))
        first = next(rows, None)
        if first is None:
            raise UsageError(f"there is no {_named(thread, None, ns)}")
        print_rows(chain((first,), rows), _CHECKPOINT, as_json=json)
    return DONE


def thread_ids(journal: Journal) -> list[str]:
    """Return the ids of all threads, by their first line."""
    from millstream.journal.rows import FindLines

    lines = journal._storage.carry_out(FindLines(None))
    return list(dict.fromkeys(line.thread_id for line in lines))


def _threads(journal: Journal) -> Iterator[dict[str, Any]]:
    for thread_id in thread_ids(journal):
        found = journal.get_tuple({"configurable": {"thread_id": thread_id}})
        row = {} if found is None else _described(found)
        yield {
            "thread_id": thread_id,
            "updated": row.get("ts"),
            "step": row.get("step"),
            "checkpoint_id": row.get("checkpoint_id"),
        }


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


def _named(thread: str, checkpoint: str | None, ns: str) -> str:
    what = (
        f"thread {thread!r}" if checkpoint is None else f"checkpoint {checkpoint!r} of {thread!r}"
    )
    return f"{what} with the namespace {ns!r}" if ns else what
