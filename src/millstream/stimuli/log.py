"""Whether a run says what its machine is told: the logger `millstream.stimuli`, at level DEBUG."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from millstream.core.machine import RunMachine

if TYPE_CHECKING:
    from typing import TypeAlias

    MachineClass: TypeAlias = Callable[..., RunMachine]

logger: Final = logging.getLogger("millstream.stimuli")


def machine_class(graph: str) -> MachineClass:
    """Return what makes the machine of a run that begins now, of the graph with this name.

    It records what it is told if the level of the logger itself is DEBUG. A level that it inherits
    does not count: the records hold whatever is in the state, and whoever wants to see the debug
    messages of a whole program has not asked for that.
    """
    if not logger.level or logger.level > logging.DEBUG or not logger.isEnabledFor(logging.DEBUG):
        return RunMachine
    from millstream.stimuli.machine import LoggingMachine  # few processes ever need it

    return partial(LoggingMachine, logger.debug, graph)
