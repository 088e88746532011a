"""Limits and stops: recursion limit, concurrency, step timeout, drain, early close.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio
import threading
import time

from differential.kit import Log, asay, fail, thread, wire
from differential.registry import SAVED_MODES, Matrix, attempt, call, invoke, probe, program, stream


@program(
    "limits.recursion", rows=("7.5:recursion_limit", "2.11:recursion", "1.5:recursion_limit_value")
)
def recursion(e):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile()
    return graph, [call({"x": 1}, {"recursion_limit": n}) for n in (3, 2, 1, 0, -1)]


@program(
    "limits.recursion_saved", rows=("2.11:recursion", "7.5:recursion_limit"), modes=SAVED_MODES
)
def recursion_saved(e):
    graph = wire(e, Log, "START a b c END", a=..., b=..., c=...).compile(checkpointer=e.saver())
    limited = {**thread(), "recursion_limit": 2}
    return graph, [
        call({"x": 1}, limited),
        call(None, {**thread(), "recursion_limit": 1}),
        call(None, limited),
        call({"x": 2}, limited),
    ]


@program("limits.endless_loop", rows=("7.5:recursion_limit",))
def endless_loop(e):
    builder = wire(e, Log, "START a b", a=..., b=...)
    builder.add_edge("b", "a")
    return builder.compile(), [call({"x": 1}, {"recursion_limit": 5})]


@program("limits.recursion_in_config", rows=("7.5:recursion_limit", "1.6:with_config"))
def recursion_in_config(e):
    builder = wire(e, Log, "START a", a=...)
    builder.add_edge("a", "a")
    return builder.compile().with_config(recursion_limit=3), [
        call({"x": 1}),
        call({"x": 1}, {"recursion_limit": 2}),
        call({"x": 1}, {"tags": ["t"]}),
    ]


@probe(
    "limits.max_concurrency",
    timed="one node is late by some hundredths of a second",
    rows=("7.5:max_concurrency",),
)
def max_concurrency(e, driver):
    lock, running, peaks = threading.Lock(), [0], []

    def enter():
        with lock:
            running[0] += 1
            peaks.append(running[0])

    def leave():
        with lock:
            running[0] -= 1

    def node(state):
        enter()
        time.sleep(0.03)
        leave()

    async def anode(state):
        enter()
        await asyncio.sleep(0.03)
        leave()

    action = node if driver == "sync" else anode
    names = [f"n{index}" for index in range(5)]
    graph = wire(e, Log, *(f"START {n} END" for n in names), **dict.fromkeys(names, action))
    compiled = graph.compile()
    out = []
    for limit in (1, 2, None):
        peaks.clear()
        invoke(driver, compiled, {"x": 1}, {"max_concurrency": limit} if limit else None)
        out.append((limit, max(peaks)))
    return out


@program(
    "limits.max_concurrency_order",
    rows=("7.5:max_concurrency",),
    unordered=True,
    matrix=Matrix.BRIEF,
)
def max_concurrency_order(e):
    names = [f"n{index}" for index in range(5)]
    graph = wire(e, Log, *(f"START {n} END" for n in names), **dict.fromkeys(names, ...))
    return graph.compile(), [call({"x": 1}, {"max_concurrency": 2})]


@program(
    "limits.step_timeout",
    timed="a superstep or attempt in time must end within hundredths of a second",
    rows=("7.5:step_timeout",),
    matrix=Matrix.BRIEF,
)
def step_timeout(e):
    release = threading.Event()

    def slow(state):
        release.wait(0.3)
        return {"log": ["slow"]}

    graph = wire(e, Log, "START ok slow END", ok=..., slow=slow).compile()
    graph.step_timeout = 0.1
    return graph, [call({"x": 1})]


@program(
    "limits.step_timeout_async",
    timed="a superstep or attempt in time must end within hundredths of a second",
    rows=("7.5:step_timeout",),
    matrix=Matrix.BRIEF,
    drivers=("async",),
)
def step_timeout_async(e):
    async def slow(state):
        await asyncio.sleep(5)

    graph = wire(e, Log, "START ok slow END", ok=..., slow=slow).compile()
    graph.step_timeout = 0.1
    return graph, [call({"x": 1})]


@program("limits.drain", rows=("2.11:drain", "1.1:control"), modes=SAVED_MODES)
def drain(e):
    control = e.runtime.RunControl()

    def node(state, runtime):
        control.request_drain("why")
        return {"log": ["a", runtime.drain_requested, runtime.drain_reason]}

    graph = wire(e, Log, "START a b END", a=node, b=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread(), control=control),
        call({"x": 1}, thread("2"), control=control),
        call(None, thread()),
    ]


@program("limits.drain_last_step", rows=("2.11:drain", "1.1:control"))
def drain_last_step(e):
    control = e.runtime.RunControl()

    def node(state):
        control.request_drain()
        return {"log": ["a"]}

    return wire(e, Log, "START a END", a=node).compile(), [call({"x": 1}, control=control)]


@program("limits.drain_in_child", rows=("2.11:drain", "4.5:inherited"))
def drain_in_child(e):
    control = e.runtime.RunControl()

    def node(state, runtime):
        runtime.control.request_drain("inner")
        return {"log": ["a"]}

    child = wire(e, Log, "START a b END", a=node, b=...).compile()
    return wire(e, Log, "START sub c END", sub=child, c=...).compile(), [
        call({"x": 1}, control=control)
    ]


@probe("limits.early_close", rows=("1.5:early_close",))
def early_close(e, driver):
    seen = []

    async def slow(state):
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    def quick(state):
        seen.append("quick")

    async def take_async(graph):
        items = graph.astream({"x": 1}, thread(), stream_mode="tasks")
        first = await anext(items)
        second = await anext(items)
        await items.aclose()
        return [first, second]

    def take_sync(graph):
        items = graph.stream({"x": 1}, thread(), stream_mode="tasks")
        first = next(items)
        items.close()
        return [first]

    if driver == "sync":
        graph = wire(e, Log, "START a b END", a=quick, b=quick).compile(checkpointer=e.saver())
        return [*take_sync(graph), len(seen) < 2]
    graph = wire(e, Log, "START a b END", "START z b", a=slow, b=..., z=slow)
    compiled = graph.compile(checkpointer=e.saver())
    return [*asyncio.run(take_async(compiled)), seen]


@probe(
    "limits.cancelled_reader",
    timed="the run must have begun a tenth of a second after it was called",
    rows=("1.5:early_close",),
)
def cancelled_reader(e, driver):
    seen = []

    async def slow(state):
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    child = wire(e, Log, "START deep END", deep=slow).compile()
    graph = wire(e, Log, "START a END", "START sub END", a=slow, sub=child).compile()

    async def main():
        reader = asyncio.create_task(graph.ainvoke({"x": 1}))
        await asyncio.sleep(0.1)
        reader.cancel()
        outcome = await asyncio.gather(reader, return_exceptions=True)
        return [*outcome, seen, len(asyncio.all_tasks())]

    return asyncio.run(main())


@program("limits.recursion_with_failure", rows=("2.11:result_before_raise",))
def recursion_with_failure(e):
    graph = wire(e, Log, "START a bad END", a=..., bad=fail(ValueError("v"))).compile()
    return graph, [call({"x": 1}, {"recursion_limit": n}) for n in (3, 2, 1)]


@probe("limits.late_errors", rows=("1.5:late_errors", "1.1:lazy", "1.1:output_keys"))
def late_errors(e, driver):
    graph = wire(e, Log, "START a END", a=...).compile()
    bad = {"output_keys": "nope"}
    make = graph.stream if driver == "sync" else graph.astream
    kinds = {"output": bad, "limit": {"config": {"recursion_limit": 0}}}
    out = {}
    for name, arguments in kinds.items():
        items = make({"x": 1}, **arguments)
        out[f"{name} made"] = hasattr(items, "send") or hasattr(items, "asend")
        out[name] = attempt(lambda a=arguments: stream(driver, graph, {"x": 1}, **a))
    out["outputs"] = attempt(lambda: stream(driver, graph, {"x": 1}, output_keys=["x", "zz"]))
    return out


@program(
    "limits.async_siblings_cancelled",
    timed="one node is late by some hundredths of a second",
    rows=("2.11:siblings",),
    drivers=("async",),
    unordered=True,
    matrix=Matrix.BRIEF,
)
def async_siblings_cancelled(e):
    async def slow(state):
        await asyncio.sleep(5)

    async def bad(state):
        await asyncio.sleep(0.02)
        raise ValueError("bad")

    graph = wire(
        e, Log, "START bad END", "START slow END", "START ok END", bad=bad, slow=slow, ok=asay("ok")
    )
    return graph.compile(), [call({"x": 1})]
