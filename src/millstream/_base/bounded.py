"""A dict for what can be made again: it forgets its oldest entries."""

from __future__ import annotations

from typing import TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class BoundedDict(dict[KeyT, ValueT]):
    """A dict of at most `size` entries; the one that was put in first goes first.

    Looking up costs what it costs in any dict, which is why nothing is noted of how often an entry
    is used. Threads may share it.
    """

    size = 64

    def __setitem__(self, key: KeyT, value: ValueT) -> None:
        super().__setitem__(key, value)
        if len(self) > self.size:
            try:
                oldest = next(iter(self))
            except RuntimeError:  # another thread has changed it in between
                oldest = list(self)[0]  # noqa: RUF015 - made in one go, as an iterator is not
            self.pop(oldest, None)
