"""What other replicas want of the runs that this one carries out: they stop, and they are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from millstream._base.bounded import BoundedDict
from millstream.server.doorbell.news import RUN
from millstream.server.runs.looking import Looking
from millstream.server.storage import following

if TYPE_CHECKING:
    from millstream.server.doorbell.news import News
    from millstream.server.runs.active import ActiveRun
    from millstream.server.runs.run_loop import RunLoop
    from millstream.server.storage.database import Database


class _Rung(BoundedDict[str, None]):
    size = 1000


class Holding:
    """Looks at the rows of active runs when somebody rings for them. In the loop that serves."""

    def __init__(
        self,
        db: Database,
        run_loop: RunLoop,
        active: Mapping[str, ActiveRun],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Take the runs that are carried out, as they come and go, and the loop they run in."""
        self._db = db
        self._active = active
        self._run_loop = run_loop
        self._looking = Looking(self._look, spawn)
        self._rung = _Rung()
        """Runs that are not carried out here, or whose beginning has not been noted yet."""

    def hear(self, news: News) -> None:
        """See to what other replicas have rung for."""
        ids = news.ids(RUN)
        if ids is None:
            self.look_at_all()
            return
        for run_id in ids - self._active.keys():
            self._rung[run_id] = None
        self._looking.at(ids & self._active.keys())

    def began(self, run_id: str) -> None:
        """Take note that a run is carried out from now on."""
        if self._rung.pop(run_id, self) is not self:
            self._looking.at([run_id])

    def look_at_all(self) -> None:
        """Look at all, as rings may have been missed."""
        self._looking.at(self._active)

    def close(self) -> None:
        """Look no more."""
        self._looking.close()

    async def _look(self, run_ids: Collection[str]) -> None:
        call = self._run_loop.loop.call_soon_threadsafe
        for run_id, stop, is_followed in await self._db.read(following.wishes, run_ids):
            active = self._active.get(run_id)
            if active is None:
                continue
            if is_followed and not active.is_followed:
                call(active.follow)
            if stop is not None and active.would_stop(stop):
                call(active.stop, stop)
