"""Who may store: one whose lease is not over, as a row of the same database says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from millstream.journal.rows import Owner


class Guard:
    """A row that has to be there for whoever stores, or else nothing is stored.

    Where several processes carry out runs, one that was only asleep may wake up when another one
    has taken its run over. With a guard its next step raises `FencedError`. The row is locked until
    the step is committed: who changes it to take the run over waits for that, and reads the step
    afterwards; what begins later is refused.
    """

    def __init__(
        self, table: str, condition: str, values: Callable[[], Sequence[Any] | None]
    ) -> None:
        """Take a table, as it is named in SQL, and a condition with a `%s` for each value.

        `values` is called when a run begins to store, and for what is stored by no run, in the
        context (`contextvars`) of whoever does. None, not a sequence, stands for those who need no
        row. The role of the database has to have the right to update the table.
        """
        for name, text in (("table", table), ("condition", condition)):
            if not text.strip() or "@" in text:
                raise ValueError(
                    f"{name} of a guard is SQL without '@', which a journal has another use for, "
                    f"not {text!r}"
                )
        # A lock that lets who changes the row pass would keep nobody from taking over meanwhile.
        self._query: Final = f"SELECT 1 FROM {table} WHERE {condition} FOR SHARE"
        self._values = values

    def owner(self) -> Owner | None:
        """Return whoever stores here and now, None if it needs no row."""
        values = self._values()
        return None if values is None else Owner(self._query, tuple(map(str, values)))
