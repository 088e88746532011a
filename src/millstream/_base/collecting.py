"""When Python looks for garbage.

It does so whenever many objects are new, and every so often looks at all there are. Whoever makes
some ten thousand at once that stay has it look at them, and at everything else, for nothing.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses = 0
"""How many blocks want no garbage to be looked for; 0 where the program has switched it off."""


@contextmanager
def no_collecting() -> Iterator[None]:
    """Have no garbage looked for meanwhile, in the whole process.

    For short blocks that wait for nothing. Where the program has switched it off, it stays so.
    """
    global _pauses
    is_ours = False
    try:
        with _lock:
            if _pauses or gc.isenabled():
                is_ours = True  # first: an interrupt may come at any place
                _pauses += 1
                gc.disable()
        yield
    finally:
        if is_ours:
            with _lock:
                _pauses = max(0, _pauses - 1)
                if not _pauses:
                    gc.enable()


def _begin_anew() -> None:
    """Look for garbage in a process that was forked while another thread had none looked for."""
    global _lock, _pauses
    _lock = threading.Lock()
    if _pauses:
        _pauses = 0
        gc.enable()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
