"""Retries, timeouts, error handlers and caches of nodes.

No `from __future__ import annotations` here: signatures are read at run time.
"""

import asyncio
import time
from datetime import timedelta

from differential.kit import END, Log, add_paths, asay, fail, say, thread, wire
from differential.registry import SAVED_MODES, Matrix, attempt, call, invoke, probe, program

QUICK = {"initial_interval": 0.001, "jitter": False}


def failing(error, times, *, log="done"):
    """Return a node that raises `error` the first `times` times, and the list of its attempts."""
    attempts = []

    def node(state, writer, runtime):
        attempts.append(1)
        writer(f"attempt {len(attempts)} {runtime.execution_info.node_attempt}")
        if len(attempts) <= times:
            raise type(error)(*error.args)
        return {"log": [log]}

    return node


HANDLED = "LangGraph's threads tell of a failure before or after its handler has begun"


@program("retry.succeeds", rows=("7.7:retry", "2.11:retries", "2.4:retried"))
def retry_succeeds(e):
    policy = e.types.RetryPolicy(max_attempts=3, **QUICK)
    node = failing(ConnectionError("c"), 2)
    return wire(e, Log, "START a END", a=(node, {"retry_policy": policy})).compile(), [
        call({"x": 1})
    ]


@program("retry.gives_up", rows=("7.7:retry", "2.11:retries"))
def retry_gives_up(e):
    policy = e.types.RetryPolicy(max_attempts=2, **QUICK)
    node = failing(ConnectionError("c"), 9)
    return wire(e, Log, "START a END", a=(node, {"retry_policy": policy})).compile(), [
        call({"x": 1})
    ]


@program("retry.default_predicate", rows=("7.7:retry_default",), matrix=Matrix.BRIEF)
def retry_default(e):
    errors = [
        ValueError("v"),
        TypeError("t"),
        OSError("o"),
        RuntimeError("r"),
        Exception("e"),
        ConnectionError("c"),
        KeyError("k"),
        TimeoutError("time"),
        StopIteration("s"),
        ImportError("i"),
        ArithmeticError("a"),
        NameError("n"),
        AssertionError("as"),
    ]
    current = iter(errors)
    state = {}

    def node(_, writer):
        if not state.get("failed"):
            state["failed"] = next(current)
            raise type(state["failed"])(*state["failed"].args)
        writer(f"retried {type(state.pop('failed')).__name__}")
        return {"log": ["ok"]}

    def reset(_):
        state.clear()

    policy = e.types.RetryPolicy(max_attempts=2, **QUICK)
    graph = wire(e, Log, "START reset a END", a=(node, {"retry_policy": policy}), reset=reset)
    return graph.compile(), [call({"x": 1}) for _ in errors]


@program("retry.retry_on", rows=("7.7:retry_on",), matrix=Matrix.BRIEF)
def retry_on(e):
    kinds = [
        ValueError,
        (KeyError, ValueError),
        [ValueError],
        lambda error: str(error) == "v",
        KeyError,
        5,
    ]
    nodes = {
        f"n{index}": (
            failing(ValueError("v"), 1),
            {"retry_policy": e.types.RetryPolicy(max_attempts=2, retry_on=kind, **QUICK)},
        )
        for index, kind in enumerate(kinds)
    }
    builder = wire(e, Log, *(f"{name} END" for name in nodes), **nodes)
    builder.set_conditional_entry_point(lambda s: f"n{s['x']}")
    return builder.compile(), [call({"x": n}) for n in range(len(kinds))]


@program("retry.sequence", rows=("7.7:retry_sequence",), matrix=Matrix.BRIEF)
def retry_sequence(e):
    make = e.types.RetryPolicy
    policies = [
        make(max_attempts=2, retry_on=KeyError, **QUICK),
        make(max_attempts=4, retry_on=ValueError, **QUICK),
    ]
    return wire(
        e,
        Log,
        "START a b END",
        a=(failing(ValueError("v"), 3), {"retry_policy": policies}),
        b=(failing(KeyError("k"), 2), {"retry_policy": policies}),
    ).compile(), [call({"x": 1})]


@program("retry.discards_writes", rows=("7.7:retry",), matrix=Matrix.BRIEF)
def retry_discards_writes(e):
    attempts = []

    def path(state):
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionError("branch")
        return END

    builder = wire(
        e,
        Log,
        "START a",
        a=(say("a", x=5), {"retry_policy": e.types.RetryPolicy(max_attempts=3, **QUICK)}),
    )
    builder.add_conditional_edges("a", path)
    return builder.compile(), [call({"x": 1})]


@program("retry.subgraph", rows=("7.7:retry", "2.13:segments"), matrix=Matrix.BRIEF)
def retry_subgraph(e):
    child = wire(e, Log, "START ok bad END", ok=..., bad=failing(ConnectionError("c"), 1)).compile()
    policy = e.types.RetryPolicy(max_attempts=2, **QUICK)
    return wire(e, Log, "START sub END", sub=(child, {"retry_policy": policy})).compile(), [
        call({"x": 1})
    ]


@program("retry.async", rows=("7.7:retry",), drivers=("async",), matrix=Matrix.BRIEF)
def retry_async(e):
    attempts = []

    async def node(state):
        attempts.append(1)
        await asyncio.sleep(0)
        if len(attempts) < 3:
            raise ConnectionError(f"c{len(attempts)}")
        return {"log": [len(attempts)]}

    policy = e.types.RetryPolicy(max_attempts=3, **QUICK)
    return wire(e, Log, "START a END", a=(node, {"retry_policy": policy})).compile(), [
        call({"x": 1})
    ]


@probe("retry.policy_values", rows=("7.7:retry",))
def policy_values(e, driver):
    return {
        "default": repr(e.types.RetryPolicy())[:90],
        "fields": e.types.RetryPolicy._fields,
        "defaults": [e.types.RetryPolicy()[n] for n in range(5)],
    }


SECONDS = (r"\d+\.\d+",)


@program("timeout.run", rows=("7.7:timeout",), matrix=Matrix.BRIEF, scrub=SECONDS)
def timeout_run(e):
    async def slow(state, writer):
        writer("before")
        await asyncio.sleep(5)
        writer("after")

    return wire(e, Log, "START a END", a=(slow, {"timeout": 0.02})).compile(), [call({"x": 1})]


@program("timeout.in_time", rows=("7.7:timeout",), matrix=Matrix.BRIEF)
def timeout_in_time(e):
    policy = e.types.TimeoutPolicy(run_timeout=timedelta(seconds=5), idle_timeout=3)
    return wire(e, Log, "START a END", a=(asay("a"), {"timeout": policy})).compile(), [
        call({"x": 1})
    ]


@program(
    "timeout.idle",
    timed="a superstep or attempt in time must end within hundredths of a second",
    rows=("7.7:timeout",),
    matrix=Matrix.BRIEF,
    scrub=SECONDS,
    drivers=("async",),
)
def timeout_idle(e):
    async def node(state, runtime):
        for _ in range(4):
            await asyncio.sleep(0.03)
            runtime.heartbeat()
        runtime.stream_writer("alive")
        await asyncio.sleep(5)

    policy = e.types.TimeoutPolicy(idle_timeout=0.1, refresh_on="heartbeat")
    return wire(e, Log, "START a END", a=(node, {"timeout": policy})).compile(), [call({"x": 1})]


@program(
    "timeout.retried",
    timed="a superstep or attempt in time must end within hundredths of a second",
    rows=("7.7:timeout", "7.7:retry"),
    matrix=Matrix.BRIEF,
    drivers=("async",),
)
def timeout_retried(e):
    attempts = []

    async def node(state):
        attempts.append(1)
        if len(attempts) == 1:
            await asyncio.sleep(5)
        return {"log": [len(attempts)]}

    policy = e.types.RetryPolicy(max_attempts=2, **QUICK)
    graph = wire(e, Log, "START a END", a=(node, {"timeout": 0.02, "retry_policy": policy}))
    return graph.compile(), [call({"x": 1})]


@probe("timeout.refused", rows=("7.7:timeout_sync", "7.7:timeout_value"))
def timeout_refused(e, driver):
    def build(node, timeout):
        return lambda: (
            type(wire(e, Log, "START n END", n=(node, {"timeout": timeout()})).compile()).__name__
        )

    policy = e.types.TimeoutPolicy
    return {
        "sync": attempt(build(say("n"), lambda: 1)),
        "zero": attempt(build(asay("n"), lambda: 0)),
        "negative": attempt(build(asay("n"), lambda: policy(run_timeout=-1))),
        "idle": attempt(build(asay("n"), lambda: policy(idle_timeout=0))),
        "refresh": attempt(build(asay("n"), lambda: policy(idle_timeout=1, refresh_on="zz"))),
        "empty": attempt(build(asay("n"), policy)),
        "send": attempt(lambda: repr(e.types.Send("n", 1, timeout=-1))),
        "text": attempt(build(asay("n"), lambda: "soon")),
    }


@program("cancelled.by_user", rows=("7.7:cancelled",), matrix=Matrix.BRIEF)
def cancelled_by_user(e):
    async def node(state):
        raise asyncio.CancelledError("mine")

    return wire(e, Log, "START a END", a=node).compile(), [call({"x": 1})]


@program("cache.hit", rows=("7.7:cache", "2.12:cached", "2.3:cached", "2.7:cached"))
def cache_hit(e):
    def node(state):
        return {"log": ["ran"], "x": state["x"] + 1}

    policy = e.types.CachePolicy()
    graph = wire(e, Log, "START a b END", a=(node, {"cache_policy": policy}), b=...)
    return graph.compile(cache=e.cache()), [
        call({"x": 1}),
        call({"x": 1}),
        call({"x": 2}),
        call({"x": 1}),
    ]


@program("cache.key_and_ttl", rows=("7.7:cache",), matrix=Matrix.BRIEF)
def cache_key(e):
    policy = e.types.CachePolicy(key_func=lambda s: str(s["x"] % 2), ttl=60)
    graph = wire(e, Log, "START a END", a=(lambda s: {"log": [s["x"]]}, {"cache_policy": policy}))
    return graph.compile(cache=e.cache()), [call({"x": n}) for n in (1, 3, 2, 4, 1)]


@program("cache.subgraph", rows=("2.12:cached",))
def cache_subgraph(e):
    child = wire(e, Log, "START inner END", inner=...).compile()
    graph = wire(e, Log, "START sub END", sub=(child, {"cache_policy": e.types.CachePolicy()}))
    return graph.compile(cache=e.cache()), [call({"x": 1}), call({"x": 1})]


@program("cache.failure_not_kept", rows=("7.7:cache",), matrix=Matrix.BRIEF)
def cache_failure(e):
    node = failing(ValueError("v"), 1)
    graph = wire(e, Log, "START a END", a=(node, {"cache_policy": e.types.CachePolicy()}))
    return graph.compile(cache=e.cache()), [call({"x": 1}), call({"x": 1}), call({"x": 1})]


@program("cache.goto_is_kept", rows=("7.7:cache", "2.12:cached"), matrix=Matrix.BRIEF)
def cache_goto(e):
    command = e.types.Command
    node = (
        lambda s: command(update={"log": ["a"]}, goto="b"),
        {"cache_policy": e.types.CachePolicy()},
    )
    graph = wire(e, Log, "START a", a=node, b=...)
    return graph.compile(cache=e.cache()), [call({"x": 1}), call({"x": 1})]


@program("cache.without_cache", rows=("7.7:cache",), matrix=Matrix.BRIEF)
def cache_ignored(e):
    graph = wire(e, Log, "START a END", a=(say("a"), {"cache_policy": e.types.CachePolicy()}))
    return graph.compile(), [call({"x": 1}), call({"x": 1})]


@probe("cache.shared", rows=("7.7:cache",), differs="shared-cache")
def cache_shared(e, driver):
    """Two nodes of one name whose functions differ in what they hold, in graphs with one cache."""
    cache = e.cache()

    def run(name):
        node = (lambda state: {"log": [name]}, {"cache_policy": e.types.CachePolicy()})
        return invoke(driver, wire(e, Log, "START a END", a=node).compile(cache=cache), {"x": 1})

    return [run("one"), run("other"), run("one")]


@probe("cache.clear", rows=("7.7:cache_errors",))
def cache_clear(e, driver):
    runs = []

    def node(state):
        runs.append(1)
        return {"log": [len(runs)]}

    builder = wire(e, Log, "START a END", a=(node, {"cache_policy": e.types.CachePolicy()}))
    graph, plain = builder.compile(cache=e.cache()), builder.compile()

    def clear(target, *args):
        if driver == "sync":
            return target.clear_cache(*args)
        return asyncio.run(target.aclear_cache(*args))

    out = [invoke(driver, graph, {"x": 1}), invoke(driver, graph, {"x": 1})]
    out += [attempt(lambda: clear(graph, ["a"])), invoke(driver, graph, {"x": 1})]
    out += [attempt(lambda: clear(graph)), invoke(driver, graph, {"x": 1})]
    return [*out, attempt(lambda: clear(plain))]


@program(
    "handler.node",
    timed=HANDLED,
    rows=("7.7:handler", "2.3:error_handler", "2.7:error_handler", "2.11:handler", "4.1:error"),
)
def handler_node(e):
    command = e.types.Command

    def handle(state, error: e.errors.NodeError):
        return command(update={"log": [state["x"], error.node, error.error]}, goto="c")

    graph = wire(
        e,
        Log,
        "START bad b END",
        "c END",
        b=...,
        c=...,
        bad=(fail(ValueError("boom")), {"error_handler": handle}),
    )
    return graph.compile(), [call({"x": 1})]


@program("handler.kinds", timed=HANDLED, rows=("7.7:handler",))
def handler_kinds(e):
    results = iter(
        [
            {"log": ["handled"]},
            None,
            e.types.Command(goto="b"),
            e.types.Command(goto=[e.types.Send("b", {"x": 3})]),
            5,
        ]
    )
    graph = wire(
        e,
        Log,
        "START bad b END",
        b=...,
        bad=(fail(KeyError("k")), {"error_handler": lambda s: next(results)}),
    )
    return graph.compile(), [call({"x": 1}) for _ in range(5)]


@program("handler.default", timed=HANDLED, rows=("7.7:handler_default", "7.4:node_defaults"))
def handler_default(e):
    def handle(state, error: e.errors.NodeError):
        return {"log": [error.node, str(error.error)]}

    def own(state):
        return {"log": ["own"]}

    builder = e.graph.StateGraph(Log)
    builder.set_node_defaults(error_handler=handle)
    builder.add_node("first", fail(ValueError("one")))
    builder.add_node("second", fail(ValueError("two")), error_handler=own)
    builder.set_conditional_entry_point(lambda s: ["first", "second"][s["x"]])
    return builder.compile(), [call({"x": 0}), call({"x": 1})]


@program("handler.defaults", timed=HANDLED, rows=("7.7:handler_default", "7.4:node_defaults"))
def handler_defaults(e):
    def handler(log):
        attempts = []

        def handle(state):
            attempts.append(1)
            if len(attempts) % 3:
                raise ConnectionError("try again")
            return {"log": [log]}

        return handle

    builder = e.graph.StateGraph(Log)
    policy = e.types.RetryPolicy(max_attempts=3, **QUICK)
    builder.set_node_defaults(retry_policy=policy, error_handler=handler("handled"))
    builder.add_node("a", fail(ValueError("a")))
    builder.add_node("b", fail(ValueError("b")), error_handler=handler("own"))
    builder.add_conditional_edges("__start__", lambda s: s["log"][0])
    return builder.compile(), [call({"log": ["a"]}), call({"log": ["b"]})]


@program(
    "handler.parallel",
    timed="one node is late by some hundredths of a second",
    rows=("7.7:handler_default",),
    matrix=Matrix.BRIEF,
)
def handler_parallel(e):
    def late(state):
        time.sleep(0.03)
        raise ValueError("late")

    graph = wire(
        e,
        Log,
        "START bad c END",
        "START ok c",
        ok=...,
        c=...,
        bad=(late, {"error_handler": lambda s: {"log": ["handled"]}}),
    )
    return graph.compile(), [call({"x": 1})]


@program("handler.fails", timed=HANDLED, rows=("7.7:handler_fails",))
def handler_fails(e):
    graph = wire(
        e,
        Log,
        "START bad END",
        bad=(fail(ValueError("first")), {"error_handler": fail(KeyError("second"))}),
    )
    return graph.compile(), [call({"x": 1})]


@program(
    "handler.after_retries", timed=HANDLED, rows=("7.7:handler", "7.7:retry"), matrix=Matrix.BRIEF
)
def handler_after_retries(e):
    policy = e.types.RetryPolicy(max_attempts=2, **QUICK)
    graph = wire(
        e,
        Log,
        "START bad END",
        bad=(
            failing(ConnectionError("c"), 9),
            {"retry_policy": policy, "error_handler": lambda s: {"log": ["handled"]}},
        ),
    )
    return graph.compile(), [call({"x": 1})]


@program("handler.subgraph", timed=HANDLED, rows=("7.7:handler",), modes=SAVED_MODES)
def handler_subgraph(e):
    child = wire(e, Log, "START ok bad END", ok=..., bad=fail(ValueError("deep"))).compile()
    graph = wire(
        e,
        Log,
        "START sub b END",
        b=...,
        sub=(
            child,
            {"error_handler": lambda s: e.types.Command(update={"log": ["handled"]}, goto="b")},
        ),
    )
    return graph.compile(checkpointer=e.saver()), [call({"x": 1}, thread())]


@program("defaults.retry_cache_timeout", rows=("7.4:node_defaults",), matrix=Matrix.BRIEF)
def node_defaults(e):
    builder = e.graph.StateGraph(Log)
    builder.set_node_defaults(
        retry_policy=e.types.RetryPolicy(max_attempts=2, **QUICK),
        cache_policy=e.types.CachePolicy(),
    )
    builder.add_node("a", failing(ConnectionError("c"), 1))
    builder.add_node("b", lambda s: {"log": [len(s["log"])]})
    add_paths(builder, "START a b END")
    return builder.compile(cache=e.cache()), [call({"x": 1}), call({"x": 1})]
