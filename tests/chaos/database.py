"""What the database has, looked at behind the servers' backs."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

_TABLES: Final = (
    "SELECT table_schema FROM information_schema.tables WHERE table_name = 'run_events'"
)
_ACTIVITY: Final = """
    SELECT application_name, state, count(*), max(extract(epoch FROM now() - xact_start))
    FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
    GROUP BY 1, 2
"""


class Rows:
    """The rows of the servers."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def stored(self) -> dict[str, list[str]]:
        """Return the ids of all events that are stored, by run."""
        found: dict[str, list[str]] = defaultdict(list)
        for run_id, ms, seq in await self._all(
            "SELECT run_id, ms, seq FROM {}.run_events ORDER BY run_id, seq"
        ):
            found[run_id].append(f"{ms}-{seq}")
        return found

    async def under_way(self) -> list[str]:
        """Return what is not over: runs, threads and changes of them."""
        rows = await self._all(
            "SELECT 'run ' || run_id || ' is ' || status || ', attempt ' || attempt FROM {0}.runs "
            "WHERE status IN ('pending', 'running') "
            "UNION ALL SELECT 'thread ' || thread_id || ' is busy' FROM {0}.threads "
            "WHERE status = 'busy' "
            "UNION ALL SELECT 'thread ' || thread_id || ' has a change under way: ' || kind "
            "FROM {0}.thread_changes"
        )
        return [row[0] for row in rows]

    async def attempts(self) -> dict[str, int]:
        """Return how often each run was begun."""
        return dict(await self._all("SELECT run_id, attempt FROM {}.runs"))

    async def runs(self) -> dict[str, list[str]]:
        """Return the runs of each thread, in the order in which they came."""
        found: dict[str, list[str]] = defaultdict(list)
        for thread_id, run_id in await self._all(
            "SELECT thread_id, run_id FROM {}.runs ORDER BY created_at, run_id"
        ):
            found[thread_id].append(run_id)
        return found

    async def activity(self) -> list[tuple[str, str, int, float]]:
        """Return the connections: whose, in which state, how many, since when in a transaction."""
        rows = await asyncio.to_thread(self._query, _ACTIVITY)
        return [(name, state, count, float(since or 0)) for name, state, count, since in rows]

    async def _all(self, query: str) -> list[Any]:
        def ask() -> list[Any]:
            [[schema]] = self._query(_TABLES)
            return self._query(query.format(f'"{schema}"'))

        return await asyncio.to_thread(ask)

    def _query(self, query: str) -> list[Any]:
        import psycopg

        with psycopg.connect(self._address, autocommit=True) as connection:
            return connection.execute(query).fetchall()


def foreign_runs(runs: Mapping[str, list[str]], known: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield threads that have other runs than their clients know of."""
    for thread_id, mine in known.items():
        if runs.get(thread_id, []) != mine:
            yield f"thread {thread_id} has the runs {runs.get(thread_id)}, its client knows {mine}"
