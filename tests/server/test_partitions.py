"""A server between which and the database nothing comes through, in a direction, for a while."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from psycopg import conninfo
from sqlalchemy import Connection

import waiting
from millstream.server.storage.postgres import PostgresDatabase
from millstream.server.storage.postgres_engine import Address
from server.fixtures import Running, config_of, running
from server.streams import Event, live, parse, start, thread
from server.test_recovery import COUNT, Gate, ended
from server.ways import TO_CLIENT, TO_SERVER, Way

pytestmark = [
    pytest.mark.real_time(reason="leases end by the clock of the database"),
    pytest.mark.usefixtures("impatient"),
]

BLINK = 0.02
DIRECTIONS = {
    "to the server": (TO_SERVER,),
    "to the client": (TO_CLIENT,),
    "both": (TO_SERVER, TO_CLIENT),
}
USUAL = {("both", "sync"), ("to the server", "async"), ("to the client", "async")}
"""What `make test` tries: each direction, and each way to store."""
in_each_way = pytest.mark.parametrize(
    ("directions", "durability"),
    [
        pytest.param(
            directions,
            durability,
            id=f"{name}-{durability}",
            marks=() if (name, durability) in USUAL else pytest.mark.long,
        )
        for name, directions in DIRECTIONS.items()
        for durability in ("sync", "async")
    ],
)


class Cut:
    """A run at its gate, at a server behind a way, and another server with the same database."""

    def __init__(
        self, stack: ExitStack, address: str, directory: Path, durability: str, lease: float
    ) -> None:
        self.lease = lease
        self.gate = Gate(3)
        self.way = Way(address)
        stack.callback(self.way.close)
        self.server = stack.enter_context(
            self._serving(self.way.address, directory / "a", self.gate)
        )
        stack.callback(self._let_go)
        self.member = self.server.service.scheduler._membership
        self.former = self.member.id
        self.at = thread(self.server)
        asked = {"stream_resumable": True, "stream_mode": ["values"], "durability": durability}
        self.run_id = start(self.server, self.at, "steps", {"seen": []}, **asked)["run_id"]
        self.path = f"/threads/{self.at}/runs/{self.run_id}"
        self.read: list[Event] = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        assert waiting.until(lambda: self.gate.is_reached and bool(self.read))
        # Had it been there before, it might have begun the run.
        self.other = stack.enter_context(self._serving(address, directory / "b", Gate(-1)))

    def _serving(self, address: str, directory: Path, gate: Gate) -> Any:
        directory.mkdir()
        options: dict[str, Any] = {"database": address, "lease_seconds": self.lease}
        return running(config_of(gate.graphs(), directory, **options))

    def _let_go(self) -> None:
        self.gate.is_open = True
        self.way.release()

    def _read(self) -> None:
        headers = {"last-event-id": "-1"}
        with self.server.http.stream("GET", f"{self.path}/stream", headers=headers) as answer:
            self.read.extend(event for event in live(answer) if event.id is not None)

    @property
    def status(self) -> str:
        """How the run stands, as the other server knows it."""
        return str(self.other.http.get(self.path).json()["status"])

    def check(self) -> None:
        """Check that the run is there, whole and once, and that both servers go on."""
        assert ended(self.other, self.at, self.run_id) == "success"
        state = self.other.http.get(f"/threads/{self.at}/state").json()
        assert state["values"]["seen"] == list(range(COUNT))
        stored = _events(self.other, self.path, "-1")
        seen = [event.data["seen"] for event in stored if event.name == "values"]
        assert seen == [list(range(count)) for count in range(COUNT + 1)]
        self.reader.join()
        # Whoever has read at the one goes on at the other.
        last = self.read[-1].id
        assert last is not None
        assert [*self.read, *_events(self.other, self.path, last)] == stored
        assert waiting.until(lambda: not self.server.service.scheduler.active)
        at = thread(self.server)
        again = start(self.server, at, "steps", {"seen": []})["run_id"]
        assert ended(self.server, at, again) == "success"


def _events(server: Running, path: str, after: str) -> list[Event]:
    text = server.http.get(f"{path}/stream", headers={"last-event-id": after}).text
    return [event for event in parse(text) if event.id is not None]


@pytest.fixture
def durability() -> str:
    """Give how a run is stored where that is not tried in each way."""
    return "async"


@pytest.fixture
def lease() -> float:
    """Give the seconds of a lease that a busy machine does not end."""
    return 30.0


@pytest.fixture
def cut(new_database: str, tmp_path: Path, durability: str, lease: float) -> Iterator[Cut]:
    with ExitStack() as stack:
        yield Cut(stack, new_database, tmp_path, durability, lease)


@pytest.mark.parametrize("lease", [3.0], ids=["short"])
@in_each_way
def test_a_run_is_whole_when_its_server_was_cut_off_for_longer_than_its_lease(
    cut: Cut, directions: tuple[str, ...]
) -> None:
    cut.way.hold(*directions)
    assert waiting.until(lambda: cut.status == "success")
    # It gives up by itself, though nobody can tell it anything, and nothing is closed.
    active = list(cut.server.service.scheduler._active.values())
    assert waiting.until(lambda: all(each.stopped_by == "lease_lost" for each in active))
    cut.gate.is_open = True
    cut.way.release()
    cut.check()
    assert waiting.until(lambda: cut.member.id != cut.former)


@in_each_way
def test_a_run_goes_on_when_its_server_was_cut_off_for_less_than_its_lease(
    cut: Cut, directions: tuple[str, ...]
) -> None:
    cut.way.hold(*directions)
    cut.gate.is_open = True
    # Since then it has asked, and has had no answer.
    began, beat = time.monotonic(), cut.server.service.scheduler._lease._beat
    assert waiting.until(lambda: time.monotonic() - began > 2 * beat)
    cut.way.release()
    cut.check()


def test_a_run_does_not_notice_moments_in_which_nothing_comes_through(cut: Cut) -> None:
    cut.gate.is_open = True
    for directions in DIRECTIONS.values():
        for _ in range(5):
            cut.way.hold(*directions)
            time.sleep(BLINK)
            cut.way.release()
    cut.check()
    assert cut.member.id == cut.former


def test_both_ends_of_a_connection_notice_that_the_other_is_gone_before_a_lease_is_over(
    new_database: str,
) -> None:
    address = Address(new_database, lease=30)
    database = PostgresDatabase(address)

    def found(connection: Connection) -> tuple[list[str], dict[str, Any]]:
        driver: Any = connection.connection.driver_connection
        names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout")
        shown = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]
        return shown, conninfo.conninfo_to_dict(driver.info.dsn)

    try:
        shown, given = asyncio.run(database.read(found))
    finally:
        database.close()
    assert shown == ["5", "3", "15000"]
    assert (given["keepalives_idle"], given["keepalives_interval"]) == ("5", "3")
    assert given["tcp_user_timeout"] == "15000"
