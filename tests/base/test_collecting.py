"""When garbage is looked for again."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from millstream._base.collecting import no_collecting


@pytest.fixture(autouse=True)
def _enabled() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was_enabled else gc.disable)()


def test_no_garbage_is_looked_for_until_the_last_block_ends() -> None:
    """Also where one fails, and where another thread has one meanwhile."""
    begun, may_end = threading.Event(), threading.Event()

    def other() -> None:
        with no_collecting():
            begun.set()
            may_end.wait()

    thread = threading.Thread(target=other)
    with suppress(ZeroDivisionError), no_collecting():
        assert not gc.isenabled()
        thread.start()
        begun.wait()
        raise ZeroDivisionError
    assert not gc.isenabled()
    may_end.set()
    thread.join()
    assert gc.isenabled()


def test_what_the_program_has_switched_off_stays_off() -> None:
    """It is the program's to say."""
    gc.disable()
    with no_collecting():
        assert not gc.isenabled()
    assert not gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_is_forked_meanwhile_looks_for_garbage() -> None:
    """The block is one of its parent's."""
    with no_collecting():
        child = os.fork()
        if not child:
            os._exit(0 if gc.isenabled() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
