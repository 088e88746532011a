"""What a journal asks of whatever keeps its rows.

A `Storage` decides nothing. It carries out the requests of `rows`, each of them as one statement or
transaction that is seen as a whole or not at all, and answers with rows. What is in them is none of
its concern: bodies are bytes. To put a journal on another database, write a class with these
methods, and a `Lane` if the shared one does not fit, and prove it with `tests/journal`.

What a storage has to see to:

- `Commit` compares the counter of each batch's line with what the line has, and writes the batch
  only if they are the same (a line that `is_new` must not be there). Two processes that commit to
  one line at the same time must not both be told that it was. In a batch, `unnamed` comes first.
  No two batches of a `Commit` are of one line: whoever writes a lane of his own sees to that, for
  the later one must not be written where the earlier one was refused (see `lanes`).
- Numbers are never used twice, also not those of lines that were deleted: rows that an old writer
  still names must not become somebody else's.
- Ids are compared as text by code point: not by the rules of a language.
- `FindCheckpoint` sees one state of the database: line, rows and writes belong together.
- Threads and event loops may call it at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from millstream.journal.reading import Requests
from millstream.journal.rows import Commit, Request

ResultT = TypeVar("ResultT")


class WouldWait(Exception):
    """A request cannot be carried out at once; nothing of it was."""


class JournalClosedError(RuntimeError):
    """A journal was used after it was closed."""


class NewerSchemaError(RuntimeError):
    """A database was written by a newer version of millstream."""

    def __init__(self, place: str, found: int, known: int) -> None:
        super().__init__(place, found, known)
        self.place = place
        self.found = found
        self.known = known

    def __str__(self) -> str:
        """Say what to do."""
        return (
            f"{self.place} has tables of version {self.found}, and this version of millstream "
            f"knows those up to {self.known}: use the version of millstream that wrote it, or a "
            f"newer one"
        )


class Storage(Protocol):
    """Carries rows in and out."""

    is_closed: bool
    """It was let go of, and carries out nothing more."""

    def carry_out(self, request: Request, *, may_wait: bool = True) -> Any:
        """Return the answer; raise `WouldWait` where it takes waiting that is not wanted."""

    async def acarry_out(self, request: Request) -> Any:
        """Return the answer without keeping the event loop."""

    def is_awaitable(self) -> bool:
        """Say whether `await_commit` may be called: the storage is far, and free at the moment."""

    async def await_commit(self, request: Commit) -> list[bool] | None:
        """Carry out what is one statement, waited for by the event loop itself.

        None where nobody knows what has come of it: then it may be asked for again.
        """

    def is_general(self, error: Exception) -> bool:
        """Say whether others who asked now would get the error too, perhaps after waiting."""

    def make_lane(self) -> Lane:
        """Return what lets those write who want to."""

    def close(self) -> None:
        """Let go of files and connections; calling it again does nothing."""

    async def aclose(self) -> None:
        """Do so without keeping the event loop."""


class Lane(Protocol):
    """Sees to it that nobody in this process writes to a line that somebody else is writing to.

    Steps are made anew when they have to be begun again: nothing that they have done counts then.
    """

    def begin(self, *, may_wait: bool = True) -> bool:
        """Take the lane if nobody has it; say whether that was done, and the storage may be asked.

        Not where it cannot be asked in this thread, or only by waiting.
        """

    def end(self) -> None:
        """Give the lane back."""

    def run(self, make: Callable[[], Requests[ResultT]]) -> ResultT:
        """Carry out what steps ask for, and return their result."""

    async def arun(
        self, make: Callable[[], Requests[ResultT]], *, is_long: bool = False
    ) -> ResultT:
        """Do so without keeping the event loop; `is_long` says that there may be many rows."""

    def try_now(self, action: Callable[[], object]) -> None:
        """Call something that changes what is known of lines, unless somebody is writing."""
