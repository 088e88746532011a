"""What another attempt at a run says again."""

from __future__ import annotations

import json
from typing import Any

from millstream.modes.names import CHECKPOINTS, DEBUG, STEPS, TASKS, UPDATES, VALUES
from millstream.server.log.repeats import LIFECYCLE, Repeats
from millstream.server.log.run_log import RunLog
from millstream.server.sse import event_name
from millstream.types import Interrupt

ROOT = ()
QUESTION = {"id": "q", "value": "what?"}
CACHED = {"__metadata__": {"cached": True}}


def after(*said: tuple[str, tuple[str, ...], Any]) -> Repeats:
    """Return what another attempt knows at a run that has said this."""
    log = RunLog("r", is_resumable=True)
    for mode, namespace, data in said:
        log.append(mode, event_name(mode, namespace), json.dumps(data).encode())
    return Repeats(log.since(0))


def test_tasks_and_checkpoints_are_told_once() -> None:
    started, checkpoint = {"id": "1", "triggers": []}, {"checkpoint_id": "c"}
    told = {"config": {"configurable": checkpoint}}
    repeats = after(
        (TASKS, ROOT, started),
        (CHECKPOINTS, ("a:1",), told),
        (DEBUG, ROOT, {"type": "task", "timestamp": "now", "payload": started}),
    )

    assert repeats.covers(TASKS, ROOT, {**started, "metadata": {"run_attempt": 2}})
    assert repeats.covers(CHECKPOINTS, ("a:1",), told)
    assert repeats.covers(DEBUG, ROOT, {"type": "task", "timestamp": "then", "payload": started})
    assert not repeats.covers(TASKS, ROOT, {"id": "2", "triggers": []})
    assert not repeats.covers(CHECKPOINTS, ROOT, told)
    assert not repeats.covers(DEBUG, ROOT, {"type": "checkpoint", "payload": told})


def test_a_task_whose_step_was_told_is_not_told_again() -> None:
    step = {"event": "started", "id": "1", "name": "a"}
    repeats = after((STEPS, ROOT, step), (STEPS, ROOT, {**step, "event": "ended", "id": "2"}))

    assert repeats.covers(TASKS, ROOT, {"id": "1", "triggers": []})
    assert not repeats.covers(TASKS, ROOT, {"id": "2", "triggers": []})


def test_what_a_task_has_come_to_is_told_each_time() -> None:
    failed = {"id": "1", "error": "oh", "result": {}, "interrupts": []}

    assert not after((TASKS, ROOT, failed)).covers(TASKS, ROOT, failed)


def test_questions_are_told_once() -> None:
    paused = {"id": "1", "error": None, "result": {}, "interrupts": [QUESTION]}
    repeats = after((UPDATES, ROOT, {"__interrupt__": [QUESTION]}), (TASKS, ROOT, paused))

    assert repeats.covers(UPDATES, ROOT, {"__interrupt__": [QUESTION]})
    assert repeats.covers(TASKS, ROOT, paused)
    assert not repeats.covers(UPDATES, ROOT, {"__interrupt__": [{**QUESTION, "id": "other"}]})


def test_results_of_tasks_that_had_ended_are_told_once() -> None:
    repeats = after((UPDATES, ROOT, {"a": {"n": 1}}), (UPDATES, ("b:1",), {"a": {"n": 1}}))

    assert repeats.covers(UPDATES, ROOT, {"a": {"n": 1}, **CACHED})
    assert not repeats.covers(UPDATES, ROOT, {"a": {"n": 1}, **CACHED})


def test_a_result_like_that_of_an_earlier_superstep_is_told() -> None:
    update = (UPDATES, ROOT, {"a": {"n": 1}})
    asking = (VALUES, ROOT, {"n": 1, "__interrupt__": [QUESTION]})
    checkpoint = (CHECKPOINTS, ROOT, {"config": {"configurable": {"checkpoint_id": "c"}}})
    for ended in ((VALUES, ROOT, {"n": 1}), checkpoint):
        assert not after(update, ended).covers(UPDATES, ROOT, {"a": {"n": 1}, **CACHED})
    for other in (asking, (VALUES, ("b:1",), {"n": 1})):
        assert after(update, other).covers(UPDATES, ROOT, {"a": {"n": 1}, **CACHED})


def test_a_result_like_an_earlier_one_is_told() -> None:
    repeats = after((UPDATES, ROOT, {"a": {"n": 1}}))

    assert not repeats.covers(UPDATES, ROOT, {"a": {"n": 1}})
    # From now on the graph is where it has not been, and a cache may know results as well.
    assert not repeats.covers(UPDATES, ROOT, {"a": {"n": 1}, **CACHED})


def test_the_state_that_an_attempt_begins_with_is_not_told() -> None:
    repeats = after((VALUES, ROOT, {"n": 1}))

    assert repeats.covers(VALUES, ROOT, {"n": 1})
    assert not repeats.covers(VALUES, ROOT, {"n": 2})
    assert not repeats.covers(VALUES, ROOT, {"n": 1})

    resumed = after()
    resumed.go_on(ROOT)  # it may have had nothing to show

    assert resumed.covers(VALUES, ROOT, {"n": 1})
    assert not resumed.covers(VALUES, ROOT, {"n": 1})


def test_graphs_begin_and_end_once() -> None:
    inner, failing, other = ("a:1",), ("b:1",), ("c:1",)
    repeats = after(
        (LIFECYCLE, inner, {"event": "started"}),
        (LIFECYCLE, inner, {"event": "completed"}),
        (LIFECYCLE, failing, {"event": "failed"}),
        (LIFECYCLE, other, {"event": "started"}),
    )

    assert repeats.covers_life(inner, "started")
    assert repeats.covers_life(inner, "completed")
    assert not repeats.covers_life(failing, "started")
    assert repeats.covers_life(other, "started")
    assert not repeats.covers_life(other, "completed")
    assert not repeats.covers_life(ROOT, "running")


def test_protocol_events_are_known_by_the_same_facts() -> None:
    log = RunLog("r", is_resumable=True)
    told = {
        "values": {"n": 1},
        "checkpoints": {"id": "c", "step": 0},
        "updates": {"node": "a", "values": {"n": 1}},
        "tasks": {"id": "1", "error": None, "result": {}, "interrupts": [QUESTION]},
    }
    for method, data in told.items():
        event = {"method": method, "params": {"namespace": ["b:1"], "data": data}}
        frame = f"event: {method}\r\ndata: {json.dumps(event)}\r\nid: 1\r\n\r\n".encode()
        log.append_frame(f"v3:{method}\nb:1", lambda _, frame=frame: frame)
    repeats, at = Repeats(log.since(0), is_protocol=True), ("b:1",)

    assert repeats.covers(VALUES, at, {"n": 1})
    # What a question is asked in looks like the state before it.
    asking = {"n": 1, "__interrupt__": (Interrupt("what?", id="q"),)}
    assert repeats.covers(VALUES, at, asking)
    assert not repeats.covers(VALUES, ROOT, asking)
    assert repeats.covers(CHECKPOINTS, at, {"config": {"configurable": {"checkpoint_id": "c"}}})
    assert repeats.covers(UPDATES, at, {"a": {"n": 1}, **CACHED})
    assert not Repeats(log.since(0)).covers(VALUES, at, {"n": 1})
