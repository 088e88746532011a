"""Functional API: workflows as functions, and tasks they call.

No `from __future__ import annotations` here: parameter types are read at run time.
"""

import asyncio
import concurrent.futures
import contextvars
import functools
import sys
import threading
import time
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from typing_extensions import TypedDict

from differential import registry
from differential.kit import Log, thread, wire
from differential.registry import MODES, SAVED_MODES, Matrix, attempt, call, invoke, stream

BRIEF = {"modes": SAVED_MODES, "matrix": Matrix.BRIEF}
TOGETHER = {"modes": SAVED_MODES, "matrix": Matrix.TOGETHER}
# On Python 3.10 langgraph cannot call tasks in async runs: nothing there knows the current run.
HAS_ASYNC = sys.version_info >= (3, 11)
DRIVERS = ("sync", "async") if HAS_ASYNC else ("sync",)
ASYNC = ("async",) if HAS_ASYNC else ()


def program(name, *, drivers=DRIVERS, **options):
    """Register a program for the drivers under which langgraph can call tasks."""
    return registry.program(name, drivers=drivers, **options)


def probe(name, *, drivers=DRIVERS, **options):
    """Register a probe for the drivers under which langgraph can call tasks."""
    return registry.probe(name, drivers=drivers, **options)


def adder(e, **options):
    """Return a task that says what it adds."""

    @e.func.task(**options)
    def add(x, k=1):
        e.config.get_stream_writer()({"adding": x})
        return x + k

    return add


@program(
    "functional.sequence",
    rows=("7.11:entrypoint", "7.11:default_mode", "7.11:task_events"),
    modes=SAVED_MODES,
)
def sequence(e):
    add = adder(e)

    @e.func.task
    def nothing():
        return None

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x, *, previous=None):
        first = add(x).result()
        second = add(x, k=10).result()
        nothing().result()
        return {"sum": first + second, "previous": previous}

    return work, [call(1, thread()), call(2, thread()), call(3, thread("2"))]


@program("functional.without_saver", rows=("7.11:entrypoint", "7.11:previous"))
def without_saver(e):
    add = adder(e)

    @e.func.entrypoint()
    def work(x, *, previous):
        return [add(x).result(), previous]

    return work, [call(1), call(0), call(None)]


@program("functional.async_sequence", rows=("7.11:entrypoint",), drivers=ASYNC, modes=SAVED_MODES)
def async_sequence(e):
    add = adder(e)

    @e.func.task
    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    @e.func.entrypoint(checkpointer=e.saver())
    async def work(x):
        return [await double(x), await add(x)]

    return work, [call(1, thread()), call(2, thread())]


@program("functional.final", rows=("7.11:final", "7.11:previous"), **BRIEF)
def final(e):
    @e.func.entrypoint(checkpointer=e.saver())
    def work(x, *, previous=None):
        return e.func.entrypoint.final(value=[x, previous], save=x)

    return work, [call(n, thread()) for n in (1, 2, None, 3)]


@program("functional.falsy", rows=("7.11:entrypoint",), **BRIEF)
def falsy(e):
    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        return x["give"]

    given = (None, 0, "", [], {})
    return work, [call({"give": value}, thread()) for value in given]


@program("functional.command", rows=("7.11:entrypoint",), matrix=Matrix.BRIEF)
def command(e):
    """A Command is a value like any other here."""

    @e.func.task
    def ask(x):
        return e.types.Command(update={"x": x})

    @e.func.entrypoint()
    def work(x):
        return [ask(x).result(), e.types.Command(goto="nowhere")]

    return work, [call(1)]


@program("functional.injected", rows=("7.11:injected",), matrix=Matrix.BRIEF)
def injected(e):
    @e.func.task
    def step(x, config, *, writer, store=None, runtime=None, previous=None):
        writer({"x": x})
        store.put(("n",), "k", {"x": x})
        return [config["metadata"]["langgraph_node"], runtime.context, previous]

    @e.func.task
    def alone(writer):
        writer("alone")
        return "alone"

    @e.func.task
    def given(x, config=None, writer=None):
        return [type(config).__name__, writer if isinstance(writer, str) else callable(writer)]

    @e.func.entrypoint(store=e.store(), checkpointer=e.saver())
    def work(x, *, config, writer, store, previous, runtime):
        writer("work")
        found = [
            step(x).result(),
            alone().result(),
            given(x, writer="mine").result(),
            attempt(lambda: given(x, config={"a": 1}).result()),
        ]
        kept = store.get(("n",), "k").value
        return [found, kept, previous, runtime.context, sorted(config["metadata"])]

    return work, [call(1, thread(), context={"c": 1}), call(2, thread(), context={"c": 2})]


@program("functional.metadata", rows=("7.11:task_events",), matrix=Matrix.BRIEF)
def metadata(e):
    def place():
        found = e.config.get_config()["metadata"]
        return {key: found[key] for key in sorted(found) if key != "langgraph_checkpoint_ns"}

    @e.func.task
    def inner():
        return place()

    @e.func.task
    def outer():
        return [place(), inner().result(), inner().result()]

    @e.func.entrypoint()
    def work(x):
        return [place(), outer().result(), inner().result()]

    return work, [call(1, {"metadata": {"u": 1}, "tags": ["t"]})]


@program(
    "functional.caught",
    rows=("7.11:caught", "7.11:failed"),
    **TOGETHER,
)
def caught(e):
    @e.func.task
    def bad(x):
        raise ValueError(x)

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        try:
            return bad(x).result()
        except ValueError as error:
            if x == 2:
                raise
            return repr(error)

    return work, [call(1, thread()), call(2, thread("2")), call(None, thread("2"))]


@program("functional.async_caught", rows=("7.11:caught", "7.11:failed"), drivers=ASYNC, **TOGETHER)
def async_caught(e):
    @e.func.task
    async def bad(x):
        raise ValueError(x)

    @e.func.entrypoint(checkpointer=e.saver())
    async def work(x):
        try:
            return await bad(x)
        except ValueError as error:
            if x == 2:
                raise
            return repr(error)

    return work, [call(1, thread()), call(2, thread("2")), call(None, thread("2"))]


@program("functional.nested_failure", rows=("7.11:failed", "7.11:nested_tasks"), **TOGETHER)
def nested_failure(e):
    @e.func.task
    def bad(x):
        raise ValueError(x)

    @e.func.task
    def middle(x):
        return bad(x).result()

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        return middle(x).result()

    return work, [call(1, thread()), call(None, thread())]


@program("functional.resumed", rows=("7.11:resumed",), modes=SAVED_MODES)
def resumed(e):
    """What had finished before a failure is not run again."""
    runs = []

    @e.func.task
    def step(x):
        runs.append(x)
        return [x, len(runs)]

    @e.func.task
    def outer(x):
        return [step(x).result(), step(x + 1).result()]

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        done = [outer(x).result(), step(10).result()]
        runs.append("work")
        if runs.count("work") < 3:
            raise ValueError(len(runs))
        return [done, step(11).result(), list(runs)]

    calls = [call(1, thread()), call(None, thread()), call(None, thread()), call(2, thread())]
    return work, calls


# The results of a call are told by one thread, and the next call is made by another.
@program("functional.resumed_in_parts", rows=("7.11:resumed",), unordered=True, **TOGETHER)
def resumed_in_parts(e):
    """A task that failed runs again, and finds the results of what it had called."""
    runs = []

    @e.func.task
    def leaf(x):
        runs.append(("leaf", x))
        return x

    @e.func.task
    def flaky(x):
        runs.append(("flaky", x))
        found = leaf(x).result()
        if len([run for run in runs if run[0] == "flaky"]) < 2:
            raise ConnectionError(x)
        return found

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        return [leaf(0).result(), flaky(x).result(), list(runs)]

    return work, [call(1, thread()), call(None, thread())]


@program("functional.resumed_at_exit", rows=("7.11:resumed",), **TOGETHER)
def resumed_at_exit(e):
    runs = []

    @e.func.task
    def step(x):
        runs.append(x)
        return x

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        done = step(x).result()
        if len(runs) < 2:
            runs.append("work")
            raise ValueError(x)
        return [done, list(runs)]

    return work, [call(1, thread(), durability="exit"), call(None, thread(), durability="sync")]


@program("functional.nested_tasks", rows=("7.11:nested_tasks",), modes=MODES)
def nested_tasks(e):
    add = adder(e)

    @e.func.task
    def twice(x):
        return add(x).result() + add(x + 1).result()

    @e.func.entrypoint()
    def work(x):
        return [twice(x).result(), twice(x + 1).result()]

    return work, [call(1)]


@program("functional.in_nodes", rows=("7.11:tasks_in_nodes",), modes=SAVED_MODES)
def in_nodes(e):
    add = adder(e)

    @e.func.task
    def twice(x):
        return add(x).result() + add(x).result()

    def first(state):
        return {"x": add(state["x"]).result(), "log": [twice(1).result()]}

    def where(state):
        return "b" if add(0).result() == 1 else "c"

    builder = wire(e, Log, "START a", "b END", "c END", a=first, b=..., c=...)
    builder.add_conditional_edges("a", where, ["b", "c"])
    return builder.compile(checkpointer=e.saver()), [call({"x": 1}, thread())]


@program("functional.in_async_nodes", rows=("7.11:tasks_in_nodes",), drivers=ASYNC)
def in_async_nodes(e):
    add = adder(e)

    async def first(state):
        return {"x": await add(state["x"])}

    return wire(e, Log, "START a b END", a=first, b=...).compile(), [call({"x": 1})]


@program("functional.writes_of_calls", rows=("7.11:tasks_in_nodes",), **TOGETHER)
def writes_of_calls(e):
    """A call may write to the state behind its function's back."""

    @e.func.task
    def note(x):
        e.config.get_config()["configurable"]["__pregel_send"]([("log", [x])])
        return x

    def first(state):
        return {"log": [note("one").result(), note("two").result()]}

    graph = wire(e, Log, "START a b END", a=first, b=...).compile(checkpointer=e.saver())
    return graph, [call({"x": 1}, thread())]


@program("functional.namespaces", rows=("7.11:namespaces",), modes=SAVED_MODES)
def namespaces(e):
    """Graphs that tasks call are below the task, which is below its caller."""
    inner = wire(e, Log, "START i END", i=...).compile()

    @e.func.task
    def ask(x):
        e.config.get_stream_writer()("ask")
        return [inner.invoke({"x": x}), inner.invoke({"x": x + 1})]

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        return [ask(x).result(), inner.invoke({"x": 9})]

    return work, [call(1, thread())]


@program("functional.entrypoints_in_entrypoints", rows=("7.11:namespaces",), matrix=Matrix.BRIEF)
def entrypoints_in_entrypoints(e):
    add = adder(e)

    @e.func.entrypoint()
    def inner(x):
        return add(x).result()

    @e.func.task
    def ask(x):
        return inner.invoke(x)

    @e.func.entrypoint()
    def work(x):
        return [inner.invoke(x), inner.invoke(x + 1), ask(x + 2).result()]

    return work, [call(1)]


@program(
    "functional.never_awaited",
    timed="one node is late by some hundredths of a second",
    rows=("7.11:never_awaited",),
    matrix=Matrix.BRIEF,
)
def never_awaited(e):
    has_ended = threading.Event()

    @e.func.task
    def slow(x):
        time.sleep(0.05)
        has_ended.set()
        return x

    @e.func.task
    def bad(x):
        has_ended.wait(10)
        time.sleep(0.05)  # the engine has still to hear of it
        raise ValueError(x)

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        slow(x)
        bad(x)
        return x

    return work, [call(1, thread())]


@program(
    "functional.async_never_awaited",
    timed="one node is late by some hundredths of a second",
    rows=("7.11:never_awaited",),
    drivers=ASYNC,
    matrix=Matrix.BRIEF,
)
def async_never_awaited(e):
    @e.func.task
    async def slow(x):
        await asyncio.sleep(0.01)
        e.config.get_stream_writer()("slow")
        return x

    @e.func.entrypoint(checkpointer=e.saver())
    async def work(x):
        slow(x)
        return x

    return work, [call(1, thread())]


@program("functional.retries", rows=("7.11:retries",), matrix=Matrix.BRIEF)
def retries(e):
    policy = e.types.RetryPolicy(initial_interval=0.01, jitter=False, retry_on=KeyError)
    tries = []

    @e.func.task(retry_policy=policy)
    def flaky(x):
        tries.append(x)
        e.config.get_stream_writer()(len(tries))
        if len(tries) % 3:
            raise KeyError(x)
        return e.runtime.get_runtime().execution_info.node_attempt

    @e.func.entrypoint()
    def work(x):
        return flaky(x).result()

    return work, [call(1), call(2)]


@program("functional.default_retries", rows=("7.11:retries",), matrix=Matrix.BRIEF)
def default_retries(e):
    """The workflow's policy is also that of tasks without one."""
    policy = e.types.RetryPolicy(initial_interval=0.01, jitter=False, retry_on=KeyError)
    tries = []

    @e.func.task
    def flaky(x):
        tries.append("task")
        if len(tries) < 3:
            raise KeyError(x)
        return x

    @e.func.entrypoint(retry_policy=policy)
    def work(x):
        tries.append("work")
        if len(tries) < 6:
            flaky(x).result()
            raise KeyError("again")
        return list(tries)

    return work, [call(1)]


@program("functional.retried_workflow", rows=("7.11:retries",), **TOGETHER)
def retried_workflow(e):
    """A new attempt makes new calls."""
    policy = e.types.RetryPolicy(initial_interval=0.01, jitter=False, retry_on=KeyError)
    runs = []

    @e.func.task
    def step(x):
        runs.append(x)
        return len(runs)

    @e.func.entrypoint(retry_policy=policy, checkpointer=e.saver())
    def work(x):
        count = step(x).result()
        if count < 3:
            raise KeyError(count)
        return count

    return work, [call(1, thread())]


@program("functional.cache", rows=("7.11:cache",), matrix=Matrix.BRIEF)
def cache(e):
    runs = []

    @e.func.task(cache_policy=e.types.CachePolicy())
    def add(x, k=1):
        runs.append((x, k))
        return x + k

    @e.func.entrypoint(cache=e.cache())
    def work(x):
        return [add(x).result(), add(x, k=2).result(), list(runs)]

    return work, [call(1), call(1), call(2)]


@program("functional.default_cache", rows=("7.11:cache",), matrix=Matrix.BRIEF)
def default_cache(e):
    """The workflow's policy is also that of tasks without one."""
    runs = []

    @e.func.task
    def step(x):
        runs.append(x)
        return x

    @e.func.entrypoint(cache=e.cache(), cache_policy=e.types.CachePolicy())
    def work(x):
        runs.append("work")
        return [step(1).result(), x, list(runs)]

    return work, [call(1), call(1), call(2)]


@probe("functional.clear_cache", rows=("7.11:cache",))
def clear_cache(e, driver):
    runs = []

    @e.func.task(cache_policy=e.types.CachePolicy(key_func=lambda x: str(x % 10)), name="named")
    def step(x):
        runs.append(x)
        return x

    kept = e.cache()

    @e.func.entrypoint(cache=kept)
    def work(x):
        return step(x).result()

    results = [invoke(driver, work, x) for x in (1, 11, 2)]
    if driver == "sync":
        step.clear_cache(kept)
    else:
        asyncio.run(step.aclear_cache(kept))
    adder(e).clear_cache(kept)  # has no policy: nothing to clear
    return [results, invoke(driver, work, 21), runs]


@program(
    "functional.timeout",
    rows=("7.11:timeout",),
    drivers=ASYNC,
    matrix=Matrix.TOGETHER,
    scrub=(r"elapsed: [\d.]+s",),
)
def timeout(e):
    @e.func.task(timeout=0.05)
    async def slow(x):
        await asyncio.sleep(5)

    @e.func.entrypoint()
    async def work(x):
        try:
            await slow(x)
        except e.errors.NodeTimeoutError as error:
            if x == 2:
                raise
            return [error.node, error.run_timeout]

    return work, [call(1), call(2)]


@program(
    "functional.timeout_of_caller",
    rows=("7.11:timeout",),
    drivers=ASYNC,
    matrix=Matrix.TOGETHER,
    scrub=(r"elapsed: [\d.]+s",),
)
def timeout_of_caller(e):
    """What it awaits is cancelled with it."""

    @e.func.task
    async def slow(x):
        await asyncio.sleep(5)

    @e.func.entrypoint(timeout=0.05)
    async def work(x):
        return await slow(x)

    return work, [call(1)]


@program(
    "functional.cancelled",
    timed="a task that is given up must have ended some hundredths of a second later",
    rows=("7.11:cancelled",),
    drivers=ASYNC,
    matrix=Matrix.BRIEF,
)
def cancelled(e):
    """A caller may give up waiting, which stops the task."""
    ends = []

    @e.func.task
    async def slow(x):
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            ends.append(x)
            raise

    @e.func.task
    async def gives_up():
        raise asyncio.CancelledError

    @e.func.entrypoint()
    async def work(x):
        try:
            await asyncio.wait_for(slow(x), 0.02)
        except asyncio.TimeoutError:
            ends.append("late")
        await asyncio.sleep(0.01)
        try:
            await gives_up()
        except e.errors.NodeCancelledError as error:
            ends.append(str(error))
        return list(ends)

    return work, [call(1)]


@program(
    "functional.cancelled_future", rows=("7.11:cancelled",), matrix=Matrix.BRIEF, unordered=True
)
def cancelled_future(e):
    """A thread cannot be stopped: the task is reported all the same."""
    has_begun, may_end = threading.Event(), threading.Event()

    @e.func.task
    def slow(x):
        has_begun.set()
        may_end.wait(10)
        return x

    @e.func.entrypoint()
    def work(x):
        future = slow(x)
        has_begun.wait(10)
        facts = [future.cancel(), future.running(), future.done()]
        may_end.set()
        return facts

    return work, [call(1)]


@program("functional.asks", rows=("7.11:interrupts",), modes=SAVED_MODES)
def asks(e):
    runs = []

    @e.func.task
    def ask(x):
        runs.append(x)
        return e.types.interrupt(x)

    @e.func.task
    def step(x):
        runs.append(x)
        return x

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        answers = [step(x).result(), ask("first?").result(), e.types.interrupt("second?")]
        return [answers, list(runs)]

    resume = e.types.Command
    return work, [
        call(1, thread()),
        call(None, thread()),
        call(resume(resume="A"), thread()),
        call(resume(resume="B"), thread()),
        call(2, thread()),
    ]


@program("functional.async_asks", rows=("7.11:interrupts",), drivers=ASYNC, **TOGETHER)
def async_asks(e):
    @e.func.task
    async def ask(x):
        return e.types.interrupt(x)

    @e.func.entrypoint(checkpointer=e.saver())
    async def work(x):
        return [await ask("first?"), e.types.interrupt("second?")]

    resume = e.types.Command
    return work, [
        call(1, thread()),
        call(resume(resume="A"), thread()),
        call(resume(resume="B"), thread()),
    ]


@program("functional.nested_asks", rows=("7.11:interrupts", "7.11:nested_tasks"), **TOGETHER)
def nested_asks(e):
    @e.func.task
    def ask(x):
        return [e.types.interrupt(x), e.types.interrupt([x])]

    @e.func.task
    def middle(x):
        return [ask(x).result(), e.types.interrupt("middle?")]

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        return middle(x).result()

    resume = e.types.Command
    return work, [call(1, thread()), *(call(resume(resume=n), thread()) for n in "ABC")]


@program("functional.several_asks", rows=("7.11:interrupts",), **TOGETHER)
def several_asks(e):
    """The caller passes on the first question; both wait, so a bare answer is not enough."""

    @e.func.task
    def ask(x):
        return e.types.interrupt(x)

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        futures = [ask("a?"), ask("b?")]
        concurrent.futures.wait(futures)
        return [future.result() for future in futures]

    return work, [call(1, thread()), call(e.types.Command(resume="A"), thread())]


@probe("functional.stored", rows=("7.11:resumed", "7.11:interrupts"))
def stored(e, driver):
    """What is stored next to the checkpoint: for which task, in which place of the run."""

    @e.func.task
    def step(x):
        return x

    @e.func.task
    def bad(x):
        raise ValueError(x)

    @e.func.task
    def ask(x):
        return [step(x).result(), e.types.interrupt(x)]

    saver = e.saver()

    @e.func.entrypoint(checkpointer=saver)
    def work(x):
        attempt(lambda: bad(step(x).result()).result())
        return ask(x).result()

    def writes():
        return sorted(
            (path, channel, repr(saver.serde.loads_typed(value)), task)
            for kept in saver.writes.values()
            for task, channel, value, path in kept.values()
            if path  # what no task wrote has none
        )

    facts = [invoke(driver, work, 1, thread(), version="v2"), writes()]
    facts += [invoke(driver, work, e.types.Command(resume="A"), thread(), version="v2"), writes()]
    seen = saver.get_tuple(thread()).checkpoint["versions_seen"]
    return [*facts, sorted(seen)]


@program("functional.node_asks", rows=("7.11:interrupts", "7.11:tasks_in_nodes"), **TOGETHER)
def node_asks(e):
    runs = []

    @e.func.task
    def ask(x):
        return e.types.interrupt(x)

    @e.func.task
    def step(x):
        runs.append(x)
        return x

    def first(state):
        return {"log": [step("s").result(), ask("a?").result(), len(runs)]}

    graph = wire(e, Log, "START a b END", a=first, b=...).compile(checkpointer=e.saver())
    return graph, [call({"x": 1}, thread()), call(e.types.Command(resume="A"), thread())]


@program("functional.swallowed_question", rows=("7.11:interrupts",), **TOGETHER)
def swallowed_question(e):
    @e.func.task
    def ask(x):
        return e.types.interrupt(x)

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        try:
            return ask(x).result()
        except BaseException as error:
            return type(error).__name__

    return work, [call(1, thread())]


@program("functional.ignored_question", rows=("7.11:interrupts",), **TOGETHER)
def ignored_question(e):
    @e.func.task
    def ask(x):
        return e.types.interrupt(x)

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        future = ask(x)
        concurrent.futures.wait([future])
        return x

    return work, [call(1, thread()), call(e.types.Command(resume=1), thread())]


@program("functional.breakpoints", rows=("7.11:interrupts",), **TOGETHER)
def breakpoints(e):
    inner = wire(e, Log, "START i j END", i=..., j=...).compile(interrupt_before=["j"])

    @e.func.task
    def ask(x):
        return inner.invoke({"x": x})

    @e.func.entrypoint(checkpointer=e.saver())
    def work(x):
        return ask(x).result()

    return work, [
        call(1, thread()),
        call(None, thread()),
        call(2, thread("2"), interrupt_before=["work"]),
        call(None, thread("2")),
        call(3, thread("3"), interrupt_after="*"),
    ]


@program("functional.parent_command", rows=("7.11:tasks_in_nodes",), **TOGETHER)
def parent_command(e):
    """A command for the parent, raised in a task, is the calling node's."""

    @e.func.task
    def up(x):
        command = e.types.Command
        raise e.errors.ParentCommand(command(graph=command.PARENT, update={"log": [x]}))

    def first(state):
        return up("up").result()

    inner = wire(e, Log, "START i END", i=first).compile()
    return wire(e, Log, "START o END", o=inner).compile(checkpointer=e.saver()), [
        call({"x": 1}, thread())
    ]


class Recorder(BaseCallbackHandler):
    """Note what chains start and end, and below which."""

    def __init__(self):
        self.names = {}
        self.seen = []

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id=None, **kwargs):
        self.names[run_id] = kwargs["name"]
        hidden = ("langgraph_checkpoint_ns",)
        metadata = {k: v for k, v in sorted(kwargs["metadata"].items()) if k not in hidden}
        parent = self.names.get(parent_run_id)
        self.seen.append(
            ("start", kwargs["name"], parent, inputs, sorted(kwargs["tags"]), metadata)
        )

    def on_chain_end(self, outputs, *, run_id, **kwargs):
        self.seen.append(("end", self.names[run_id], outputs))

    def on_chain_error(self, error, *, run_id, **kwargs):
        self.seen.append(("error", self.names[run_id], error))


@probe("functional.callbacks", rows=("7.11:callbacks",))
def callbacks(e, driver):
    @e.func.task
    def leaf(x, k=1, *more, z=3):
        return x

    @e.func.task(name="renamed")
    def bad(x):
        raise ValueError(x)

    @e.func.task
    def middle(x):
        return leaf(x, 2, 5, z=4).result()

    @e.func.entrypoint()
    def work(x):
        found = middle(x).result()
        return [found, attempt(lambda: bad(x).result())]

    recorder = Recorder()
    config = {"callbacks": [recorder], "tags": ["t"], "metadata": {"u": 1}}
    invoke(driver, work, 1, config)
    return recorder.seen


@probe("functional.together", rows=("7.11:futures",))
def together(e, driver):
    """Tasks run at the same time; their results come in any way futures give them."""
    meeting = threading.Barrier(3, timeout=10)

    @e.func.task
    def meet(x):
        meeting.wait()
        return x

    @e.func.task
    def step(x):
        return x

    @e.func.entrypoint()
    def work(x):
        met = [future.result() for future in [meet(n) for n in range(3)]]
        futures = [step(n) for n in range(20)]
        done, pending = concurrent.futures.wait(futures)
        completed = sorted(f.result() for f in concurrent.futures.as_completed(futures))
        return [met, len(done), len(pending), completed, [type(f).__name__ for f in futures[:1]]]

    return invoke(driver, work, 1)


@probe("functional.gathered", rows=("7.11:futures",), drivers=ASYNC)
def gathered(e, driver):
    present, all_here = [], []

    @e.func.task
    async def meet(x):
        present.append(x)
        all_here[0:] = all_here or [asyncio.Event()]
        if len(present) == 3:
            all_here[0].set()
        await all_here[0].wait()
        return x

    @e.func.task
    def step(x):
        return x

    @e.func.task
    async def bad(x):
        raise ValueError(x)

    @e.func.entrypoint()
    async def work(x):
        future = step(x)
        met = await asyncio.gather(*[meet(n) for n in range(3)], future)
        mixed = await asyncio.gather(bad(1), step(2), return_exceptions=True)
        return [met, [repr(one) for one in mixed], type(future).__name__, future.done()]

    return invoke(driver, work, 7)


@probe("functional.from_threads", rows=("7.11:futures",))
def from_threads(e, driver):
    @e.func.task
    def step(x):
        return x

    @e.func.entrypoint()
    def work(x):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            context = contextvars.copy_context()
            found = pool.submit(context.run, lambda: step(x).result()).result()
            bare = pool.submit(attempt, lambda: step(x).result()).result()
        return [found, bare]

    return invoke(driver, work, 1)


@program("functional.async_in_sync", rows=("7.11:futures",), matrix=Matrix.TOGETHER)
def async_in_sync(e):
    @e.func.task
    async def step(x):
        return x

    @e.func.entrypoint()
    def work(x):
        return step(x).result()

    return work, [call(1)]


@program("functional.async_workflow", rows=("7.11:futures",), matrix=Matrix.TOGETHER)
def async_workflow(e):
    """An async workflow needs an async run."""

    @e.func.entrypoint()
    async def work(x):
        return x

    return work, [call(1)]


@probe("functional.variables", rows=("7.11:futures",))
def variables(e, driver):
    """A call sees its caller's context variables, and keeps its own."""
    number = contextvars.ContextVar("number", default=0)

    @e.func.task
    def step():
        seen = number.get()
        number.set(seen + 100)
        return seen

    @e.func.entrypoint()
    def work(x):
        number.set(x)
        first = step().result()
        number.set(x + 1)
        return [first, step().result(), number.get()]

    return invoke(driver, work, 1)


@probe("functional.outside", rows=("7.11:outside_a_run",))
def outside(e, driver):
    return attempt(lambda: adder(e)(1))


@probe("functional.callables", rows=("7.11:names",))
def callables(e, driver):
    class Thing:
        def __call__(self, x):
            return x

        def method(self, x):
            return x

    partial = functools.partial
    task = e.func.task
    kinds = [
        task(Thing()),
        task(Thing(), name="named"),
        task(Thing().method),
        task(partial(lambda a, b: (a, b), 1)),
        task(lambda x: x),
        task(lambda x: x, name="other"),
    ]

    @e.func.entrypoint()
    def work(x):
        return [kind(x).result() for kind in kinds]

    return stream(driver, work, 1)


@probe("functional.task_object", rows=("7.11:names",))
def task_object(e, driver):
    @e.func.task
    def add(x: int) -> int:
        """Add."""
        return x + 1

    @e.func.task(name="other", timeout=3, retry_policy=e.types.RetryPolicy(max_attempts=2))
    async def slow(x):
        return x

    facts = [type(add).__name__, callable(add)]
    for one in (add, slow):
        facts += [one.__name__, one.__doc__, one.__wrapped__ is one.func, one.__qualname__]
        facts += [one.retry_policy and one.retry_policy[0].max_attempts, one.cache_policy]
        facts += [one.timeout, one.__annotations__]
    return facts


@probe("functional.schemas", rows=("7.11:schemas",))
def schemas(e, driver):
    final = e.func.entrypoint.final

    class Context(TypedDict):
        user: str

    @e.func.entrypoint(context_schema=Context)
    def typed(x: int) -> str:
        """Work."""
        return str(x)

    @e.func.entrypoint()
    def plain(x):
        return x

    @e.func.entrypoint()
    def saving(x: dict[str, int], *, previous: Any = None) -> final[str, int]:
        return final(value="a", save=1)

    @e.func.entrypoint()
    def bare(x: int) -> final:
        return final(value="a", save=1)

    facts = []
    for graph in (typed, plain, saving, bare):
        facts += [graph.name, list(graph.nodes), graph.stream_mode, graph.stream_eager]
        facts += [graph.input_channels, graph.output_channels, graph.stream_channels]
        facts += [
            (name, type(channel).__name__, repr(channel.UpdateType), channel.key)
            for name, channel in graph.channels.items()
            if name != "__pregel_tasks"
        ]
        facts += [graph.get_input_jsonschema(), graph.get_output_jsonschema()]
        facts += [graph.get_context_jsonschema(), graph.InputType, graph.OutputType]
        facts.append(graph.get_graph().draw_mermaid())
    return facts


@probe("functional.final_object", rows=("7.11:final",))
def final_object(e, driver):
    final = e.func.entrypoint.final
    one = final(value=1, save=2)
    return [
        repr(one),
        one == final(value=1, save=2),
        one.value,
        one.save,
        attempt(lambda: final(1)),
    ]


@probe("functional.refused", rows=("7.11:refused",), warns=True)
def refused(e, driver):
    task, entrypoint, policy = e.func.task, e.func.entrypoint, e.types.RetryPolicy()

    def generator(x):
        yield x

    async def agenerator(x):
        yield x

    def empty():
        return None

    def plain(x):
        return x

    async def aplain(x):
        return x

    return [
        attempt(lambda: entrypoint()(generator)),
        attempt(lambda: entrypoint()(agenerator)),
        attempt(lambda: entrypoint()(empty)),
        attempt(lambda: entrypoint(timeout=1)(plain)),
        attempt(lambda: entrypoint(timeout=0)(aplain)),
        attempt(lambda: task(timeout=1)(plain)),
        attempt(lambda: task(plain, timeout=1)),
        attempt(lambda: task(timeout=-1)),
        entrypoint(config_schema=dict)(plain).context_schema,
        entrypoint(retry=policy)(plain).retry_policy == (policy,),
        task(retry=policy)(plain).retry_policy == (policy,),
        list(task(retry_policy=[policy, policy])(plain).retry_policy) == [policy, policy],
    ]
