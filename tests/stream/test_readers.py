"""Any readers of any run: each sees, in order, all that it came for, or the beginning of it.

What a reader should see is noted by a transformer while the run happens: parallel nodes may be in
any order, but in the same one for everybody.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millstream.config import get_stream_writer
from millstream.stream import CustomTransformer, StreamTransformer, UpdatesTransformer
from stream.reading import AsyncReader, Reader, at_once, row

pytestmark = pytest.mark.timeout(120)

IN_TIME = 10.0
"""Seconds that nothing here can take: a run that takes longer never ends."""

Shape = Any
"""A graph to be: a row of supersteps, each a list of nodes.

A node is how many custom items it writes, a nested shape, or an error that it raises.
"""


class Refusal(Exception):
    """What failing nodes raise."""


@dataclass
class Nodes:
    """Counts what nodes do, to see that none is left."""

    is_async: bool
    begun: int = 0
    ended: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def graph(self, shape: Shape) -> Any:
        """Compile a graph of a shape."""
        return row(*[at_once(*[self.node(each) for each in step]) for step in shape])

    def node(self, kind: Any) -> Any:
        """Return what does what a shape says."""
        if isinstance(kind, list):
            return self.graph(kind)
        return self._async_node(kind) if self.is_async else self._sync_node(kind)

    def _sync_node(self, kind: Any) -> Callable[[Any], Any]:
        def node(state: Any) -> Any:
            with self.lock:
                self.begun += 1
            try:
                return self._act(kind, get_stream_writer())
            finally:
                with self.lock:
                    self.ended += 1

        return node

    def _async_node(self, kind: Any) -> Callable[[Any], Any]:
        async def node(state: Any) -> Any:
            self.begun += 1
            try:
                for _ in range(kind if isinstance(kind, int) else 1):
                    await asyncio.sleep(0)
                return self._act(kind, get_stream_writer())
            finally:
                try:
                    await asyncio.sleep(0)
                finally:
                    self.ended += 1

        return node

    def _act(self, kind: Any, write: Callable[[Any], None]) -> Any:
        if kind is Refusal:
            raise Refusal
        for number in range(kind):
            write(number)
        return {"log": [kind]}


class Truth(StreamTransformer):
    """Notes what happens in the run, for each projection."""

    required_stream_modes = ("values", "updates", "custom")
    seen: dict[str, list[Any]]

    def init(self) -> dict[str, Any]:
        return {}

    def process(self, event: Any) -> bool:
        if not self.scope and event["method"] != "tasks" and event["method"] != "graphs":
            self.seen["log"].append(event)
            if not event["params"]["namespace"]:
                self.seen[event["method"]].append(event["params"]["data"])
        return True


NAMES = ("values", "updates", "custom", "log", "lifecycle", "output")


@dataclass(frozen=True)
class Plan:
    """What a reader reads, and how."""

    names: tuple[str, ...]
    """Projections: of several together, interleaved."""
    maxlen: int | None
    turns: tuple[int, ...]
    """How many turns it takes for its first item, for the second, ..., again and again."""
    leave: str
    after: int
    """It leaves in this way, after so many items."""


@st.composite
def shapes(draw: st.DrawFn, depth: int = 2) -> Shape:
    kinds = st.integers(0, 3) | st.just(Refusal) if draw(st.booleans()) else st.integers(0, 3)
    if depth:
        kinds |= shapes(depth - 1)
    return draw(st.lists(st.lists(kinds, min_size=1, max_size=3), min_size=1, max_size=3))


def plans(*ways: str, has_interleaved: bool = True) -> st.SearchStrategy[list[Plan]]:
    """Return plans of one to five readers who do not read the same."""

    @st.composite
    def together(draw: st.DrawFn) -> list[Plan]:
        names = draw(st.permutations(NAMES))[: draw(st.integers(1, 5))]
        channels = [name for name in names if name not in ("log", "output")]
        groups = [(name,) for name in names]
        if has_interleaved and len(channels) > 1 and draw(st.booleans()):
            groups = [(name,) for name in names if name not in channels[:2]]
            groups.append(tuple(channels[:2]))
        return [
            Plan(
                group,
                draw(st.none() | st.integers(1, 3)),
                tuple(draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))),
                draw(st.sampled_from(ways)),
                draw(st.integers(0, 6)),
            )
            for group in groups
        ]

    return together()


@dataclass
class View:
    """What one reader has seen."""

    plan: Plan
    items: list[Any] = field(default_factory=list)
    error: BaseException | None = None
    is_complete: bool = False
    """It has come to the end, or to the run's error."""


class Watched:
    """One run and its readers."""

    def __init__(self, reader: Reader, shape: Shape, plans: list[Plan]) -> None:
        self.reader = reader
        self.nodes = Nodes(reader.is_async)
        self.graph = self.nodes.graph(shape)
        self.seen: dict[str, list[Any]] = {name: [] for name in NAMES}
        self.views = [View(plan) for plan in plans]
        self.run: Any = None

    async def open(self) -> list[Any]:
        """Open the run, and return an iterator for each reader."""
        truth = type("Truth", (Truth,), {"seen": self.seen})
        self.run = await self.reader.open(self.graph, UpdatesTransformer, CustomTransformer, truth)
        return [self.subscribe(view.plan) for view in self.views]

    def subscribe(self, plan: Plan) -> Any:
        """Return the iterator of a reader, None for one who waits for the output."""
        if plan.names == ("output",):
            return None
        sources = {
            name: self.run._mux._events if name == "log" else self.run.extensions[name]
            for name in plan.names
        }
        for source in sources.values():
            source.maxlen = plan.maxlen
        if len(sources) == 1:
            return self.reader.iterator(*sources.values())
        return self.run.interleave(*sources)

    async def read(self, view: View, iterators: list[Any]) -> None:
        """Read as planned; `iterators` holds the reader's, and nothing else does."""
        plan, ending = view.plan, object()
        try:
            if iterators == [None]:
                view.items.append(await self.reader.output(self.run))
            while iterators != [None]:
                if plan.leave in ("break", "abort") and len(view.items) == plan.after:
                    break
                item = await self.reader.next(iterators[0], ending)
                if item is ending:
                    iterators[:] = [None]
                else:
                    view.items.append(item)
                    await self.take_turns(plan, len(view.items))
        except Refusal as error:
            view.error = error
        view.is_complete = iterators == [None] or view.error is not None
        iterators.clear()
        if plan.leave == "abort":
            await self.reader.abort(self.run)

    async def take_turns(self, plan: Plan, count: int) -> None:
        """Be as slow as planned."""
        for _ in range(plan.turns[count % len(plan.turns)]):
            await asyncio.sleep(0)

    def expected(self, names: tuple[str, ...]) -> list[Any]:
        """Return all that there was to see for the reader of one projection."""
        return self.seen[names[0]]

    def check(self, *, was_stopped: bool) -> None:
        """Compare what each reader has seen with what happened."""
        assert self.nodes.begun == self.nodes.ended
        is_failed = any(view.error is not None for view in self.views)
        for view in self.views:
            self.check_items(view)
            if not was_stopped and view.is_complete:
                self.check_whole(view)
                assert (view.error is not None) == is_failed
        errors = {id(view.error) for view in self.views if view.error is not None}
        assert len(errors) <= 1

    def check_items(self, view: View) -> None:
        """A reader has seen the beginning of what happened, each item once and in order."""
        names = view.plan.names
        if names == ("output",):
            assert view.items == [] or view.items[0] in (None, *self.seen["values"])
        elif names == ("log",):
            assert [event["seq"] for event in view.items] == list(range(1, len(view.items) + 1))
            assert len({event["event_id"] for event in view.items}) == len(view.items)
            self.check_prefix([e for e in view.items if e["method"] != "lifecycle"], "log")
        elif len(names) == 1:
            self.check_prefix(view.items, names[0])
        else:
            for name in names:
                self.check_prefix([item for label, item in view.items if label == name], name)

    def check_prefix(self, items: list[Any], name: str) -> None:
        if name == "lifecycle":
            check_lifecycle(items)
            return
        expected = self.seen[name][: len(items)]
        assert len(expected) == len(items)
        assert all(item is other for item, other in zip(items, expected, strict=True))

    def check_whole(self, view: View) -> None:
        """A reader who came to the end has seen everything."""
        names = view.plan.names
        if names == ("output",):
            assert view.error is not None or view.items == self.seen["values"][-1:]
            return
        for name in names:
            found = view.items
            if len(names) > 1:
                found = [item for label, item in found if label == name]
            if name == "lifecycle":
                assert all(ended for ended in check_lifecycle(found).values())
            else:
                kept = [each for each in found if name != "log" or each["method"] != "lifecycle"]
                assert len(kept) == len(self.seen[name])


def check_lifecycle(items: list[Any]) -> dict[tuple[str, ...], bool]:
    """Check that graphs start before they end, and inside of each other; say which have ended."""
    ended: dict[tuple[str, ...], bool] = {}
    for payload in items:
        namespace = tuple(payload["namespace"])
        if payload["event"] == "started":
            assert namespace not in ended
            assert not any(is_over for ns, is_over in ended.items() if namespace[: len(ns)] == ns)
            ended[namespace] = False
        else:
            assert ended[namespace] is False
            ended[namespace] = True
    return ended


often = pytest.mark.parametrize(
    "times", [pytest.param(1, id="some"), pytest.param(5, id="many", marks=pytest.mark.long)]
)


def search(go: Callable[..., None], examples: int, *strategies: Any) -> None:
    """Have many shapes read by many readers."""
    searched = settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow])
    searched(given(*strategies)(go))()


# -- async ---------------------------------------------------------------------------------------


class AsyncWatched(Watched):
    """Readers are tasks; one who is to be cancelled is, wherever it then is."""

    async def go(self) -> None:
        iterators = await self.open()
        tasks = [
            asyncio.create_task(self.read(view, [iterator]), name=str(index))
            for index, (view, iterator) in enumerate(zip(self.views, iterators, strict=True))
        ]
        iterators.clear()
        _, pending = await asyncio.wait(tasks, timeout=IN_TIME)
        assert not pending, "deadlock"
        for task, view in zip(tasks, self.views, strict=True):
            if task.cancelled():
                assert view.plan.leave == "cancel"
            else:
                task.result()
        was_stopped = self.run._mux.pump._closing is not None
        is_aborted = any(view.plan.leave == "abort" for view in self.views)
        # The reader who stays keeps the run going for itself.
        staying = [view for view in self.views if view.plan.leave == "stay"]
        assert not (was_stopped and staying and not is_aborted)
        assert all(view.is_complete for view in staying)
        await self.run.abort()
        await self.settle()
        self.check(was_stopped=was_stopped)

    async def settle(self) -> None:
        """Wait for what else reads the run, which has ended."""

    async def take_turns(self, plan: Plan, count: int) -> None:
        if plan.leave == "cancel" and count == plan.after:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
        await super().take_turns(plan, count)


def read_async(shape: Shape, readers: list[Plan]) -> None:
    reader = AsyncReader()
    reader.run(AsyncWatched(reader, shape, readers).go())


@often
def test_async_readers_see_what_happened(times: int) -> None:
    search(read_async, 60 * times, shapes(), plans("stay", "break", "cancel"))


@often
def test_async_readers_of_a_run_that_may_be_aborted(times: int) -> None:
    search(read_async, 30 * times, shapes(), plans("stay", "break", "cancel", "abort"))


class Looking(AsyncWatched):
    """One more reader looks into every handle with a task of its own, as soon as it gets it."""

    async def open(self) -> list[Any]:
        iterators = await super().open()
        self.looked: dict[tuple[str, ...], list[Any]] = {}
        self.looking = [asyncio.create_task(self.look(self.run))]
        return iterators

    async def look(self, stream: Any) -> None:
        try:
            async for handle in stream.subgraphs:
                found = self.looked[handle.path] = []
                self.looking.append(asyncio.create_task(self.values(handle, found)))
                self.looking.append(asyncio.create_task(self.look(handle)))
        except Refusal:
            pass

    async def values(self, handle: Any, found: list[Any]) -> None:
        try:
            async for state in handle.values:
                found.append(state)
        except Refusal:
            pass

    def check(self, *, was_stopped: bool) -> None:
        super().check(was_stopped=was_stopped)
        shown: dict[tuple[str, ...], list[Any]] = {}
        for event in self.seen["log"]:
            if event["method"] == "values" and event["params"]["namespace"]:
                namespace = tuple(event["params"]["namespace"])
                shown.setdefault(namespace, []).append(event["params"]["data"])
        # A graph can be cancelled before it shows anything.
        if not was_stopped:
            assert {path: found for path, found in self.looked.items() if found} == shown

    async def settle(self) -> None:
        while not all(task.done() for task in self.looking):
            await asyncio.gather(*self.looking)


def look(shape: Shape, readers: list[Plan]) -> None:
    reader = AsyncReader()
    reader.run(Looking(reader, shape, readers).go())


@often
def test_handles_show_every_state_of_their_graphs(times: int) -> None:
    search(look, 25 * times, shapes(), plans("stay", "break"))


# -- sync ----------------------------------------------------------------------------------------


class SyncWatched(Watched):
    """Readers are threads.

    None interleaves: that begins with the first item, when other threads can be ahead.
    """

    def go(self) -> None:
        iterators = self.reader.run(self.open())
        errors: list[BaseException] = []

        def read(view: View, given: list[Any]) -> None:
            try:
                self.reader.run(self.read(view, given))
            except BaseException as error:
                errors.append(error)

        threads = [
            threading.Thread(target=read, args=(view, [iterator]), daemon=True)
            for view, iterator in zip(self.views, iterators, strict=True)
        ]
        iterators.clear()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(IN_TIME)
        assert not any(thread.is_alive() for thread in threads), "deadlock"
        assert errors == []
        was_stopped = any(view.plan.leave == "abort" for view in self.views)
        staying = [view for view in self.views if view.plan.leave == "stay"]
        assert all(view.is_complete for view in staying)
        self.run.abort()
        self.check(was_stopped=was_stopped)

    async def take_turns(self, plan: Plan, count: int) -> None:
        for _ in range(plan.turns[count % len(plan.turns)]):
            threading.Event().wait(0)


def read_in_threads(shape: Shape, readers: list[Plan]) -> None:
    SyncWatched(Reader(), shape, readers).go()


@often
def test_threads_see_what_happened(times: int) -> None:
    readers = plans("stay", "break", has_interleaved=False)
    search(read_in_threads, 25 * times, shapes(depth=1), readers)


@often
def test_threads_that_read_a_run_that_may_be_aborted(times: int) -> None:
    readers = plans("stay", "break", "abort", has_interleaved=False)
    search(read_in_threads, 20 * times, shapes(depth=1), readers)
