"""What a server that fails in the middle costs: an error, and nothing half written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

import pytest

from journal.journals import DRIVERS, SyncCalls, new_config
from journal.test_postgres import ask, lose_connections
from millstream.journal import PostgresJournal
from millstream.journal.checking import check

psycopg = pytest.importorskip("psycopg")

Calls = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture(params=DRIVERS)
def calls(request: pytest.FixtureRequest, postgres: str) -> Iterator[SyncCalls]:
    """Give a database that has no journal, under each driver."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS millstream CASCADE")
    with DRIVERS[request.param]("postgres", postgres) as calls:
        yield calls


def put(number: int, value: Any, ns: str = "", parent: int | None = None) -> tuple[str, Any]:
    """Return a call that stores a checkpoint."""
    checkpoint = {"v": 4, "ts": "", "id": f"{number:08}", "channel_values": {"x": value}}
    checkpoint |= {"channel_versions": {"x": number}, "versions_seen": {}}
    config = new_config("thread", None if parent is None else f"{parent:08}", ns)
    return "put", (config, checkpoint, {"step": number, "run": value[0][:3]}, {"x": number})


def texts(number: int) -> list[str]:
    """Return a value that has parts of its own."""
    return [f"{number} {at} " * 40 for at in range(4)]


def superstep() -> Calls:
    """Return what tasks wrote, and the checkpoint after that: one statement."""
    wrote = (new_config("thread", f"{2:08}"), [("x", texts(9))], "task", "~1")
    return [("put_writes", wrote), put(3, texts(3), parent=2)]


def of_two_lines() -> Calls:
    """Return a superstep, and one of a nested graph: two statements."""
    return [*superstep(), put(4, texts(4), "nested")]


def stored_again() -> Calls:
    """Return a checkpoint that is there already: statements that change rows and add some."""
    return [put(2, texts(5), parent=1)]


STEPS: Final = {"superstep": superstep, "two lines": of_two_lines, "again": stored_again}
steps = pytest.mark.parametrize("make", STEPS.values(), ids=STEPS)


def begun(calls: SyncCalls) -> PostgresJournal:
    """Return a journal with a thread of two checkpoints."""
    journal: PostgresJournal = calls.open()
    for call in (put(1, texts(1)), put(2, texts(2), parent=1)):
        calls.call(journal.put_together, [call])
    return journal


def all_rows(address: str) -> list[Any]:
    """Return all that the tables have, but for the numbers that were given out."""
    names = ("lines", "checkpoints", "writes", "parts", "labels", "shares")
    return [
        sorted(ask(address, f"SELECT * FROM millstream.journal_{name}"), key=repr) for name in names
    ]


FULL_DISK: Final = """
CREATE FUNCTION millstream.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$
"""


@pytest.mark.parametrize("table", ["checkpoints", "parts", "labels"])
@steps
def test_a_full_disk_is_an_error_and_nothing_is_stored(
    calls: SyncCalls, make: Callable[[], Calls], table: str
) -> None:
    """Whichever of the tables it is that cannot grow; when there is room again, it is stored."""
    journal = begun(calls)
    before = all_rows(calls.address)
    trigger = f"TRIGGER full_disk {{}} ON millstream.journal_{table}"
    ask(calls.address, FULL_DISK)
    ask(
        calls.address,
        f"CREATE {trigger.format('BEFORE INSERT')} "
        "FOR EACH ROW EXECUTE FUNCTION millstream.full_disk()",
    )
    with pytest.raises(psycopg.errors.DiskFull):
        calls.call(journal.put_together, make())
    assert all_rows(calls.address) == before

    ask(calls.address, f"DROP {trigger.format('')}")
    calls.call(journal.put_together, make())
    expect_stored(calls, journal, make())


def expect_stored(calls: SyncCalls, journal: PostgresJournal, step: Calls) -> None:
    """Check that all of a step is read, by the journal itself and by others."""
    for reader in (journal, calls.fresh(journal)):
        for name, (config, what, *_) in step:
            configurable = dict(config["configurable"])
            if name == "put":
                configurable["checkpoint_id"] = what["id"]
            found = calls.call(reader.get_tuple, {"configurable": configurable})
            if name == "put":
                assert found.checkpoint == what
            else:
                assert found.pending_writes == [("task", *what[0])]
    assert list(check(journal)) == []


def lose_amid(journal: PostgresJournal, address: str, *, times: int) -> list[str]:
    """Lose the connection so often when a commit has sent its first statements, and not ended."""
    storage: Any = journal._storage
    carry, lost = storage._carry, []

    def interrupted(steps: Any) -> Generator[Any, Any, Any]:
        request = next(steps)
        while True:
            answer = yield request
            if len(lost) < times:
                lost.append("lost")
                lose_connections(address)
            try:
                request = steps.send(answer)
            except StopIteration as end:
                return end.value

    def losing(connection: Any, steps: Any) -> Any:
        return carry(connection, interrupted(steps) if steps.__name__ == "_commit" else steps)

    storage._carry = losing
    return lost


amid = pytest.mark.parametrize("make", [of_two_lines, stored_again], ids=["two lines", "again"])


@amid
def test_a_transaction_whose_connection_is_lost_is_sent_again(
    calls: SyncCalls, make: Callable[[], Calls]
) -> None:
    """And stored once."""
    journal = begun(calls)
    lost = lose_amid(journal, calls.address, times=1)

    calls.call(journal.put_together, make())

    assert lost == ["lost"]
    expect_stored(calls, journal, make())
    count = len(calls.list(journal, new_config("thread")))
    assert count == (2 if make is stored_again else 3)


@amid
def test_a_transaction_whose_connection_is_always_lost_leaves_nothing(
    calls: SyncCalls, make: Callable[[], Calls]
) -> None:
    """The error is the driver's, and the thread can be gone on with."""
    journal = begun(calls)
    before = all_rows(calls.address)
    lost = lose_amid(journal, calls.address, times=100)

    with pytest.raises(psycopg.OperationalError):
        calls.call(journal.put_together, make())

    assert 1 < len(lost) < 100
    assert all_rows(calls.address) == before
    lost += ["mended"] * 100
    calls.call(journal.put_together, make())
    expect_stored(calls, journal, make())
