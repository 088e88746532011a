"""Channels: one reader each, who may hold back the run."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from millstream.stream import StreamChannel, StreamMux, StreamTransformer
from stream.reading import AsyncReader, Reader, row, steps

pytestmark = pytest.mark.timeout(20)

NODES = ("a", "b", "c", "d", "e", "f")
ALL = [0, 1, 2, 3, 4, 5, 6]


class Counted:
    """A row of nodes that count how often one of them ran."""

    def __init__(self, reader: Reader, count: int = 6) -> None:
        self.ran = 0

        async def node() -> Any:
            self.ran += 1
            return {"log": [self.ran]}

        self.graph = row(*[reader.node(node)] * count)


# -- by itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize("maxlen", [0, -1])
def test_maxlen_must_be_positive(maxlen: int) -> None:
    with pytest.raises(ValueError, match="maxlen must be a positive int or None"):
        StreamChannel(maxlen=maxlen)


def test_a_channel_outside_of_a_mux_cannot_be_read() -> None:
    with pytest.raises(TypeError, match="has not been bound yet"):
        iter(StreamChannel())


@pytest.mark.parametrize("count", [0, -1])
def test_a_tee_has_branches(reader: Reader, count: int) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a"))
        with pytest.raises(ValueError, match=r"tee\(\) requires n >= 1"):
            reader.tee(run.values, count)

    reader.run(scenario())


def test_a_channel_is_read_the_way_its_run_is(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a"))
        with pytest.raises(TypeError, match="use 'async for'" if reader.is_async else "use 'for'"):
            (iter if reader.is_async else aiter)(run.values)
        assert len(await reader.all(run.values)) == 2

    reader.run(scenario())


def test_a_channel_has_one_reader(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a"))
        first = reader.iterator(run.values)
        with pytest.raises(RuntimeError, match=r"already has a subscriber; use \.a?tee\(n\)"):
            reader.iterator(run.values)
        assert len(await reader.all(first)) == 2

    reader.run(scenario())


def test_an_iterator_that_ended_stays_ended(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a"))
        iterator = reader.iterator(run.values)

        assert len(await reader.all(iterator)) == 2
        assert await reader.all(iterator) == []

    reader.run(scenario())


def test_only_what_comes_after_the_reader_is_kept(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", "b"), steps())
        states = reader.iterator(run.values)
        await reader.next(states)
        await reader.next(states)

        assert await reader.all(run.extensions["steps"]) == [2]
        assert len(await reader.all(states)) == 1

    reader.run(scenario())


def test_a_closed_iterator_leaves_the_channel_empty(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", "b"), steps())
        iterator = reader.iterator(run.extensions["steps"])
        await reader.next(iterator)
        await reader.close(iterator)

        assert not run.extensions["steps"].is_subscribed
        assert (await reader.output(run))["log"] == ["a", "b"]

    reader.run(scenario())


def test_branches_of_a_tee_see_everything_in_any_order(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row(*NODES), steps(maxlen=1))
        first, second, third = reader.tee(run.extensions["steps"], 3)

        # Alone with itself, a task or thread is never held back.
        assert [await reader.next(first) for _ in range(3)] == [0, 1, 2]
        assert await reader.all(second) == ALL
        assert await reader.all(first) == ALL[3:]
        assert await reader.all(third) == ALL

    reader.run(scenario())


def test_pushing_to_a_closed_channel_is_refused_when_somebody_reads() -> None:
    class Both(StreamTransformer):
        def init(self) -> dict[str, Any]:
            return {"read": StreamChannel(), "unread": StreamChannel()}

    mux = StreamMux([Both()])
    items = iter(mux.extensions["read"])
    mux.close()

    mux.extensions["unread"].push(1)
    with pytest.raises(RuntimeError, match="Cannot push to a closed StreamChannel"):
        mux.extensions["read"].push(1)
    assert list(items) == []


# -- holding back the run ------------------------------------------------------------------------


async def take_all(reader: Reader, iterators: list[Any]) -> None:
    await reader.all(iterators[0])


async def take_some(reader: Reader, iterators: list[Any]) -> None:
    """Go away with a `break`, which drops the iterator."""
    await reader.next(iterators[0])
    iterators.clear()
    gc.collect(1)


async def close(reader: Reader, iterators: list[Any]) -> None:
    await reader.close(iterators[0])


async def drop(reader: Reader, iterators: list[Any]) -> None:
    iterators.clear()
    gc.collect(1)


async def leave_it(reader: Reader, iterators: list[Any]) -> None:
    """End without a word: somebody still refers to the iterator, but nobody reads it."""


async def fail(reader: Reader, iterators: list[Any]) -> None:
    raise LookupError("the reader's own")


WAYS = [take_all, take_some, close, drop, leave_it, fail]


@pytest.mark.parametrize("maxlen", [1, 3])
@pytest.mark.parametrize("go_on", WAYS)
def test_a_full_channel_holds_back_the_run(
    reader: Reader, maxlen: int, go_on: Callable[[Reader, list[Any]], Any]
) -> None:
    """Until its reader takes items, or goes away in any way; others then read on."""
    counted = Counted(reader)

    async def scenario() -> None:
        run = await reader.open(counted.graph, steps(maxlen=maxlen))
        subscribed, may_go_on, kept = reader.flag(), reader.flag(), []
        seen: list[int] = []

        async def slow() -> None:
            iterators = [reader.iterator(run.extensions["steps"])]
            if go_on is leave_it:
                kept.append(iterators[0])
            subscribed.set()
            await may_go_on.wait()
            await go_on(reader, iterators)

        async def other() -> None:
            await subscribed.wait()
            async for state in reader.each(run.values):
                seen.append(len(state["log"]))

        async def watch() -> None:
            await reader.until(lambda: run._mux.pump.is_held_back() or len(seen) == len(ALL))
            # A superstep can have begun when the items of the one before are seen.
            assert seen == ALL[: len(seen)]
            assert len(seen) <= maxlen
            assert counted.ran <= maxlen
            may_go_on.set()

        results = await reader.together(slow(), other(), watch())
        if go_on is fail:
            assert repr(results[0]) == 'LookupError("the reader\'s own")'
            results = results[1:]
        assert set(results) == {None}
        assert seen == ALL

    reader.run(scenario())


def test_a_cancelled_reader_holds_nobody_back() -> None:
    reader = AsyncReader()
    counted = Counted(reader)

    async def scenario() -> None:
        run = await reader.open(counted.graph, steps(maxlen=1))
        iterators: list[Any] = []

        async def slow() -> None:
            iterators.append(reader.iterator(run.extensions["steps"]))
            await asyncio.Event().wait()

        holding = asyncio.create_task(slow())
        other = asyncio.create_task(reader.all(run.values))
        await reader.until(lambda: run._mux.pump.is_held_back() or other.done())
        assert counted.ran <= 1
        holding.cancel()

        assert len(await other) == len(ALL)

    reader.run(scenario())


def test_the_slowest_branch_of_a_tee_counts(reader: Reader) -> None:
    counted = Counted(reader)

    async def scenario() -> None:
        run = await reader.open(counted.graph, steps(maxlen=2))
        # Who still waits for a first item holds nobody back.
        has_begun, may_go_on = reader.flag(), reader.flag()
        fast, slow = reader.tee(run.extensions["steps"], 2)
        seen: list[int] = []

        async def read_fast() -> None:
            await has_begun.wait()
            async for step in reader.each(fast):
                seen.append(step)

        async def read_slow() -> list[int]:
            first = await reader.next(slow)
            has_begun.set()
            await may_go_on.wait()
            return [first, *await reader.all(slow)]

        async def watch() -> None:
            await reader.until(lambda: run._mux.pump.is_held_back() or len(seen) == len(ALL))
            assert len(seen) <= 3
            may_go_on.set()

        results = await reader.together(read_fast(), read_slow(), watch())
        assert results == [None, ALL, None]
        assert seen == ALL

    reader.run(scenario())


def test_an_iterator_made_for_another_reader_is_that_readers(reader: Reader) -> None:
    """Whoever takes an item is who is waited for, even if the run never made it wait."""
    counted = Counted(reader)

    async def scenario() -> None:
        run = await reader.open(counted.graph, steps(maxlen=1))
        handed = reader.iterator(run.extensions["steps"])
        states = reader.iterator(run.values)
        await reader.next(states)

        async def take_one() -> int:
            step: int = await reader.next(handed)
            return step

        results = await reader.together(take_one(), reader.all(states))
        assert results[0] == 0
        assert len(results[1]) == len(ALL) - 1

    reader.run(scenario())


def test_one_reader_of_two_channels_never_waits_for_itself(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row(*NODES), steps(maxlen=1))
        counts = reader.iterator(run.extensions["steps"])

        assert len(await reader.all(run.values)) == len(ALL)
        assert await reader.all(counts) == ALL

    reader.run(scenario())


def test_the_reader_of_a_full_channel_can_ask_for_the_output(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row(*NODES), steps(maxlen=1))
        counts = reader.iterator(run.extensions["steps"])

        assert (await reader.output(run))["log"] == list(NODES)
        assert await reader.all(counts) == ALL

    reader.run(scenario())


def test_two_readers_of_full_channels_do_not_wait_for_each_other(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row(*NODES), steps(maxlen=1))
        run.values.maxlen = 1
        run.lifecycle.maxlen = 1

        sources = (run.values, run.extensions["steps"], run.lifecycle)
        iterators = [reader.iterator(source) for source in sources]
        results = await reader.together(
            *[reader.all(iterator) for iterator in iterators], reader.output(run)
        )
        assert len(results[0]) == len(ALL)
        assert results[1:3] == [ALL, []]

    reader.run(scenario())


def test_all_channels_can_be_bounded(reader: Reader) -> None:
    """The bound counts when somebody comes to read."""
    counted = Counted(reader)

    async def scenario() -> None:
        run = await reader.open(counted.graph)
        run.values.maxlen = 1
        values, log = reader.iterator(run.values), reader.iterator(run)
        held = reader.flag()

        async def slow() -> list[Any]:
            first = await reader.next(values)
            await held.wait()
            return [first, *await reader.all(values)]

        async def watch() -> int:
            await reader.until(lambda: run._mux.pump.is_held_back() or counted.ran == 6)
            ran = counted.ran
            held.set()
            return ran

        results = await reader.together(slow(), reader.all(log), watch())
        assert len(results[0]) == len(ALL)
        assert [event["method"] for event in results[1]] == ["values"] * len(ALL)
        assert results[2] <= 2

    reader.run(scenario())


def test_a_run_held_back_can_be_aborted(reader: Reader) -> None:
    counted = Counted(reader)

    async def scenario() -> None:
        run = await reader.open(counted.graph, steps(maxlen=1))
        subscribed, done = reader.flag(), reader.flag()

        async def slow() -> None:
            counts = reader.iterator(run.extensions["steps"])
            subscribed.set()
            await done.wait()
            await reader.close(counts)

        async def read() -> list[Any]:
            await subscribed.wait()
            return await reader.all(run.values)

        async def stop() -> None:
            await reader.until(lambda: run._mux.pump.is_held_back() or counted.ran == 6)
            await reader.abort(run)
            done.set()

        results = await reader.together(slow(), read(), stop())
        assert len(results[1]) <= 2
        assert counted.ran <= 1

    reader.run(scenario())


# -- several at once -----------------------------------------------------------------------------


def test_interleaved_items_come_in_order(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", row("b"), "c"), steps())
        found = [
            (name, item if name == "steps" else item["event"])
            for name, item in await reader.all(run.interleave("steps", "lifecycle"))
        ]
        assert found == [
            ("steps", 0),
            ("steps", 1),
            ("lifecycle", "started"),
            ("lifecycle", "completed"),
            ("steps", 3),
            ("steps", 4),
        ]

    reader.run(scenario())


def test_what_an_interleaving_reader_left_is_there_for_the_next(reader: Reader) -> None:
    """Also what one event gave to several channels."""

    class Twice(StreamTransformer):
        required_stream_modes = ("values",)

        def init(self) -> dict[str, Any]:
            self.channels: list[Any] = [StreamChannel(), StreamChannel()]
            return dict(zip(("left", "right"), self.channels, strict=True))

        def process(self, event: Any) -> bool:
            if event["method"] == "values":
                for channel in self.channels:
                    channel.push(len(event["params"]["data"]["log"]))
            return True

    async def scenario() -> None:
        run = await reader.open(row("a", "b"), Twice)
        both = run.interleave("left", "right")
        assert await reader.next(both) == ("left", 0)
        await reader.close(both)

        assert await reader.all(run.extensions["right"]) == [0, 1, 2]
        assert await reader.all(run.interleave("left")) == []

    reader.run(scenario())


def test_interleaving_counts_the_smallest_maxlen(reader: Reader) -> None:
    counted = Counted(reader)

    async def scenario() -> None:
        run = await reader.open(counted.graph, steps(maxlen=2))
        begun, held = reader.flag(), reader.flag()
        both = run.interleave("steps", "values")

        async def slow() -> int:
            await reader.next(both)
            begun.set()
            await held.wait()
            return 1 + len(await reader.all(both))

        async def other() -> None:
            await begun.wait()
            await reader.all(run)

        async def watch() -> int:
            await reader.until(lambda: run._mux.pump.is_held_back() or counted.ran == 6)
            ran = counted.ran
            held.set()
            return ran

        results = await reader.together(slow(), other(), watch())
        assert results[0] == 2 * len(ALL)
        assert results[2] <= 2

    reader.run(scenario())


def test_interleaving_raises_the_error_after_the_items(reader: Reader) -> None:
    def node(state: Any) -> None:
        raise ValueError("no")

    async def scenario() -> None:
        run = await reader.open(row("a", node), steps())
        found = await reader.until_error(run.interleave("steps", "lifecycle"))

        assert found[:-1] == [("steps", 0), ("steps", 1)]
        assert repr(found[-1]) == "ValueError('no')"

    reader.run(scenario())


@pytest.mark.parametrize(
    ("names", "error"),
    [(("nothing",), KeyError), (("values", "number"), TypeError), (("values",) * 2, RuntimeError)],
)
def test_what_cannot_be_interleaved(reader: Reader, names: Any, error: type[Exception]) -> None:
    class Number(StreamTransformer):
        def init(self) -> dict[str, Any]:
            return {"number": 5}

        def process(self, event: Any) -> bool:
            return True

    async def scenario() -> None:
        run = await reader.open(row("a"), Number)
        with pytest.raises(error):
            await reader.next(run.interleave(*names))
        assert len(await reader.all(run.values)) == 2

    reader.run(scenario())


def test_a_view_that_has_a_reader_is_interleaved_with_no_other(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a"), steps())
        values = reader.iterator(run.values)
        first = await reader.next(values)
        with pytest.raises(
            RuntimeError, match=r"'values' already has a subscriber; use \.tee\(n\)"
        ):
            await reader.next(run.interleave("steps", "values"))
        # Nothing was taken: both can be read.
        assert len([first, *await reader.all(values)]) == 2

    reader.run(scenario())


def test_interleaving_nothing_ends(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a"))
        assert await reader.all(run.interleave()) == []

    reader.run(scenario())


def test_a_cancelled_interleaving_reader_lets_others_read() -> None:
    reader = AsyncReader()

    async def scenario() -> None:
        gate = asyncio.Event()

        async def wait(state: Any) -> Any:
            await gate.wait()
            return {"log": ["waited"]}

        run = await reader.open(row("a", wait), steps())
        others = asyncio.create_task(reader.all(run))
        mine = asyncio.create_task(reader.all(run.interleave("steps", "values")))
        await reader.until(lambda: run._mux.pump._waiting.get(mine) and run.values.is_subscribed)
        mine.cancel()
        with pytest.raises(asyncio.CancelledError):
            await mine
        gate.set()

        assert (await reader.all(run.values))[-1]["log"] == ["a", "waited"]
        assert len(await others) == 3

    reader.run(scenario())


def test_threads_that_come_and_go_do_not_take_items_from_others() -> None:
    """Closing one branch while another thread fills them loses nothing of the others."""
    run = row(*NODES).stream_events({"x": 1}, version="v3")
    branches = run.values.tee(9)
    kept = branches[-1]

    def leave(branch: Any) -> None:
        next(branch)
        branch.close()

    threads = [threading.Thread(target=leave, args=(branch,)) for branch in branches[:-1]]
    for thread in threads:
        thread.start()
    seen = list(kept)
    for thread in threads:
        thread.join()

    assert [len(state["log"]) for state in seen] == ALL
