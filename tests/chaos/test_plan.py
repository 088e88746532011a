"""What is planned for `make test-chaos`, and how it is counted."""

from __future__ import annotations

import pytest

from chaos.disturbances import KILL, OF_DATABASE, OF_REPLICAS, STOP, Disturbance, described, plan
from chaos.figures import Ended, gaps, percentiles, takeovers
from chaos.ledger import Entry
from chaos.records import Seen, Told, Turn
from chaos.scenarios import SCENARIOS, conversations

LEASE = 6.0


@pytest.mark.parametrize("seed", range(20))
def test_one_replica_at_least_is_left_alone(seed: int) -> None:
    planned = [one for one in plan(seed, 600, 3, LEASE) if one.target >= 0]

    for at in (one.at for one in planned):
        assert len({one.target for one in planned if one.at <= at <= one.at + one.seconds}) <= 2


@pytest.mark.parametrize("seed", range(20))
def test_a_short_time_has_everything(seed: int) -> None:
    planned = plan(seed, 90, 3, LEASE)

    assert {one.kind for one in planned} == {*OF_REPLICAS, *OF_DATABASE}
    assert sum(one.kind in OF_DATABASE for one in planned) == 2
    assert all(one.seconds > LEASE for one in planned if one.kind == STOP)


def test_a_seed_decides_the_same_again() -> None:
    assert plan(5, 600, 3, LEASE) == plan(5, 600, 3, LEASE)
    assert plan(5, 600, 3, LEASE) != plan(6, 600, 3, LEASE)
    assert [*conversations(5, "py0", 9)] == [*conversations(5, "py0", 9)]
    assert [*conversations(5, "py0", 9)] != [*conversations(5, "js0", 9)]


def test_clients_have_conversations_of_every_kind() -> None:
    found = [*conversations(1, "py0", 200)]

    assert {each.scenario for each in found} == set(SCENARIOS)
    assert len({each.thread_id for each in found}) == 200


def test_what_is_planned_can_be_read() -> None:
    planned = [
        Disturbance(4, KILL, 1, 2.25),
        Disturbance(10, "cut", 0, 7, ("forth", "back"), is_forgotten=True),
        Disturbance(200, "database fast", -1, 0),
    ]

    assert described(planned).split("\n") == [
        "   4.0 s kill r1 for 2.2 s",
        "  10.0 s cut r0 for 7.0 s forth back reset",
        " 200.0 s database fast",
    ]


def done(at: float, replica: str, attempt: int) -> Entry:
    return Entry(at, replica, "thread", "run", attempt, "", 1, "task", "node")


def test_a_takeover_counts_from_what_happened_to_the_one_before() -> None:
    entries = [done(1, "r0.1", 1), done(9, "r1.1", 2), done(20, "r2.1", 3), done(21, "r2.1", 3)]
    disturbed = [
        Ended(2, "r0.1", "stop"), Ended(4, "r0.1", "kill"), Ended(15, "r1.1", "term"),
        Ended(30, "r1.1", "kill"),
    ]  # fmt: skip

    assert [*takeovers(entries, disturbed)] == [("kill", 5), ("term", 5)]


def test_a_gap_is_around_a_stream_that_was_asked_for_again() -> None:
    seen = [Seen(at, f"{at}-1", "values", {}) for at in (1.0, 2.0, 7.0, 7.5)]
    turns = [Turn(seen=seen, joined=[3.0, 4.0]), Turn(seen=seen, joined=[0.5, 9.0])]

    assert [*gaps(Told(turns=turns))] == [5.0]


def test_percentiles_say_of_how_many() -> None:
    assert percentiles([]) == "none"
    assert percentiles([3.0, 1.0, 2.0]) == "p50 2.00 s, p99 3.00 s, of 3"
