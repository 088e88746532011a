"""What becomes of runs when their server is told to end and others can go on with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millstream.server.log.hub import Logs
    from millstream.server.runs.active import ActiveRun
    from millstream.server.runs.results import Results


def unread(active: Iterable[ActiveRun], logs: Logs, results: Results) -> list[ActiveRun]:
    """Return the runs that nobody reads here or waits for: others go on with them at once.

    The other ones have the grace. Many of them come to their end in it, and who reads one that
    does not has its stream cut once, when the server ends.
    """
    return [
        each
        for each in active
        if not (
            each.log.has_readers
            or logs.is_watched(each.job.thread_id)
            or logs.is_read(each.job.thread_id)
            or results.are_awaited(each.job.run_id)
        )
    ]
