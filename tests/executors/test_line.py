"""The line between a task that runs apart from its run, and the run."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any

import pytest

from millstream.drivers.elsewhere import Passed
from millstream.drivers.executor import Delivery, Reply
from millstream.errors import GraphInterrupt
from millstream.executors.line import WINDOW, Line
from millstream.outbox.abandoned import RunAbandoned


def line_to(sent: SimpleQueue[Delivery]) -> Line:
    line = Line()
    line.send = sent.put
    return line


def test_a_task_is_no_window_ahead_of_what_was_heard() -> None:
    sent: SimpleQueue[Delivery] = SimpleQueue()
    line = line_to(sent)
    half = WINDOW // 2

    def emit() -> None:
        for index in range(2 * WINDOW):
            line.emit(index)  # type: ignore[arg-type]  # anything is carried

    thread = threading.Thread(target=emit, daemon=True)
    thread.start()
    # Two marks are set before the first one is waited for.
    before = [sent.get(timeout=20) for _ in range(WINDOW + 2)]

    assert [delivery.number for delivery in before] == [*[None] * half, 0, *[None] * half, 1]
    assert [delivery.event for delivery in before if delivery.number is not None] == [Passed()] * 2
    assert thread.is_alive()
    assert sent.empty()

    line.reply(Reply(0))
    after = [sent.get(timeout=20) for _ in range(half + 1)]
    assert [delivery.number for delivery in after] == [*[None] * half, 2]
    assert sent.empty()

    line.reply(Reply(1))
    line.reply(Reply(2))
    thread.join(20)
    assert not thread.is_alive()


def test_a_task_that_is_stopped_does_not_wait_to_be_heard() -> None:
    sent: SimpleQueue[Delivery] = SimpleQueue()
    line, raised = line_to(sent), []

    def emit() -> None:
        try:
            for index in range(2 * WINDOW):
                line.emit(index)  # type: ignore[arg-type]  # anything is carried
        except RunAbandoned as error:
            raised.append(error)

    thread = threading.Thread(target=emit, daemon=True)
    thread.start()
    for _ in range(WINDOW + 2):
        sent.get(timeout=20)
    line.stop()
    thread.join(20)

    assert len(raised) == 1
    assert sent.empty()


def test_what_comes_of_an_event_is_told() -> None:
    sent: SimpleQueue[Delivery] = SimpleQueue()
    line = line_to(sent)

    def answer() -> None:
        line.reply(Reply(sent.get().number or 0, "yes"))
        line.reply(Reply(sent.get().number or 0, error=ValueError("no")))

    threading.Thread(target=answer, daemon=True).start()

    event: Any = "question"
    assert line.ask(event) == "yes"
    with pytest.raises(ValueError, match="no"):
        line.ask(event)


def test_a_task_that_is_stopped_can_say_nothing_any_more() -> None:
    sent: SimpleQueue[Delivery] = SimpleQueue()
    line, stopped = line_to(sent), []
    line.when_stopped(lambda: stopped.append("before"))
    line.send = lambda delivery: line.stop()  # while it waits

    event: Any = GraphInterrupt
    with pytest.raises(RunAbandoned):
        line.ask(event)
    with pytest.raises(RunAbandoned):
        line.emit(event)
    with pytest.raises(RunAbandoned):
        line.ask(event)
    line.when_stopped(lambda: stopped.append("after"))
    assert stopped == ["before", "after"]
