"""The garbage collector of a server: it passes by what was there, and no more than that."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from millstream.server.collecting import RARELY, little_collecting, set_apart_anew


class Cycle:
    """An object that only a collector finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def left_alone() -> Iterator[None]:
    """Leave the collector as it was."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_is_there_is_set_apart_while_the_block_lasts() -> None:
    with little_collecting():
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold() == (700, 10, RARELY)
        made = weakref.ref(Cycle())
        gc.collect()
        assert made() is None  # what is made later is collected as ever

    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == (700, 10, 10)


def test_what_somebody_has_set_stays() -> None:
    gc.set_threshold(700, 10, 20)
    with little_collecting():
        assert gc.get_threshold() == (700, 10, 20)


def test_what_was_set_apart_is_collected_when_it_is_done_again() -> None:
    cycle = Cycle()
    gone = weakref.ref(cycle)
    with little_collecting():
        del cycle
        gc.collect()
        assert gone() is not None
        set_apart_anew()
        assert gone() is None
    set_apart_anew()
    assert gc.get_freeze_count() == 0
