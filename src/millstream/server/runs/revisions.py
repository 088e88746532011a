"""Which revision of the graphs goes on with a run that one of them has begun. No I/O.

Servers that share a database may have several revisions of the graphs, as long as one takes the
place of another. A run that has not begun is for any of them. One that has begun and was stopped,
because its server ends or is gone, is for its own revision or for the newest, as is configured;
where no server has its own any more, it is for the newest. So no run is left to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

RULES: Final = ("same", "newest")
"""Which revision goes on with a run: the one that has begun it, or the newest."""


class Living(NamedTuple):
    """A server that carries out runs."""

    revision: str
    since: str
    """When it was started."""


def newest(living: Sequence[Living]) -> str | None:
    """Return the revision that came last, None if there is no server.

    A revision is as old as the oldest server that has it: one more server of an old revision, or
    one that was started again, does not make it new. To go back to an older one, when all its
    servers have ended, is to have a new one.
    """
    since: dict[str, str] = {}
    for server in living:
        since[server.revision] = min(since.get(server.revision, server.since), server.since)
    return max(since, key=lambda revision: (since[revision], revision), default=None)


def may_go_on(begun_by: str | None, own: str, living: Sequence[Living], rule: str) -> bool:
    """Say whether a server with a revision of its `own` may go on with a run.

    `begun_by` is the revision that has begun it, None if that is not known; `living` are the
    servers that carry out runs, this one among them.
    """
    if begun_by is None:
        return True
    if rule == "same":
        if begun_by == own:
            return True
        if any(server.revision == begun_by for server in living):
            return False
    return newest(living) in (own, None)
