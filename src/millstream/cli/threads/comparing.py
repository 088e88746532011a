"""`millstream threads diff`: what two checkpoints do not have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from millstream.cli.failures import DONE, UsageError
from millstream.cli.threads.looking import find_checkpoint
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
from millstream.cli.threads.showing import print_json, print_rows

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

    from millstream.journal import Journal

_DIFFERENCE: Final = ("channel", "change", "how")


def diff(
    database: Database,
    thread: Thread,
    other: Annotated[
        str | None, typer.Argument(metavar="[OTHER]", help="Another thread; else the same.")
    ] = None,
    *,
    old: Annotated[
        str | None,
        typer.Option("--from", help="A checkpoint of THREAD: the one before --to, or the newest."),
    ] = None,
    new: Annotated[
        str | None, typer.Option("--to", help="A checkpoint of OTHER; the newest if not given.")
    ] = None,
    ns: Namespace = "",
    schema: Schema = SCHEMA,
    encrypted: Encrypted = False,
    json: AsJson = False,
) -> int:
    """Print which channels two checkpoints have in another way, of one thread or of two.

    Without options: what the last step of THREAD changed, or how the newest checkpoints differ.
    """
    from dataclasses import asdict

    from millstream.journal.differences import differences

    with opened(database, schema, encrypted=encrypted) as journal:
        after = find_checkpoint(journal, thread if other is None else other, ns, new)
        before = _before(journal, thread, ns, old, after if other is None else None)
        found = differences(_values(before), _values(after), journal.serde.dumps_typed)
        rows = [asdict(each) for each in found]
    names = {"from": _id(before), "to": _id(after)}
    if json:
        print_json({**names, "differences": rows})
    else:
        print_rows(
            rows or [{"channel": None, "change": None, "how": "no difference"}],
            _DIFFERENCE,
            as_json=False,
        )
    return DONE


def _before(
    journal: Journal, thread: str, ns: str, id: str | None, after: CheckpointTuple | None
) -> CheckpointTuple | None:
    """Return what is compared with: a checkpoint, or None where the first one has none before."""
    if id is not None or after is None:
        return find_checkpoint(journal, thread, ns, id)
    if after.parent_config is None:
        return None
    parent: str = after.parent_config["configurable"]["checkpoint_id"]
    try:
        return find_checkpoint(journal, thread, ns, parent)
    except UsageError:
        raise UsageError(
            f"checkpoint {parent!r}, which {_id(after)!r} goes on from, is not kept any more; "
            "give another one as --from"
        ) from None


def _values(found: CheckpointTuple | None) -> dict[str, Any]:
    return {} if found is None else found.checkpoint["channel_values"]


def _id(found: CheckpointTuple | None) -> str | None:
    return None if found is None else found.checkpoint["id"]
