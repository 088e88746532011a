"""The garbage collector of the process of a server.

Modules, graphs and tables are many times what runs make. To look through them again and again took
nearly as long as the runs; so they are set apart when everything is there.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

RARELY: Final = 100
"""How many collections of what is young come before one of all, instead of ten."""


@contextmanager
def little_collecting() -> Iterator[None]:
    """Set apart what is there now, for as long as the block takes."""
    first, second, third = gc.get_threshold()
    gc.collect()
    gc.freeze()
    if third == 10:  # else somebody knows better
        gc.set_threshold(first, second, RARELY)
    try:
        yield
    finally:
        gc.set_threshold(first, second, third)
        gc.unfreeze()


def set_apart_anew() -> None:
    """Where something was set apart, set apart what is there now: the rest may be garbage."""
    if gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()
        gc.freeze()
