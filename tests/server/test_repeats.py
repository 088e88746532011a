"""What another attempt at a run says again."""

from __future__ import annotations

from millstream.server.log.repeats import Repeats
from millstream.server.log.run_log import RunLog


def told_again(said_before: list[tuple[str | None, str, str]]) -> tuple[RunLog, Repeats]:
    """Return the log of another attempt at a run that has said this: superstep, mode and data."""
    before = RunLog("r", is_resumable=True)
    entries = []
    for superstep, mode, data in said_before:
        before.superstep = superstep
        entries.append(before.append(mode, mode, data.encode()))
    log = RunLog("r", is_resumable=True, last=(before.ms, before.last))
    return log, Repeats(log, entries)


def data_of(log: RunLog) -> list[str]:
    """Return the data of what is in a log."""
    return [e.frame.decode().split("data: ")[1].split("\r")[0] for e in log.since(log.base)]


def test_another_attempt_says_only_what_was_not_said() -> None:
    log, repeats = told_again(
        [
            (None, "values", "0"),
            ("a", "updates", "1"),
            ("a", "custom", "c"),
            ("a", "values", "1"),
            ("b", "updates", "1"),  # of a superstep whose checkpoint was lost
            ("b", "values", "2"),
            ("c", "updates", "1"),
        ]
    )

    repeats.append("values", "values", b"1")  # the state that it begins with
    repeats.enter("b")
    repeats.append("custom", "custom", b"c")
    repeats.append("updates", "updates", b"1")
    repeats.append("values", "values", b"2")
    repeats.enter("other than c")
    repeats.append("updates", "updates", b"1")
    repeats.append("values", "values", b"3")
    repeats.enter("d")
    repeats.append("updates", "updates", b"1")

    assert data_of(log) == ["c", "3", "1"]


def test_another_attempt_tells_what_is_stored_and_was_not_said() -> None:
    log, repeats = told_again([(None, "values", "0"), ("a", "updates", '{"n":1}')])

    repeats.append("values", "values", b"1")
    repeats.enter("b")
    repeats.append("updates", "updates", b'{"m":1,"__metadata__":{"cached":true}}')

    assert data_of(log) == ["1", '{"m":1,"__metadata__":{"cached":true}}']


def test_results_of_tasks_that_had_ended_are_told_once() -> None:
    log, repeats = told_again([("a", "updates", '{"n":1}')])

    repeats.enter("a")
    repeats.append("updates", "updates", b'{"n":1,"__metadata__":{"cached":true}}')
    repeats.append("updates", "updates", b'{"m":1}')

    assert data_of(log) == ['{"m":1}']


def test_a_run_that_repeats_nothing_says_what_was_held_back() -> None:
    log, repeats = told_again([("a", "values", "1")])

    repeats.append("values", "values", b"2")
    repeats.release()

    assert data_of(log) == ["2"]
