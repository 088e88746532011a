"""What handlers are given: everything that lives as long as the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore

from millstream._base.cancellation import in_thread, within
from millstream._base.clock import SYSTEM
from millstream._base.workers import MAX_THREADS
from millstream.server.auth.guard import Guard
from millstream.server.auth.loading import load_guard
from millstream.server.clock import Chore, Clock
from millstream.server.config import ServerConfig
from millstream.server.crons import Crons
from millstream.server.doorbell.news import RUN, News
from millstream.server.doorbell.rings import Rings, Silence
from millstream.server.encryption.loading import load_sealer
from millstream.server.encryption.sealer import Sealer
from millstream.server.executors import close_executor, load_executor
from millstream.server.graph_files import prepare_imports
from millstream.server.graphs import GraphCatalog
from millstream.server.headers import HeaderFilter
from millstream.server.health import Health
from millstream.server.limits import Limits
from millstream.server.log.hub import Logs
from millstream.server.metrics import Metrics
from millstream.server.persistence import open_saver, open_store
from millstream.server.priorities import Priorities, load_priorities
from millstream.server.replicas.membership import Membership, SharedMembership
from millstream.server.retention import Retention
from millstream.server.runs.run_clock import RunClock
from millstream.server.runs.run_loop import RunLoop
from millstream.server.runs.runner import Runner
from millstream.server.runs.scheduler import Scheduler
from millstream.server.storage import assistants
from millstream.server.storage.database import Database
from millstream.server.storage.opening import open_database, owning_database
from millstream.server.webhooks.delivery import Webhooks
from millstream.server.webhooks.policy import policy_of

logger = logging.getLogger("millstream.server")

LEFT: Final = 10.0
"""Seconds after which a replica looks at the latest for what another one was going to do."""


@dataclass
class Service:
    """Complete when it is made; what it holds ends with `open`."""

    config: ServerConfig
    sealer: Sealer | None
    """What everything is sealed with that is stored."""
    db: Database
    run_loop: RunLoop
    journal: BaseCheckpointSaver[Any]
    store: BaseStore
    catalog: GraphCatalog
    logs: Logs
    scheduler: Scheduler
    membership: Membership
    """What this server is among those that share its database."""
    bell: Rings
    """What the others hear."""
    guard: Guard
    crons: Crons
    limits: Limits
    webhooks: Webhooks
    retention: Retention
    priorities: Priorities | None
    metrics: Metrics
    health: Health
    endless: set[asyncio.Task[Any]] = field(default_factory=set)
    """The tasks that answer with what does not end by itself."""

    @cached_property
    def configurable_headers(self) -> HeaderFilter:
        """Return which headers graphs see."""
        given = self.config.http.configurable_headers
        return HeaderFilter("http.configurable_headers", given)

    @cached_property
    def logging_headers(self) -> HeaderFilter:
        """Return which headers of a request the log tells."""
        return HeaderFilter("http.logging_headers", self.config.http.logging_headers)

    def drain(self) -> None:
        """Be ready for no more requests, though those that come are answered; begin no run."""
        self.health.drain()
        self.scheduler.drain()

    async def hand_over(self) -> None:
        """Leave to other servers what they can go on with."""
        try:
            await self.scheduler.hand_over()
        except Exception as error:  # they find it when this one has ended
            logger.warning("other servers cannot be told that this one ends: %s", error)

    async def look_for_heirs(self, seconds: float) -> None:
        """See which other servers there are now: they may have come since this one last looked.

        If that takes longer, what was known before has to do.
        """
        try:
            await within(seconds, self.membership.renew())
        except Exception as error:  # a database that is gone keeps nobody from ending
            logger.warning("it is not known which other servers there are: %r", error)

    @property
    def has_heirs(self) -> bool:
        """Whether there are other servers that carry out runs."""
        return self.membership.may_hand_over

    def cut(self) -> None:
        """End what does not end by itself: its readers come back."""
        for task in self.endless:
            task.cancel()

    @classmethod
    @asynccontextmanager
    async def open(cls, config: ServerConfig, clock: Clock | None = None) -> AsyncIterator[Service]:
        """Start everything, and stop it in the reverse order."""
        clock = clock or Clock()
        prepare_imports(config)
        async with AsyncExitStack() as stack:
            await _own(config, stack)
            sealer = await _open_sealer(config, stack)
            db = await _open_database(config, sealer, clock)
            stack.push_async_callback(asyncio.to_thread, db.close)
            run_loop, journal, store, catalog = await _open_graphs(config, stack, sealer, clock)
            guard = await asyncio.to_thread(load_guard, config)
            await db.write(assistants.ensure_own, catalog.ids())
            # Files have no seal: what is sealed elsewhere stays in memory.
            logs = Logs(config.limits.max_event_bytes, uses_files=sealer is None, clock=clock)
            metrics = Metrics(config.slots, clock)
            membership, bell = _join(config, db, lambda news: scheduler.hear(news))
            webhooks = _webhooks(config, db, clock, membership)
            scheduler = Scheduler(
                db,
                run_loop,
                logs,
                _runner(config, db, journal, catalog, membership, bell),
                journal,
                membership,
                bell,
                slots=config.slots,
                tell=webhooks.wake,
                retention=config.event_retention_seconds,
                metrics=metrics,
            )
            priorities = await asyncio.to_thread(load_priorities, config, db)
            crons = _crons(config, db, scheduler, clock, priorities, membership)
            retention = Retention(db, scheduler, run_loop, journal, clock, config.checkpointer.ttl)
            health = Health(db, run_loop, has_lease=lambda: membership.has_lease)
            stack.callback(health.close)
            for part in (bell, scheduler):
                stack.push_async_callback(part.close)
            await scheduler.open()
            await bell.start()
            _start(stack, webhooks, crons, retention)
            yield cls(
                config=config,
                sealer=sealer,
                db=db,
                run_loop=run_loop,
                journal=journal,
                store=store,
                catalog=catalog,
                logs=logs,
                scheduler=scheduler,
                membership=membership,
                bell=bell,
                guard=guard,
                crons=crons,
                limits=Limits(config.limits),
                webhooks=webhooks,
                retention=retention,
                metrics=metrics,
                health=health,
                priorities=priorities,
            )


async def _own(config: ServerConfig, stack: AsyncExitStack) -> None:
    owning = owning_database(config)

    async def leave(*error: Any) -> None:
        await asyncio.to_thread(owning.__exit__, *error)

    await in_thread(
        lambda is_left: owning.__enter__(), undo=lambda _: owning.__exit__(None, None, None)
    )
    stack.push_async_exit(leave)


async def _open_database(config: ServerConfig, sealer: Sealer | None, clock: Clock) -> Database:
    return await in_thread(
        lambda is_left: open_database(config, sealer, clock, is_left=is_left),
        undo=lambda opened: opened.close(),
    )


def _start(stack: AsyncExitStack, *chores: Chore) -> None:
    for chore in chores:
        chore.start()
        stack.push_async_callback(chore.close)


def _runner(
    config: ServerConfig,
    db: Database,
    journal: BaseCheckpointSaver[Any],
    catalog: GraphCatalog,
    membership: Membership,
    bell: Rings,
) -> Runner:
    ring = partial(bell.ring, RUN) if membership.has_others else None
    return Runner(catalog, db, journal, timeout=config.run_timeout_seconds, ring=ring)


def _crons(
    config: ServerConfig,
    db: Database,
    scheduler: Scheduler,
    clock: Clock,
    priorities: Priorities | None,
    membership: Membership,
) -> Crons:
    ttl, again_after = config.ttl_of_threads, LEFT if membership.has_others else None
    return Crons(db, scheduler, clock, ttl, priorities, again_after=again_after)


def _webhooks(config: ServerConfig, db: Database, clock: Clock, membership: Membership) -> Webhooks:
    policy = policy_of(config.webhooks, is_disabled=config.http.disable_webhooks)
    again_after = LEFT if membership.has_others else None
    return Webhooks(db, policy, clock, lambda: membership.id, again_after=again_after)


def _join(
    config: ServerConfig, db: Database, hear: Callable[[News], None]
) -> tuple[Membership, Rings]:
    """Return what this server is among those that share its database, and what it rings."""
    if config.postgres is None:
        return Membership(config.revision), Silence()
    from millstream.server.doorbell.doorbell import Doorbell
    from millstream.server.storage.postgres_engine import within_lease

    membership = SharedMembership(
        db,
        config.revision,
        on_new_revision=config.on_new_revision,
        slots=config.slots,
        lease=config.lease_seconds,
    )
    address, listening = (
        within_lease(text, config.lease_seconds)
        for text in (config.postgres, config.listen_database or config.postgres)
    )
    bell = Doorbell(
        address,
        hear,
        listen_address=listening,
        greet=membership.hold_lock,
        is_alone=lambda: not membership.others,
        redis=config.redis,
    )
    return membership, bell


async def _open_sealer(config: ServerConfig, stack: AsyncExitStack) -> Sealer | None:
    sealer = await asyncio.to_thread(load_sealer, config)
    if sealer is not None:
        stack.push_async_callback(asyncio.to_thread, sealer.close)
    return sealer


async def _open_graphs(
    config: ServerConfig, stack: AsyncExitStack, sealer: Sealer | None, clock: Clock
) -> tuple[RunLoop, BaseCheckpointSaver[Any], BaseStore, GraphCatalog]:
    """Load the graphs, and open what they use: in the loop in which they run."""
    executor = await asyncio.to_thread(load_executor, config)
    # When no run goes on any more.
    stack.push_async_callback(asyncio.to_thread, close_executor, executor)
    # Alone it has the time of this machine anyway.
    run_clock = SYSTEM if config.postgres is None else RunClock(clock)
    run_loop = RunLoop(clock=run_clock, threads=MAX_THREADS * max(1, config.slots))
    stack.push_async_callback(asyncio.to_thread, run_loop.close)
    opened = AsyncExitStack()
    stack.push_async_callback(lambda: run_loop.call(opened.aclose()))
    journal = await run_loop.call(open_saver(config, opened, sealer, run_loop.storing))
    store = await run_loop.call(open_store(config, opened, sealer))
    catalog = GraphCatalog(
        config.graphs,
        config.directory,
        dependencies=config.dependencies,
        saver=journal,
        store=store,
        executor=executor,
    )
    for graph_id, fault in (await asyncio.to_thread(catalog.load)).items():
        logger.error("graph %r cannot be loaded: %s", graph_id, fault)
    return run_loop, journal, store, catalog
