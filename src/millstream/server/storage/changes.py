"""Changes of threads that take more than one transaction, because checkpoints are stored elsewhere.

The first transaction notes what is under way, the last one that it is done. So a process that ends
in between leaves nothing half done: the next one finishes it, or takes it back.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from sqlalchemy import Connection, and_, delete, exists, or_, select

from millstream.server.errors import ApiError, not_found
from millstream.server.storage import run_statements as statements
from millstream.server.storage.locks import lock_thread
from millstream.server.storage.tables import STILL, runs, thread_changes, threads
from millstream.server.storage.times import now

Kind: TypeAlias = Literal["update", "creation", "removal", "remains"]
"""What is under way with a thread.

- `update`: somebody changes its state. No run begins meanwhile, and none goes on.
- `creation`: it gets the state that it is made with. As nobody knows of it, nothing may be left of
  it if that comes to nothing. No run begins meanwhile.
- `removal`: it is deleted, and nothing may be left of it.
- `remains`: it was that of a run alone; its checkpoints are not deleted yet.
"""


class Left(NamedTuple):
    """What somebody has begun and not ended."""

    thread_id: str
    kind: Kind


def begin(connection: Connection, thread_id: str, kind: Kind, holder: str) -> None:
    """Note what a replica does with a thread; `ApiError` if something else is under way."""
    known = statements.CHANGE.first(connection, id=thread_id)
    if known is not None and known.kind == "remains" and kind == "removal":
        end(connection, thread_id)
    elif known is not None:
        raise ApiError(409, f"Thread {thread_id} is being changed by another request: try again")
    _add(connection, thread_id, kind, holder)


def _add(connection: Connection, thread_id: str, kind: Kind, holder: str | None) -> None:
    statements.ADD_CHANGE.run(
        connection, thread_id=thread_id, kind=kind, begun_at=now(connection), holder=holder
    )


def begin_update(connection: Connection, thread_id: str, holder: str) -> None:
    """Note that a replica changes the state of a thread; `ApiError` while a run changes it."""
    lock_thread(connection, thread_id)
    known = select(threads.c.thread_id).where(threads.c.thread_id == thread_id)
    if connection.scalar(known) is None:
        raise not_found(f"Thread with ID {thread_id}")
    # One that was begun goes on, also if whoever carried it out has ended.
    is_begun = or_(runs.c.status == "running", and_(runs.c.status == "pending", runs.c.attempt > 0))
    run_id = connection.scalar(
        select(runs.c.run_id).where(runs.c.thread_id == thread_id, is_begun).limit(1)
    )
    if run_id is not None:
        raise ApiError(
            409,
            f"Run {run_id} is under way in thread {thread_id}, and what it stores would take the "
            f"place of this update: wait for its end (GET /threads/{thread_id}/runs/{run_id}/join) "
            f"or cancel it (POST /threads/{thread_id}/runs/{run_id}/cancel?wait=true), and then "
            "update the state",
        )
    begin(connection, thread_id, "update", holder)


def taken_over(thread_id: str) -> ApiError:
    """Return the error for who was doing something with a thread, and was taken for dead."""
    return ApiError(
        409,
        f"The server that was changing thread {thread_id} was taken for dead, and another one has "
        "taken that over: look at the thread, and try again if it is not as it should be",
    )


def leave_remains(connection: Connection, thread_id: str) -> None:
    """Note that checkpoints are to be deleted, unless all of their thread is."""
    if statements.CHANGE.first(connection, id=thread_id) is None:
        # Any replica may see to that.
        _add(connection, thread_id, "remains", None)


def forget_empty(connection: Connection, thread_id: str) -> None:
    """Delete a thread that was for a run alone which is not there any more."""
    is_empty = ~exists().where(runs.c.thread_id == thread_id)
    connection.execute(
        delete(threads).where(
            threads.c.thread_id == thread_id, threads.c.is_temporary.is_(True), is_empty
        )
    )


def end(connection: Connection, thread_id: str) -> None:
    """Note that what was under way with a thread is done."""
    statements.END_CHANGE.run(connection, id=thread_id)


def end_own(connection: Connection, thread_id: str, holder: str) -> None:
    """Note that it is done, unless another replica has taken it over."""
    statements.END_OWN_CHANGE.run(connection, id=thread_id, holder=holder)


def hold_own(connection: Connection, thread_id: str, holder: str) -> bool:
    """Keep others from taking over what a replica does with a thread; False if one has done so."""
    mine = (thread_changes.c.thread_id == thread_id, thread_changes.c.holder == holder)
    query = select(thread_changes.c.kind).where(*mine).with_for_update()
    return connection.scalar(query) is not None


def end_remains(connection: Connection, thread_id: str) -> None:
    """Note that nothing remains, if that was what was noted."""
    statements.END_REMAINS.run(connection, id=thread_id)


def remains(connection: Connection) -> list[str]:
    """Return the threads of whose checkpoints something may remain."""
    query = select(thread_changes.c.thread_id).where(thread_changes.c.kind == "remains")
    return list(connection.scalars(query))


def is_still(connection: Connection, thread_id: str) -> bool:
    """Say whether a run that is asked for in a thread has to wait."""
    found = statements.CHANGE.first(connection, id=thread_id)
    return found is not None and found.kind in STILL


def take_back(connection: Connection, thread_id: str) -> None:
    """Delete a thread of which nothing may be left, and note that it is done."""
    connection.execute(delete(threads).where(threads.c.thread_id == thread_id))
    end(connection, thread_id)
