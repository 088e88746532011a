"""How urgent the runs of a thread are, as the function of a `langgraph_sdk.Priority` says."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

import waiting
from millstream.server.config import AuthConfig, PriorityConfig
from millstream.server.errors import ConfigError
from millstream.server.graphs import assistant_of
from millstream.server.priorities import load_priorities, settings_of
from millstream.server.runs.turns import Settings, owner_of, standing
from millstream.server.storage.tables import runs
from server import urgency
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.test_crons import served
from server.test_turns import ask, body, serving, start

PRIORITY = PriorityConfig("server.urgency:priority")
SLOW = {"assistant_id": "slow", "input": {"n": 1, "delay": 0}}
ALICE = {"authorization": "Bearer alice"}


def standings(server: Running) -> list[tuple[int, str]]:
    """Return priority and owner of the runs there are, the oldest first."""

    def read(connection: Connection) -> list[tuple[int, str]]:
        query = select(runs.c.priority, runs.c.owner).order_by(runs.c.created_at, runs.c.run_id)
        return [(row.priority, row.owner) for row in connection.execute(query)]

    found: list[tuple[int, str]] = server.service.db.write_soon(read).result(30)
    return found


def test_the_function_is_asked_once_of_each_thread(tmp_path: Path) -> None:
    urgency.asked.clear()
    auth = AuthConfig(path="server.handlers:owners")
    config = config_of(make_graphs(), tmp_path, auth=auth, priority=PRIORITY)
    with running(config) as server:
        server.http.headers.update(ALICE)
        settings = {"priority": -3, "fairness_group": "acme"}
        made = server.http.post("/threads", json={"metadata": {"settings": settings}}).json()
        at = f"/threads/{made['thread_id']}"
        for n in range(3):
            given = {**SLOW, "metadata": {"n": n}}
            assert server.http.post(f"{at}/runs/wait", json=given).status_code == 200
        found = standings(server)
        [context] = urgency.asked
        other = server.http.post(
            f"{at}/runs", json=SLOW, headers={"authorization": "Bearer bob"}
        ).status_code
        asked = len(urgency.asked)

    assert found == [(-3, owner_of("group acme"))] * 3
    assert context.user.identity == "alice"
    assert context.user["org"] == "acme"
    assert context.permissions == ["a:b"]
    assert context.thread_id == made["thread_id"]
    assert context.thread_metadata == {"settings": settings, "owner": "alice"}
    assert (context.assistant_id, context.graph_id) == (assistant_of("slow"), "slow")
    assert context.assistant_metadata == {"created_by": "system"}
    assert context.run_metadata == {"n": 0, "owner": "alice"}
    assert context.cron_id is None
    # Nothing of a thread is told of who may not see it.
    assert (other, asked) == (404, 1)


def test_runs_begin_as_the_function_says_and_groups_take_turns(tmp_path: Path) -> None:
    def of(group: str | None = None, priority: int | None = None) -> dict[str, Any]:
        return {"metadata": {"settings": {"fairness_group": group, "priority": priority}}}

    with serving(tmp_path, n_jobs_per_worker=1, priority=PRIORITY) as (server, gate):
        ask(server, "gate")
        for n in range(5):
            ask(server, f"a{n}", **of("a"))
        ask(server, "b", **of("b"))
        ask(server, "low", **of(priority=5))
        ask(server, "first", **of(priority=-5))
        gate.opened.set()
        assert waiting.until(lambda: len(gate.began) == 9)

    assert gate.began == ["gate", "first", "a0", "a1", "b", "a2", "a3", "a4", "low"]


@pytest.mark.parametrize(
    ("settings", "wished", "expected"),
    [
        (None, None, 0),
        (None, -5, -5),
        (Settings(-3), None, -3),
        (Settings(-3), -5, -3),
        (Settings(-3), 0, 0),
        (Settings(2), 5, 5),
        (Settings(2), 0, 2),
    ],
)
def test_who_asks_for_a_run_can_have_it_wait_longer_than_its_thread_and_not_shorter(
    settings: Settings | None, wished: int | None, expected: int
) -> None:
    assert standing(settings, wished, "ada") == (expected, "ada")


def test_a_wish_is_heard_within_what_the_thread_may(tmp_path: Path) -> None:
    config = config_of(make_graphs(), tmp_path, priority=PRIORITY)
    with running(config) as server:
        for wish in ({}, {"priority": -5}, {"priority": 4}):
            given = {**SLOW, **wish, "metadata": {"settings": {"priority": 1}}}
            given["on_completion"] = "keep"
            assert server.http.post("/runs/wait", json=given).status_code == 200
        found = standings(server)

    assert [priority for priority, _ in found] == [1, 1, 4]


def test_a_function_that_fails_harms_no_run_and_is_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    urgency.asked.clear()
    with serving(tmp_path, priority=PRIORITY) as (server, gate):
        at = f"/threads/{server.http.post('/threads', json={}).json()['thread_id']}"
        with caplog.at_level(logging.ERROR, "millstream.server"):
            start(server, at, "a", metadata={"fails": True}, priority=-5)
            start(server, at, "b", metadata={"settings": {"priority": 9}})
            start(server, at, "c", metadata={"settings": {"priority": 2}})
            server.http.post(f"{at}/runs/wait", json=body("d"))
        found = standings(server)

    assert gate.began == ["a", "b", "c", "d"]
    assert [priority for priority, _ in found] == [0, 0, 2, 2]
    assert len(urgency.asked) == 3
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "priority.path"
    ] * 2


def test_the_function_is_told_of_crons(tmp_path: Path) -> None:
    urgency.asked.clear()

    async def main() -> None:
        async with served(tmp_path, priority=PRIORITY) as server:
            wish = {"on_run_completed": "keep", "metadata": {"settings": {"priority": 2}}}
            cron = await server.post("/runs/crons", **SLOW, **wish, schedule="* * * * *")
            await server.advance(minutes=1)
            [ran] = await server.ran()
            [context] = urgency.asked
            assert (context.cron_id, context.thread_id) == (cron["cron_id"], None)
            assert (ran.priority, context.user.identity) == (2, "")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Settings()),
        ({}, Settings()),
        ({"priority": None, "fairness_group": None}, Settings()),
        ({"priority": -5, "fairness_group": ""}, Settings(-5)),
        ({"priority": 5, "fairness_group": "default"}, Settings(5)),
        ({"fairness_group": "a" * 256}, Settings(0, "a" * 256)),
    ],
)
def test_what_is_not_said_is_as_usual(given: Any, expected: Settings) -> None:
    assert settings_of(given) == expected


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"priority": 6}, "from -5 .first. to 5 .last., not 6"),
        ({"priority": True}, "not True"),
        ({"priority": "1"}, "not '1'"),
        ({"fairness_group": "a" * 257}, "at most 256 characters"),
        ({"fairness_group": 1}, "at most 256 characters"),
        (3, "a dict or None, not a int"),
    ],
)
def test_settings_that_there_are_not_are_refused(given: Any, told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told):
        settings_of(given)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("server.urgency:silent", "which has no @priority.assign"),
        ("server.urgency:asked", "which is no langgraph_sdk.Priority"),
        ("server.urgency:nothing", "cannot be imported"),
    ],
)
def test_what_says_nothing_is_refused_at_the_start(tmp_path: Path, path: str, told: str) -> None:
    config = config_of({}, tmp_path, priority=PriorityConfig(path))

    with pytest.raises(ConfigError, match=told):
        load_priorities(config, None)  # type: ignore[arg-type] - it is not reached


def test_a_path_is_needed() -> None:
    with pytest.raises(ConfigError, match=r"priority\.path is missing"):
        PriorityConfig()
