"""How long threads are kept that nobody writes to, and who throws them away."""

from __future__ import annotations

import logging
import math
import threading
import weakref
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, Literal, TypedDict

from millstream.journal.reading import Requests
from millstream.journal.rows import FindLines
from millstream.journal.sealing import Sealing
from millstream.journal.storage import JournalClosedError
from millstream.journal.upkeep import drop_lines, keep_latest, prune_line
from millstream.journal.writing import Memory

_LOGGER: Final = logging.getLogger(__name__)
_NAMES: Final = frozenset(("strategy", "default_ttl", "sweep_interval_minutes"))


class TTL(TypedDict, total=False):
    """What `ttl=` of a journal takes, with the names that `langgraph.json` has for it."""

    strategy: Literal["delete", "keep_latest"]
    """What happens to a thread whose time is over; "delete" if not given."""
    default_ttl: float
    """Minutes for which a thread is kept after it was written to."""
    sweep_interval_minutes: float | None
    """How often a thread of the journal looks for them; None: whenever `sweep_ttl` is called."""


class Expiry:
    """A `TTL` that was checked, and what it has been done to."""

    def __init__(self, ttl: Mapping[str, Any]) -> None:
        unknown = ttl.keys() - _NAMES
        if unknown:
            raise ValueError(f"ttl takes {', '.join(sorted(_NAMES))}, not {min(unknown)!r}")
        strategy = ttl.get("strategy", "delete")
        if strategy not in ("delete", "keep_latest"):
            raise ValueError(f"ttl's strategy is 'delete' or 'keep_latest', not {strategy!r}")
        self.deletes: Final = strategy == "delete"
        self.age: Final = timedelta(minutes=_minutes(ttl, "default_ttl"))
        interval = ttl.get("sweep_interval_minutes")
        self.interval: Final = (
            None if interval is None else _minutes(ttl, "sweep_interval_minutes") * 60
        )
        self._pruned: set[int] = set()
        """Lines that have nothing more to lose, unless somebody writes to them."""

    def sweep(self, memory: Memory, until: int, sealing: Sealing) -> Requests[int]:
        """Throw away what nobody has written to since that second; return of how many threads."""
        found = yield FindLines(None, untouched=until)
        self._pruned &= {line.number for line in found}
        swept = 0
        for thread_id in dict.fromkeys(
            line.thread_id for line in found if line.number not in self._pruned
        ):
            lines = yield FindLines(thread_id)
            idle = yield FindLines(thread_id, untouched=until)
            if not lines or len(idle) != len(lines):
                continue
            swept += 1
            if self.deletes:
                yield from drop_lines(memory, lines, sealing)
                continue
            for line in lines:
                yield from prune_line(memory, line, keep_latest, sealing)
                self._pruned.add(line.number)
        return swept


def _minutes(ttl: Mapping[str, Any], name: str) -> float:
    value = ttl.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type,operator]  # a number
        raise ValueError(f"ttl's {name} is a number of minutes above 0, not {value!r}")
    return float(value)  # type: ignore[arg-type]  # a number


class Sweeper:
    """A thread that sweeps from time to time, until the journal is closed or gone."""

    def __init__(self, owner: Any, sweep: Callable[[Any], object], seconds: float) -> None:
        self._stop = threading.Event()
        reference = weakref.ref(owner)
        weakref.finalize(owner, self._stop.set)
        self._thread = threading.Thread(
            target=_sweep_on,
            args=(reference, sweep, seconds, self._stop),
            name="millstream-sweep",
            daemon=True,
        )
        self._thread.start()

    def end(self) -> None:
        """End it, and wait for that."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()


def _sweep_on(
    reference: weakref.ref[Any],
    sweep: Callable[[Any], object],
    seconds: float,
    stop: threading.Event,
) -> None:
    while not stop.wait(seconds):
        owner = reference()
        if owner is None:
            return
        try:
            sweep(owner)
        except JournalClosedError:
            return
        except Exception as error:
            # A file that is locked, a server that is away: the next time is soon enough.
            _LOGGER.warning("Threads whose time is over were not thrown away: %s", error)
        del owner
