"""What a node says is sent in batches, and nothing waits that somebody waits for."""

from __future__ import annotations

import threading

import pytest

from millstream.executors.batches import LARGEST, SIZE, Batches, size_after


def test_what_comes_first_goes_at_once() -> None:
    batches = Batches()
    arriving = iter(batches)
    batches.put(b"a", False)

    assert next(arriving) == [b"a"]


def test_what_follows_waits_for_more_of_it() -> None:
    batches = Batches()
    arriving = iter(batches)
    batches.put(b"first", False)
    next(arriving)

    for _ in range(SIZE):
        batches.put(b"more", False)
    batches.end()

    assert [*arriving] == [[b"more"] * SIZE]


@pytest.mark.parametrize(
    ("size", "count", "rest", "expected"),
    [
        (SIZE, SIZE, 0.001, 2 * SIZE),
        (LARGEST, LARGEST + 1, 0.001, LARGEST),
        (2 * SIZE, 2 * SIZE - 1, 0.001, SIZE),  # the time was over, or one was urgent
        (2 * SIZE, 2 * SIZE, 0.0, SIZE),  # it has not waited
    ],
)
def test_batches_become_larger_while_messages_come_faster_than_they_go(
    size: int, count: int, rest: float, expected: int
) -> None:
    assert size_after(size, count, rest) == expected


def test_an_urgent_message_takes_those_before_it_along() -> None:
    batches = Batches()
    arriving = iter(batches)
    batches.put(b"first", False)
    next(arriving)
    batches.put(b"told", False)
    batches.put(b"asked", True)

    assert next(arriving) == [b"told", b"asked"]


def test_a_thread_that_waits_is_told_of_the_end() -> None:
    batches = Batches()
    seen: list[list[bytes]] = []
    waiting = threading.Thread(target=lambda: seen.extend(batches))
    waiting.start()
    batches.put(b"last", True)
    batches.end()
    waiting.join(30)

    assert not waiting.is_alive()
    assert seen == [[b"last"]]
