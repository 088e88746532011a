"""What a node may return, and errors raised in every place.

No `from __future__ import annotations` here: schemas and node signatures are read at run time.
"""

import operator
import threading
import time
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypedDict

from differential.kit import START, Log, add_paths, fail, thread, wire
from differential.registry import SAVED_MODES, Matrix, call, program


def _one(e, node, schema=Log):
    return wire(e, schema, "START a last END", a=node, last=...).compile()


@program(
    "returns.dict_kinds",
    rows=("7.2:dict", "2.3:returned", "7.2:none", "2.3:nothing", "2.2:no_write_no_item"),
)
def dict_kinds(e):
    results = iter([{"x": 2}, {}, None, {"unknown": 1}, {"x": 3, "unknown": 1}])
    graph = wire(e, Log, "START a END", a=lambda s: next(results)).compile()
    return graph, [call({"x": 1}) for _ in range(5)]


@program("returns.models", rows=("7.2:model", "2.3:model"))
def models(e):
    @dataclass
    class Data:
        x: int
        other: int = 1

    class Model(BaseModel):
        x: int = 0
        log: list = []
        unknown: int = 3

    results = iter([Data(4), Model(x=5), Model(), Model(log=["set"])])
    graph = wire(e, Log, "START a END", a=lambda s: next(results)).compile()
    return graph, [call({"x": 1}) for _ in range(4)]


@program(
    "returns.command_lists",
    rows=("7.2:list_with_command", "2.3:several_writes", "2.7:writes_list", "7.2:command"),
)
def command_lists(e):
    command = e.types.Command
    results = iter(
        [
            [command(update={"log": ["1"]}), command(update={"log": ["2"], "x": 5})],
            [{"log": ["3"]}, command(update={"x": 6})],
            (command(update={"log": ["4"]}), {"log": ["5"]}),
            command(update=[("log", ["6"]), ("x", 7), ("log", ["7"])]),
            command(),
            [command(), None],
            command(update={"unknown": 1}),
        ]
    )
    graph = wire(e, Log, "START a END", a=lambda s: next(results)).compile()
    return graph, [call({"x": 1}) for _ in range(7)]


@program("returns.wrong_kinds", rows=("7.2:wrong",))
def wrong_kinds(e):
    send = e.types.Send
    results = iter(
        [5, "text", [{"x": 1}], [("x", 1)], (1, 2), [send("last", {})], [], {1}, 0, False]
    )
    graph = _one(e, lambda s: next(results))
    return graph, [call({"x": 1}) for _ in range(10)]


@program("returns.bare_send", rows=("7.2:send", "2.12:send_returned"))
def bare_send(e):
    send = e.types.Send
    graph = _one(e, lambda s: send("last", {"x": 9}))
    return graph, [call({"x": 1})]


@program("returns.input_unchanged", rows=("7.2:dict", "2.2:payload"))
def input_unchanged(e):
    return wire(e, Log, "START a b END", a=lambda s: s, b=lambda s: dict(s)).compile(), [
        call({"x": 1, "log": ["in"]})
    ]


@program("errors.single", rows=("2.11:result_before_raise", "2.11:note", "2.7:error", "2.3:failed"))
def single_error(e):
    return wire(e, Log, "START ok bad END", ok=..., bad=fail(ValueError("boom"))).compile(), [
        call({"x": 1}),
        call({"x": 2}),
    ]


@program("errors.own_class", rows=("2.11:result_before_raise",))
def own_class(e):
    class Mine(Exception):
        def __init__(self, code, detail):
            super().__init__(code, detail)
            self.code = code

    def bad(state):
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise Mine(3, "detail") from error

    return wire(e, Log, "START bad END", bad=bad).compile(), [call({"x": 1})]


@program(
    "errors.after_siblings",
    timed="one node is late by some hundredths of a second",
    rows=("2.11:siblings",),
)
def after_siblings(e):
    has_ended = threading.Event()

    def ok(state):
        has_ended.set()
        return {"log": ["ok"]}

    def late(state):
        has_ended.wait(10)
        time.sleep(0.03)  # the engine has still to hear of it
        raise ValueError("late")

    return wire(e, Log, "START bad END", "START ok END", bad=late, ok=ok).compile(), [
        call({"x": 1})
    ]


@program(
    "errors.slow_sibling",
    timed="one node is late by some hundredths of a second",
    rows=("2.11:siblings",),
    unordered=True,
    matrix=Matrix.BRIEF,
)
def slow_sibling(e):
    def slow(state):
        time.sleep(0.01)
        return {"log": ["slow"]}

    return wire(
        e, Log, "START bad END", "START slow END", slow=slow, bad=fail(ValueError("first"))
    ).compile(), [call({"x": 1})]


@program(
    "errors.continue_after_failure",
    timed="one node is late by some hundredths of a second",
    rows=("2.11:continue_after_failure", "2.6:failed_task"),
    modes=SAVED_MODES,
    unordered=True,
)
def continue_after_failure(e):
    attempts, has_ended = [], threading.Event()

    def ok(state):
        has_ended.set()
        return {"log": ["ok"]}

    def flaky(state):
        attempts.append(1)
        if len(attempts) == 1:
            has_ended.wait(10)
            time.sleep(0.03)  # the engine has still to hear of it
            raise ValueError("once")
        return {"log": ["flaky"]}

    graph = wire(e, Log, "START flaky end END", "START ok end", flaky=flaky, ok=ok, end=...)
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(None, thread()),
        call(None, thread()),
    ]


@program("errors.continue_single", rows=("2.11:continue_after_failure",), modes=SAVED_MODES)
def continue_single(e):
    attempts = []

    def flaky(state):
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError(f"attempt {len(attempts)}")
        return {"log": ["flaky"]}

    graph = wire(e, Log, "START ok flaky end END", flaky=flaky, ok=..., end=...)
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(None, thread()),
        call(None, thread()),
        call({"x": 2}, thread()),
    ]


@program(
    "errors.in_branch",
    rows=("7.4:conditional", "2.11:result_before_raise"),
    differs="failed-branch",
)
def in_branch(e):
    def path(state):
        raise LookupError("no way")

    builder = wire(e, Log, "START a", "b END", a=..., b=...)
    builder.add_conditional_edges("a", path, ["b"])
    return builder.compile(), [call({"x": 1})]


@program("errors.in_entry_branch", rows=("7.4:conditional_entry",))
def in_entry_branch(e):
    def path(state):
        if state["x"] == 1:
            raise LookupError("no way")
        return "b"

    builder = wire(e, Log, "b END", b=...)
    builder.add_conditional_edges(START, path, ["b"])
    return builder.compile(), [call({"x": 1}), call({"x": 2}), call({})]


@program("errors.base_exceptions", rows=("2.11:result_before_raise",))
def stop_iteration(e):
    errors = iter(
        [
            StopIteration("stop"),
            StopAsyncIteration("astop"),
            RuntimeError("run"),
            RecursionError("deep"),
            TimeoutError("time"),
        ]
    )

    def bad(state):
        raise next(errors)

    return wire(e, Log, "START bad END", bad=bad).compile(), [call({"x": 1}) for _ in range(5)]


@program("errors.bare_key_error_on_state", rows=("2.11:result_before_raise", "7.1:node_input"))
def key_error(e):
    graph = wire(e, Log, "START a END", a=lambda s: {"log": [s["x"]]}).compile()
    return graph, [call({"log": ["in"]})]


@program("errors.input_schema", rows=("7.1:pydantic_late",))
def node_schema_error(e):
    class Strict(BaseModel):
        x: int
        missing: int

    class S(TypedDict):
        x: int
        missing: int
        log: Annotated[list, operator.add]

    def node(state: Strict):
        return {"log": [state.x]}

    builder = wire(e, S, a=..., strict=node)
    add_paths(builder, "START a strict END")
    return builder.compile(), [
        call({"x": 1}, differs="items-before-an-error"),
        call({"x": 1, "missing": 2}),
    ]
