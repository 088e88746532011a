"""Changed files: graphs are loaded anew while the server goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.server.auth.loading import load_guard
from millstream.server.collecting import set_apart_anew
from millstream.server.errors import ConfigError

if TYPE_CHECKING:
    from millstream.server.service import Service

logger = logging.getLogger("millstream.server")


async def reload_on_change(service: Service, stop: asyncio.Event) -> None:
    """Load the graphs anew whenever a Python file beside them has changed, until `stop` is set.

    Runs that go on keep the graph that they began with. Where a file cannot be imported, the graphs
    of before go on serving.
    """
    from watchfiles import PythonFilter, awatch

    folders = watched(service)
    async for changes in awatch(*folders, watch_filter=PythonFilter(), stop_event=stop):
        names = sorted({Path(path).name for _, path in changes})
        try:
            await reload(service, names)
        except Exception:
            # The next change may be the mended one.
            logger.exception("%s changed, and nothing can be loaded anew", ", ".join(names))


def watched(service: Service) -> Sequence[Path]:
    """Return the directories whose files graphs are made of."""
    return [path for path in service.catalog.folders if path.is_dir()]


async def reload(service: Service, names: Sequence[str]) -> None:
    """Load the graphs anew, and say what came of it."""

    def reload_guard() -> bool:
        try:
            service.guard = load_guard(service.config)
        except ConfigError as error:
            logger.error("%s changed; %s. The handlers of before go on", ", ".join(names), error)
            return False
        return True

    faults = await asyncio.to_thread(service.catalog.reload, reload_guard)
    set_apart_anew()
    for graph_id, fault in faults.items():
        logger.error(
            "%s changed, and graph %r cannot be loaded: %s. The one of before goes on",
            ", ".join(names),
            graph_id,
            fault,
        )
    if not faults:
        logger.warning("%s changed: graphs loaded anew", ", ".join(names))
