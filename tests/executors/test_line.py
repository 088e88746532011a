"""The line between a task that runs apart from its run, and the run."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any

import pytest

from millstream.drivers.executor import Delivery, Reply
from millstream.errors import GraphInterrupt
from millstream.executors.line import WINDOW, Line
from millstream.outbox.abandoned import RunAbandoned


def line_to(sent: SimpleQueue[Delivery]) -> Line:
    line = Line()
    line.send = sent.put
    return line


def test_a_task_waits_now_and_then_until_it_was_heard() -> None:
    sent: SimpleQueue[Delivery] = SimpleQueue()
    line = line_to(sent)

    def emit() -> None:
        for index in range(WINDOW + 1):
            line.emit(index)  # type: ignore[arg-type]  # anything is carried

    thread = threading.Thread(target=emit, daemon=True)
    thread.start()
    before = [sent.get(timeout=20) for _ in range(WINDOW)]

    numbers = [delivery.number for delivery in before]
    assert numbers == [None] * (WINDOW - 1) + [0]
    assert sent.empty()

    line.reply(Reply(0))
    thread.join(20)
    assert sent.get(timeout=20) == Delivery(WINDOW, None)  # type: ignore[arg-type]


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
