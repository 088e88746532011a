"""How urgent the runs of a thread are, as the function of a `langgraph_sdk.Priority` says.

It is asked at the first run of a thread, and what it says is kept with the thread. If it fails, the
run is like any other, and the function is asked again at the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from langgraph_sdk import Priority, PriorityContext

from millstream.server.auth.handlers import NOBODY
from millstream.server.auth.user import User
from millstream.server.errors import ConfigError
from millstream.server.graph_files import import_configured
from millstream.server.runs.turns import LEAST_URGENT, MOST_URGENT, Settings
from millstream.server.storage import queue
from millstream.server.storage.containment import Filters, allows

if TYPE_CHECKING:
    from millstream.server.config import ServerConfig
    from millstream.server.storage.database import Database

logger = logging.getLogger("millstream.server")

LONGEST_GROUP: Final = 256
NO_GROUP: Final = "default"


class Priorities:
    """Asks the function."""

    def __init__(self, db: Database, assign: Callable[[PriorityContext], Awaitable[Any]]) -> None:
        self._db = db
        self._assign = assign

    async def of(
        self,
        assistant_id: str,
        thread_id: str | None,
        filters: Filters | None,
        *,
        user: Mapping[str, Any] | None,
        metadata: Mapping[str, Any],
        cron_id: str | None = None,
    ) -> Settings | None:
        """Return the settings of the thread of a new run; None if there will be no such run."""
        found = await self._db.read(queue.assignment, assistant_id, thread_id)
        if found.assistant is None:
            return None
        if found.thread is not None:
            if not allows(found.thread.metadata, filters):
                return None
            if found.thread.priority is not None:
                return Settings(found.thread.priority, found.thread.fairness_group)
        caller = NOBODY if user is None else User(user)
        context = PriorityContext(
            user=caller,
            permissions=caller.permissions,
            thread_id=thread_id,
            thread_metadata={} if found.thread is None else found.thread.metadata,
            assistant_id=assistant_id,
            graph_id=found.assistant.graph_id,
            assistant_metadata=found.assistant.metadata,
            run_metadata=dict(metadata),
            cron_id=cron_id,
        )
        try:
            return settings_of(await self._assign(context))
        except Exception:
            logger.exception("priority.path: nobody can say how urgent a run of %s is", thread_id)
            return Settings(is_kept=False)


def settings_of(given: Any) -> Settings:
    """Return what the function has said, or refuse it."""
    if given is None:
        return Settings()
    if not isinstance(given, Mapping):
        raise TypeError(f"the function returns a dict or None, not a {type(given).__name__}")
    priority, group = given.get("priority"), given.get("fairness_group")
    if priority is None:
        priority = 0
    if type(priority) is not int or not MOST_URGENT <= priority <= LEAST_URGENT:
        raise ValueError(
            f"priority is a number from {MOST_URGENT} (first) to {LEAST_URGENT} (last), "
            f"not {priority!r}"
        )
    if group is not None and (not isinstance(group, str) or len(group) > LONGEST_GROUP):
        raise ValueError(
            f"fairness_group is a text of at most {LONGEST_GROUP} characters, not {group!r:.100}"
        )
    return Settings(priority, None if group in ("", NO_GROUP) else group)


def load_priorities(config: ServerConfig, db: Database) -> Priorities | None:
    """Return what asks the function that the configuration names, if it names one."""
    if config.priority is None:
        return None
    target = config.priority.path
    found = import_configured(config, "priority.path", target, Priority, "langgraph_sdk.Priority")
    if found._assign_handler is None:
        raise ConfigError(f"priority.path is {target!r}, which has no @priority.assign")
    return Priorities(db, found._assign_handler)
