"""Replicas that share a database tell each other that something is new."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import waiting
from pooling import PROGRAM, pooled

psycopg = pytest.importorskip("psycopg")

from millstream.server.doorbell import doorbell  # noqa: E402  # it needs psycopg
from millstream.server.doorbell.doorbell import Doorbell  # noqa: E402
from millstream.server.doorbell.news import MOST_BYTES, MOST_IDS, News, read  # noqa: E402
from millstream.server.storage.postgres_engine import Address  # noqa: E402


class Replica:
    """A replica that notes what it is rung for."""

    def __init__(self, address: str, **options: Any) -> None:
        self.heard: list[News] = []
        self.bell = Doorbell(address, self.heard.append, **options)

    def has_heard(self, kind: str, id: str | None = None) -> bool:
        """Say whether it was told of something by name."""
        return any(each.concerns(kind, id) for each in self.heard if not each.is_everything)

    @property
    def times(self) -> int:
        """How often it was told that everything may be new."""
        return sum(each.is_everything for each in self.heard)


@asynccontextmanager
async def replicas(address: str, count: int = 2, **options: Any) -> AsyncIterator[list[Replica]]:
    """Give replicas that hear each other."""
    made = [Replica(address, **options) for _ in range(count)]
    try:
        for replica in made:
            await replica.bell.start()
        assert await waiting.auntil(lambda: all(each.bell.is_listening for each in made))
        yield made
    finally:
        for replica in made:
            await replica.bell.close()


def ask(address: str, query: str) -> list[Any]:
    """Return what the server says."""
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def connections(address: str) -> int:
    """Return how many connections others have to a database."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    count: int = ask(address, f"SELECT count(*) FROM pg_stat_activity WHERE {others}")[0][0]
    return count


def lose(address: str) -> None:
    """Have the server end them."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    ask(address, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}")


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it to its end, and not for ever."""
    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_replica_hears_what_others_ring_for_and_not_itself(postgres: str) -> None:
    async def main() -> None:
        async with replicas(postgres, 3) as [one, other, third]:
            assert [each.times for each in (one, other, third)] == [1, 1, 1]
            one.bell.ring("runs")
            one.bell.ring("events", "run 1")
            for each in (other, third):
                assert await waiting.auntil(lambda each=each: each.has_heard("events", "run 1"))
                assert each.has_heard("runs")
                assert not each.has_heard("cancel")
                assert not each.has_heard("events", "run 2")
            other.bell.ring("cancel", "run 1")
            assert await waiting.auntil(lambda: one.has_heard("cancel", "run 1"))
            # What it has rung for itself came before that.
            assert not one.has_heard("events")
            assert all(each for replica in (one, other, third) for each in replica.heard)
        # The server takes a moment to see that they are closed.
        assert await waiting.auntil(lambda: connections(postgres) == 0)

    run(main)


def test_channels_are_apart(postgres: str) -> None:
    async def main() -> None:
        async with (
            replicas(postgres, 1, channel='of "this" one') as [one],
            replicas(postgres, 2, channel="that") as [other, third],
        ):
            one.bell.ring("runs")
            other.bell.ring("cancel")
            assert await waiting.auntil(lambda: third.has_heard("cancel"))
            assert not third.has_heard("runs")
            assert not one.has_heard("cancel")

    run(main)


def test_many_rings_at_once_are_few_notifications(postgres: str) -> None:
    """From any thread; each is heard, by name or with all of its kind."""
    threads, each = 4, 2500

    async def main() -> None:
        async with replicas(postgres) as [one, other]:
            sent = one.bell.sent

            def ring(number: int) -> None:
                for count in range(each):
                    one.bell.ring("events", f"{number}-{count}")

            ringing = [threading.Thread(target=ring, args=(number,)) for number in range(threads)]
            for thread in ringing:
                thread.start()
            for thread in ringing:
                await asyncio.to_thread(thread.join)
            names = [f"{number}-{count}" for number in range(threads) for count in range(each)]
            assert await waiting.auntil(lambda: all(other.has_heard("events", n) for n in names))
            assert one.bell.sent - sent < threads * each / 20

    run(main)


def test_after_its_connections_were_lost_a_replica_looks_at_everything(postgres: str) -> None:
    async def main() -> None:
        async with replicas(postgres) as [one, other]:
            await asyncio.to_thread(lose, postgres)
            assert await waiting.auntil(lambda: one.times == other.times == 2)
            one.bell.ring("runs")
            assert await waiting.auntil(lambda: other.has_heard("runs"))
        assert await waiting.auntil(lambda: connections(postgres) == 0)

    run(main)


def test_what_is_rung_for_while_the_server_is_away_is_heard_when_it_is_back(
    postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = psycopg.conninfo.make_conninfo(postgres, dbname="postgres")
    name = psycopg.conninfo.conninfo_to_dict(postgres)["dbname"]
    password = psycopg.conninfo.conninfo_to_dict(postgres)["password"]

    async def main() -> None:
        async with replicas(postgres) as [one, other]:
            ask(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            try:
                ask(server, f"SELECT pg_terminate_backend(pid, 5000) {of_it}")
                one.bell.ring("runs", "run 1")
                assert await waiting.auntil(lambda: caplog.text.count("tried again") >= 4)
                assert not other.bell.is_listening
            finally:
                ask(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            # By name, or because everything is looked at after that.
            assert await waiting.auntil(lambda: other.times == 2 and one.times == 2)

    of_it = f"FROM pg_stat_activity WHERE datname = '{name}'"
    with caplog.at_level(logging.DEBUG):
        run(main)
    assert password not in caplog.text


def test_the_last_ring_gets_out_before_the_end(postgres: str) -> None:
    async def main() -> None:
        async with replicas(postgres) as [one, other]:
            one.bell.ring("runs", "the last")
            await one.bell.close()
            await one.bell.close()
            assert await waiting.auntil(lambda: other.has_heard("runs", "the last"))

    run(main)


def test_a_replica_that_was_never_connected_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has rung for does not keep it."""
    monkeypatch.setattr(doorbell, "LAST_MOMENT", 0.1)

    async def main() -> None:
        replica = Replica("postgresql://me:hush@127.0.0.1:1/nowhere")
        replica.bell.ring("runs")
        await replica.bell.start()
        await replica.bell.close()
        assert replica.heard == []

    run(main)


@pytest.mark.usefixtures("no_collector")
def test_connections_that_take_too_long_are_closed() -> None:
    """Each attempt would leave one, at a server that is slow to make them."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.setblocking(False)
            address = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/name?connect_timeout=2"
            replica = Replica(address)
            await replica.bell.start()
            with pytest.raises(psycopg.errors.ConnectionTimeout):
                await asyncio.to_thread(Address(address).connect)
            # Of those who ring, of those who listen, and the one that was asked for here.
            loop = asyncio.get_running_loop()
            for accepted in [(await loop.sock_accept(silent))[0] for _ in range(3)]:
                while await loop.sock_recv(accepted, 4096):
                    pass
                accepted.close()
            await replica.bell.close()

    run(main)


def test_who_does_not_look_hears_the_next_ring(
    postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What it does with a ring may fail."""
    heard: list[News] = []

    def hear(news: News) -> None:
        heard.append(news)
        raise ZeroDivisionError("while looking")

    async def main() -> None:
        async with replicas(postgres, 1) as [one]:
            bell = Doorbell(postgres, hear)
            await bell.start()
            assert await waiting.auntil(lambda: bell.is_listening)
            for kind in ("runs", "cancel"):
                one.bell.ring(kind)
                assert await waiting.auntil(lambda kind=kind: heard[-1].concerns(kind, "a"))
            await bell.close()

    run(main)
    assert "while looking" in caplog.text


def test_a_replica_whose_greeting_has_failed_hears_others_after_the_next_one(
    postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong in it: nobody else would begin to listen again."""
    greeted: list[Any] = []

    async def greet(connection: Any) -> None:
        greeted.append(connection)
        if len(greeted) == 1:
            raise ZeroDivisionError("while greeting")

    async def main() -> None:
        async with replicas(postgres, 1, greet=greet) as [one], replicas(postgres, 1) as [other]:
            other.bell.ring("runs")
            assert await waiting.auntil(lambda: one.has_heard("runs"))

    run(main)
    assert len(greeted) == 2
    assert "ZeroDivisionError: while greeting" in caplog.text


@pytest.mark.real_time(reason="that nothing happens takes time")
def test_while_nobody_rings_nothing_runs(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with replicas(postgres):
            loop: Any = asyncio.get_running_loop()
            turns = [0]
            once = loop._run_once

            def counted() -> None:
                turns[0] += 1
                once()

            await asyncio.sleep(0.2)  # what the last ring has left is done
            monkeypatch.setattr(loop, "_run_once", counted)
            await asyncio.sleep(1)
            assert turns[0] <= 2

    run(main)


@pytest.mark.long
@pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer")
def test_behind_pgbouncer_a_replica_listens_at_the_server_itself(
    postgres: str, tmp_path: Path
) -> None:
    async def main() -> None:
        with pooled(postgres, tmp_path) as address:
            async with replicas(address, listen_address=postgres) as [one, other]:
                for number in range(20):
                    one.bell.ring("runs", f"{number}")
                    assert await waiting.auntil(lambda n=number: other.has_heard("runs", f"{n}"))

    run(main)


@pytest.mark.long
@pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer")
def test_who_listens_through_pgbouncer_is_told_what_to_do(
    postgres: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing would fail there by itself: what is rung for is lost in silence."""
    monkeypatch.setattr(doorbell, "PATIENCE", 1.0)

    async def main() -> None:
        with pooled(postgres, tmp_path) as address:
            replica = Replica(address)
            await replica.bell.start()
            assert await waiting.auntil(lambda: "address of the server itself" in caplog.text)
            assert not replica.bell.is_listening
            # It would go on in a session that others have next.
            assert ask(address, "SELECT pg_listening_channels()") == []
            await replica.bell.close()

    run(main)


def test_who_listens_elsewhere_than_it_rings_is_told_so(
    postgres: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell, "PATIENCE", 0.5)
    elsewhere = psycopg.conninfo.make_conninfo(postgres, dbname="postgres")

    async def main() -> None:
        replica = Replica(postgres, listen_address=elsewhere)
        await replica.bell.start()
        assert await waiting.auntil(lambda: "the same database" in caplog.text)
        assert not replica.bell.is_listening
        await replica.bell.close()

    run(main)


def test_news_say_the_same_when_they_are_read() -> None:
    news = News()
    news.add("runs")
    for id in ("a", 'b"', "ü"):
        news.add("events", id)
    sender, found = read(news.payload("me"))
    assert sender == "me"
    assert found.ids("runs") is None
    assert found.ids("events") == {"a", 'b"', "ü"}
    assert found.ids("cancel") == frozenset()
    assert not found.concerns("cancel")


@pytest.mark.parametrize("kinds", [1, 2, 40, 700])
def test_news_of_any_number_of_things_fit_and_leave_nothing_out(kinds: int) -> None:
    news = News()
    for kind in range(kinds):
        for number in range(MOST_IDS):
            news.add(f"kind {kind}", f"{number:036}")
    text = news.payload("me")
    assert len(text.encode()) <= MOST_BYTES
    _, found = read(text)
    assert all(
        found.concerns(f"kind {kind}", f"{number:036}")
        for kind in range(kinds)
        for number in range(MOST_IDS)
    )


def test_of_too_many_things_it_is_said_that_any_may_be_new() -> None:
    news, other = News(), News()
    for number in range(MOST_IDS + 1):
        news.add("events", f"{number}")
    assert news.ids("events") is None
    other.add("events", "a")
    other.merge(news)
    other.add("events", "b")
    assert other.ids("events") is None
    assert other.concerns("events", "c")


@pytest.mark.parametrize(
    "payload", ["", "hello", "[]", '{"by": "me"}', '{"by": "me", "new": {"runs": [1]}}']
)
def test_what_makes_no_sense_may_mean_anything(payload: str) -> None:
    sender, news = read(payload)
    assert sender == ""
    assert news.is_everything
