"""The cluster: a database, replicas, a balancer before them, and what is done to them."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from chaos import disturbances as kinds
from chaos.balancer import Balancer
from chaos.disturbances import Disturbance
from chaos.network import Loopback, Namespaces, Place, may_namespaces
from chaos.postgres import Postgres
from chaos.replicas import Replica, Settings
from listening import free_port

START: Final = 120.0
"""Seconds that a replica has to become ready."""


class Cluster:
    """All of it, while it runs."""

    def __init__(
        self,
        place: Place,
        postgres: Postgres,
        replicas: list[Replica],
        balancer: Balancer,
        note: Callable[..., None],
    ) -> None:
        self.place = place
        self.postgres = postgres
        self.replicas = replicas
        self.balancer = balancer
        self.url = ""
        self._note = note
        self._watching: dict[int, asyncio.Task[None]] = {}
        self._disturbed: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.faults: list[str] = []
        """What processes have done that they must not."""

    async def start(self) -> None:
        """Start all replicas, and wait until they are ready."""
        self.url = await self.balancer.listen()
        for replica in self.replicas:
            await self._start(replica)
        await self.calm()

    async def calm(self) -> None:
        """Wait until all replicas are ready."""
        waiting = (each.backend.reaches("ready") for each in self.replicas)
        try:
            await asyncio.wait_for(asyncio.gather(*waiting), START)
        except asyncio.TimeoutError:
            states = {each.name: each.backend.state for each in self.replicas}
            raise RuntimeError(f"not all replicas are ready after {START:g} s: {states}") from None

    async def close(self) -> None:
        """End all replicas in order; note those that do not."""
        for task in self._watching.values():
            task.cancel()
        statuses = await asyncio.gather(*(each.terminate() for each in self.replicas))
        for replica, status in zip(self.replicas, statuses, strict=True):
            self._check_end(replica, status)
        await self.balancer.close()
        for replica in self.replicas:
            await replica.link.close()

    async def disturb(self, planned: list[Disturbance], began: float) -> None:
        """Do what is planned, each at its time."""
        tasks = [asyncio.create_task(self._at(one, began)) for one in planned]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _at(self, one: Disturbance, began: float) -> None:
        await asyncio.sleep(max(0.0, began + one.at - time.monotonic()))
        who = "database" if one.target < 0 else self.replicas[one.target].name
        known = {"what": one.kind, "who": who, "seconds": one.seconds}
        # One that ends may take longer than planned, until it has handed over everything.
        async with self._disturbed[one.target]:
            self._note("disturbed", **known, text=str(one))
            await self._do(one)
            self._note("left alone", **known)

    async def _do(self, one: Disturbance) -> None:
        if one.kind in kinds.OF_DATABASE:
            await self.postgres.restart(one.kind.removeprefix("database "))
            return
        replica = self.replicas[one.target]
        if one.kind == kinds.KILL:
            self._leave_alone(replica)
            replica.signal(signal.SIGKILL)
            await replica.ended()
            await asyncio.sleep(one.seconds)
            await self._start(replica)
        elif one.kind == kinds.TERM:
            self._leave_alone(replica)
            self._check_end(replica, await replica.terminate())
            await self._start(replica)
        elif one.kind == kinds.STOP:
            replica.signal(signal.SIGSTOP)
            await asyncio.sleep(one.seconds)
            replica.signal(signal.SIGCONT)
        elif one.kind == kinds.CUT:
            replica.link.gate.shut(one.directions)
            await asyncio.sleep(one.seconds)
            self._heal(replica, one)
        elif one.kind == kinds.ISOLATE:
            await self._isolate(replica, one)

    async def _isolate(self, replica: Replica, one: Disturbance) -> None:
        is_pulled = await self.place.pull(replica.number)
        if not is_pulled:
            for gate in (replica.link.gate, replica.backend.gate):
                gate.shut(("forth", "back"))
        await asyncio.sleep(one.seconds)
        await self.place.plug(replica.number)
        self._heal(replica, one)

    def _heal(self, replica: Replica, one: Disturbance) -> None:
        if one.is_forgotten:
            replica.link.reset()
        replica.link.gate.open()
        replica.backend.gate.open()

    async def _start(self, replica: Replica) -> None:
        await replica.start()
        self._note("started", who=replica.name)
        replica.backend.state = "gone"  # until it answers
        self._watching[replica.number] = asyncio.create_task(self._watch(replica))

    async def _watch(self, replica: Replica) -> None:
        """Start a replica again that ends by itself, as whoever watches over it would.

        It may where the database cannot be reached while it starts, and at no other time.
        """
        ready = asyncio.create_task(replica.backend.reaches("ready"))
        try:
            status = await replica.ended()
            was_ready = ready.done()
        finally:
            ready.cancel()
        self._note("ended by itself", who=replica.name, status=status, was_ready=was_ready)
        if was_ready:
            self.faults.append(f"{replica.name} has ended by itself, with {status}")
        await asyncio.sleep(1)
        await self._start(replica)

    def _leave_alone(self, replica: Replica) -> None:
        """Do not start a replica again when its process ends: whoever ends it does."""
        self._watching.pop(replica.number).cancel()

    def _check_end(self, replica: Replica, status: int) -> None:
        if status not in (-signal.SIGTERM, 128 + signal.SIGTERM):
            self.faults.append(f"{replica.name} was told to end, and has with {status}")


@asynccontextmanager
async def running(
    folder: Path, replicas: int, seed: int, lease: float, note: Callable[..., None]
) -> AsyncIterator[Cluster]:
    """Have a cluster until the block ends."""
    async with AsyncExitStack() as stack:
        has_namespaces = may_namespaces()
        note("network", namespaces=has_namespaces)
        place: Place = await Namespaces.made(replicas) if has_namespaces else Loopback()
        stack.push_async_callback(place.close)
        postgres = Postgres("127.0.0.1")
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        settings = Settings(folder, lease)
        made = [Replica(number, settings, place, postgres) for number in range(replicas)]
        for replica in made:
            await replica.prepare(free_port())
        rng = random.Random(f"{seed} balancer")
        balancer = Balancer([replica.backend for replica in made], rng)
        cluster = Cluster(place, postgres, made, balancer, note)
        stack.push_async_callback(cluster.close)
        await cluster.start()
        yield cluster
