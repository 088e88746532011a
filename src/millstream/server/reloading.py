"""Changed files: graphs are loaded anew while the server goes on."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.server.auth.loading import load_guard
from millstream.server.collecting import set_apart_anew
from millstream.server.errors import ConfigError

if TYPE_CHECKING:
    from watchfiles import Change

    from millstream.server.service import Service

logger = logging.getLogger("millstream.server")


async def reload_on_change(service: Service, stop: asyncio.Event) -> None:
    """Load the graphs anew whenever a Python file beside them has changed, until `stop` is set.

    Runs that go on keep the graph that they began with. Where a file cannot be imported, the graphs
    of before go on serving. A configuration is not read again: it is said when it has changed.
    Where files cannot be watched that is said, too, and the server goes on.
    """
    try:
        await _watch(service, stop)
    except (OSError, RuntimeError) as error:
        # Such as the system's limit of watches, of which each folder takes one.
        logger.error(
            "Files that change are not noticed: %s. Start the server again after a change; "
            "where fewer folders are beside the graphs, there are fewer to watch",
            error,
        )


async def _watch(service: Service, stop: asyncio.Event) -> None:
    from watchfiles import PythonFilter, awatch

    folders, is_python = watched(service), PythonFilter()
    settings = {*_places(service.config.files)}

    def is_wanted(change: Change, path: str) -> bool:
        return is_python(change, path) or not settings.isdisjoint(_places([path]))

    async for changes in awatch(*folders, watch_filter=is_wanted, stop_event=stop):
        paths = {*_places(path for _, path in changes)}
        read_once = paths & settings
        if read_once:
            logger.warning(
                "%s changed, which the server reads when it starts: end it, and start it again",
                ", ".join(_names_of(read_once)),
            )
        if paths == read_once:
            continue
        names = _names_of(paths - read_once)
        try:
            await reload(service, names)
        except Exception:
            # The next change may be the mended one.
            logger.exception("%s changed, and nothing can be loaded anew", ", ".join(names))


def _places(paths: Iterable[str | Path]) -> Iterator[str]:
    """Yield where files are, whichever way leads to them."""
    return (os.path.realpath(path) for path in paths)


def _names_of(paths: Iterable[str]) -> list[str]:
    """Return what files are called."""
    return sorted({Path(path).name for path in paths})


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
