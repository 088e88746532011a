"""Replicas ring at each other by way of a Redis server, and by the database where it is away."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import waiting
from listening import free_port
from millstream.server.config import ServerConfig
from millstream.server.errors import ConfigError
from server.streams import start, thread
from server.test_doorbell import Replica, replicas, run
from server.test_replicas import serving, status

psycopg = pytest.importorskip("psycopg")
client = pytest.importorskip("redis")

from millstream.server.doorbell import relay  # noqa: E402  # the test is skipped without it

PROGRAM: Final = shutil.which("redis-server")
pytestmark = [
    pytest.mark.long,
    pytest.mark.real_time(reason="another process takes its time"),
    pytest.mark.skipif(PROGRAM is None, reason="there is no redis-server"),
]
SHARED: Final = "postgresql://me@db.example/name"


class Server:
    """A Redis server as Debian has it, that can be ended and started."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.address = f"redis://:hush@127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["--port", f"{self.port}", "--bind", "127.0.0.1", "--save", ""]
        command = [str(PROGRAM), *options, "--requirepass", "hush", "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        assert waiting.until(self._answers)

    def stop(self) -> None:
        """End it, however it is."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Have it stand still, or go on."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def ask(self, *command: str) -> Any:
        """Return what it says."""
        with client.Redis.from_url(self.address) as connection:
            return connection.execute_command(*command)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except client.RedisError:
            return False


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    """Give a server."""
    server = Server(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Listener:
    """Notes what is said by notifications, beside the probes of replicas."""

    def __init__(self, address: str) -> None:
        self._connection = psycopg.connect(address, autocommit=True)
        self._payloads: list[str] = []
        self._connection.add_notify_handler(lambda notify: self._payloads.append(notify.payload))
        self._connection.execute("LISTEN millstream")

    def heard(self, text: str) -> bool:
        """Say whether something was said by now."""
        self._connection.execute("SELECT 1")
        return any(text in payload for payload in self._payloads)

    def close(self) -> None:
        """Listen no more."""
        self._connection.close()


@pytest.fixture
def listener(postgres: str) -> Iterator[Listener]:
    """Give one who hears notifications."""
    listener = Listener(postgres)
    yield listener
    listener.close()


async def rings_arrive(one: Replica, other: Replica, kind: str) -> None:
    """See that one hears another one."""
    one.bell.ring(kind)
    assert await waiting.auntil(lambda: other.has_heard(kind))


def test_rings_go_by_redis_and_not_by_the_database(
    postgres: str, redis: Server, listener: Listener
) -> None:
    async def main() -> None:
        async with replicas(postgres, 3, redis=redis.address) as [one, other, third]:
            for kind in ("runs", "events"):
                await rings_arrive(one, other, kind)
                await rings_arrive(one, third, kind)
            await rings_arrive(other, one, "cancel")
            assert not one.has_heard("runs")
        assert listener.heard("probe")
        assert not any(listener.heard(kind) for kind in ("runs", "events", "cancel"))
        # Nothing is kept there, and nobody is left.
        assert redis.ask("DBSIZE") == 0
        assert await waiting.auntil(lambda: redis.ask("PUBSUB", "NUMSUB", "millstream")[1] == 0)

    run(main)


def test_while_redis_is_away_rings_go_by_the_database(
    postgres: str, redis: Server, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with replicas(postgres, redis=redis.address) as [one, other]:
            redis.stop()
            both = (one.bell, other.bell)
            assert await waiting.auntil(lambda: not any(bell.is_listening for bell in both))
            await rings_arrive(one, other, "runs")
            assert listener.heard("runs")
            times = one.times, other.times
            await asyncio.to_thread(redis.start)
            assert await waiting.auntil(lambda: all(bell.is_listening for bell in both))
            # Something may have been missed.
            assert (one.times, other.times) == (times[0] + 1, times[1] + 1)
            await rings_arrive(other, one, "cancel")
            assert not listener.heard("cancel")

    run(main)
    assert "redis is not heard" in caplog.text
    assert "hush" not in caplog.text


def test_who_has_lost_its_connection_to_redis_looks_at_everything(
    postgres: str, redis: Server
) -> None:
    async def main() -> None:
        async with replicas(postgres, redis=redis.address) as [one, other]:
            times = one.times, other.times
            assert redis.ask("CLIENT", "KILL", "TYPE", "pubsub") == 2
            assert await waiting.auntil(
                lambda: (one.times, other.times) == (times[0] + 1, times[1] + 1)
            )
            await rings_arrive(one, other, "runs")

    run(main)


def test_a_redis_that_stands_still_is_noticed(
    postgres: str, redis: Server, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "SIGN_OF_LIFE", 0.5)

    async def main() -> None:
        async with replicas(postgres, redis=redis.address) as [one, other]:
            redis.signal(signal.SIGSTOP)
            try:
                await rings_arrive(one, other, "runs")
                assert listener.heard("runs")
                assert await waiting.auntil(lambda: not one.bell.is_listening)
                await rings_arrive(one, other, "events")
            finally:
                redis.signal(signal.SIGCONT)
            assert await waiting.auntil(lambda: one.bell.is_listening and other.bell.is_listening)

    run(main)


def test_a_replica_begins_and_ends_without_the_redis_that_it_is_told_of(postgres: str) -> None:
    async def main() -> None:
        replica = Replica(postgres, redis="redis://127.0.0.1:1/0")
        other = Replica(postgres)
        for each in (replica, other):
            await each.bell.start()
        assert await waiting.auntil(lambda: other.bell.is_listening)
        await rings_arrive(replica, other, "runs")
        assert not replica.bell.is_listening
        for each in (replica, other):
            await each.bell.close()

    run(main)


def test_servers_share_runs_by_redis(new_database: str, redis: Server, tmp_path: Path) -> None:
    options = {"redis": redis.address, "lease_seconds": 30}
    with (
        serving(new_database, tmp_path / "a", role="api", **options) as api,
        serving(new_database, tmp_path / "b", role="worker", **options) as worker,
    ):
        assert waiting.until(lambda: worker.service.bell.is_listening)
        at = thread(api)
        run_id = start(api, at, "steps", {})["run_id"]
        assert waiting.until(lambda: status(api, at, run_id) == "success")


def test_what_is_no_address_of_a_redis_is_refused() -> None:
    with pytest.raises(ConfigError, match="redis is an address like redis://"):
        ServerConfig(database=SHARED, redis="http://hush@redis")
    with pytest.raises(ConfigError, match="redis is for servers that share a database"):
        ServerConfig(redis="redis://redis")
    assert "hush" not in repr(ServerConfig(database=SHARED, redis="redis://:hush@redis"))
