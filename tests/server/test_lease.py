"""What a replica does with what it sees of others, without a database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import waiting
from millstream.server.replicas import lease
from millstream.server.replicas.lease import Lease
from millstream.server.replicas.membership import Membership
from millstream.server.storage.replicas import Look, Member

pytestmark = pytest.mark.real_time(reason="leases are renewed after some time")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.001)
    monkeypatch.setattr(lease, "MISSED", 0.0)


def member(name: str, *, is_over: bool = False, is_connected: bool | None = True) -> Member:
    return Member(name, name, "", 1, is_over, is_connected)


def look(*others: Member, is_known: bool = True, uptime: float = 60.0) -> Look:
    return Look(is_known, others, uptime)


class Scripted(Membership):
    """A replica that sees these, one after the other, and then nothing any more."""

    has_others = True
    seconds = 30.0

    def __init__(self, *looks: Look | Exception) -> None:
        super().__init__()
        self.looks = list(looks)
        self.joined = 0
        self.is_over = self.has_left = False

    async def join(self) -> None:
        self.joined += 1

    async def renew(self) -> Look:
        if not self.looks:
            await asyncio.Event().wait()
        found = self.looks.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def lose_in_time(self) -> bool:
        was_over, self.is_over = self.is_over, False
        return was_over

    async def leave(self) -> None:
        self.has_left = True


class Told:
    """What a lease has had done."""

    def __init__(self, membership: Scripted) -> None:
        self.taken: list[str | None] = []
        self.given_up = self.renewed = 0
        self.go = asyncio.Event()
        self.lease = Lease(
            membership, take_over=self.take_over, give_up=self.give_up, renewed=self.renew
        )

    async def take_over(self, dead: str | None) -> None:
        self.taken.append(dead)
        if dead is not None:
            await self.go.wait()

    def give_up(self) -> None:
        self.given_up += 1

    def renew(self) -> None:
        self.renewed += 1


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it, and see that it leaves no task behind."""

    async def whole() -> None:
        await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(whole())


def test_each_that_is_dead_is_taken_over_from_once() -> None:
    over, lost = member("over", is_over=True), member("lost", is_connected=False)
    without_lock = member("without lock", is_connected=None)

    async def main() -> None:
        membership = Scripted(*[look(over, lost, without_lock, member("alive"))] * 5)
        told = Told(membership)
        await told.lease.open()
        assert await waiting.auntil(lambda: not membership.looks)
        assert told.taken == [None, "over", "lost"]
        told.go.set()
        await told.lease.close()
        assert membership.has_left

    run(main)


def test_of_a_database_that_has_just_begun_nobody_is_taken_for_dead_by_a_connection() -> None:
    lost = member("lost", is_connected=False)

    async def main() -> None:
        membership = Scripted(*[look(lost, uptime=lease.FRESH)] * 5)
        told = Told(membership)
        await told.lease.open()
        assert await waiting.auntil(lambda: not membership.looks)
        assert told.taken == [None]
        await told.lease.close()

    run(main)


def test_who_was_taken_for_dead_gives_up_and_joins_anew() -> None:
    async def main() -> None:
        membership = Scripted(look(), look(is_known=False), look())
        told = Told(membership)
        await told.lease.open()
        assert await waiting.auntil(lambda: not membership.looks)
        assert (membership.joined, told.given_up) == (2, 1)
        await told.lease.close()

    run(main)


def test_a_lease_that_cannot_be_renewed_is_given_up_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also while nobody answers."""

    async def main() -> None:
        membership = Scripted(look(), OSError("away"), look())
        told = Told(membership)
        await told.lease.open()
        assert await waiting.auntil(lambda: not membership.looks)
        assert told.given_up == 0
        membership.is_over = True
        assert await waiting.auntil(lambda: told.given_up == 1)
        await told.lease.close()

    with caplog.at_level(logging.WARNING):
        run(main)
    assert "cannot be renewed: away" in caplog.text
