"""Graphs with a saver: checkpoints mode, breakpoints, interrupts, continuing a thread.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import operator
import time
from typing import Annotated

from typing_extensions import TypedDict

from differential.kit import END, Log, fail, say, thread, wire
from differential.registry import SAVED_MODES, Matrix, attempt, call, invoke, probe, program


@program(
    "saved.checkpoints",
    rows=(
        "2.6:payload",
        "2.1:checkpoint_order",
        "2.6:next_and_tasks",
        "2.6:sources",
        "2.6:emitted_late",
        "2.8:wrapper",
        "2.8:alone_or_with_tasks",
    ),
    modes=SAVED_MODES,
)
def checkpoints(e):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    return graph, [call({"x": 1}, thread()), call({"x": 2}, thread()), call({}, thread())]


@program("saved.asked_again", rows=("1.3:v1_interrupt", "2.2:no_write_no_item"), modes=SAVED_MODES)
def asked_again(e):
    """An input that changes nothing shows the state of an earlier run, with what is asked."""

    def ask(state):
        return {"log": [e.types.interrupt("?")]}

    graph = wire(e, Log, "START a END", a=ask).compile(checkpointer=e.saver())
    inputs = ({"x": 1}, {}, {"unknown": 1}, None)
    return graph, [
        *(call(input, thread()) for input in inputs),
        *(call(input, thread("2"), output_keys=["x"]) for input in inputs),
    ]


@program(
    "saved.parallel",
    rows=("2.6:next_and_tasks", "2.1:checkpoint_order"),
    modes=SAVED_MODES,
    unordered=True,
)
def parallel(e):
    send = e.types.Send
    builder = wire(e, Log, "START a", "START z c END", a=..., z=..., c=..., w=...)
    builder.add_conditional_edges("a", lambda s: [send("w", {"x": n}) for n in (1, 2)])
    return builder.compile(checkpointer=e.saver()), [call({"x": 1}, thread())]


@program("saved.user_configurable", rows=("2.6:user_configurable",), modes=SAVED_MODES)
def user_configurable(e):
    graph = wire(e, Log, "START a END", a=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, {**thread(user="u", n=1), "metadata": {"foo": "bar", "deep": {"a": 1}}}),
        call({"x": 1}, thread("2", checkpoint_ns="")),
        call({"x": 1}, {"configurable": {"thread_id": 7}}),
    ]


@program("saved.durability", rows=("1.1:durability", "2.6:exit_durability"), modes=SAVED_MODES)
def durability(e):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread(kind), durability=kind) for kind in ("sync", "async", "exit")
    ] + [
        call({"x": 2}, thread("exit")),
        call({"x": 3}, thread("sync"), durability="exit", differs="exit-parent"),
    ]


@program("saved.exit_after_failure", rows=("2.6:exit_durability",), modes=SAVED_MODES)
def exit_after_failure(e):
    attempts = []

    def flaky(state):
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("once")
        return {"log": ["flaky"]}

    graph = wire(e, Log, "START a flaky END", a=..., flaky=flaky).compile(checkpointer=e.saver())
    return graph, [call({"x": 1}, thread(), durability="exit"), call(None, thread())]


@program("saved.missing_configurable", rows=("1.5:missing_configurable", "1.5:missing_thread_id"))
def missing_configurable(e):
    graph = wire(e, Log, "START a END", a=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}),
        call({"x": 1}, {"configurable": {}}),
        call({"x": 1}, {"configurable": {"user": "u"}}, differs="missing-thread-id"),
        call({"x": 1}, thread("")),
        call({"x": 1}, {"configurable": {"checkpoint_ns": ""}}, differs="missing-thread-id"),
    ]


@program(
    "saved.interrupt_before",
    rows=(
        "2.9:static",
        "1.1:interrupt_before",
        "1.3:v1_breakpoint",
        "2.3:breakpoint",
        "2.2:start_of_continue",
    ),
    modes=SAVED_MODES,
)
def interrupt_before(e):
    graph = wire(e, Log, "START a b c END", a=..., b=..., c=...)
    compiled = graph.compile(checkpointer=e.saver(), interrupt_before=["b"])
    return compiled, [
        call({"x": 1}, thread()),
        call(None, thread()),
        call(None, thread()),
        call({"x": 1}, thread("2"), interrupt_before=["c"]),
        call(None, thread("2")),
        call({"x": 1}, thread("3"), interrupt_before=[]),
        call({"x": 1}, thread("4"), interrupt_before="*"),
        call(None, thread("4"), interrupt_before="*"),
        call({"x": 1}, thread("5"), interrupt_before=["zz"]),
    ]


@program(
    "saved.interrupt_after",
    rows=("2.9:static", "1.1:interrupt_after", "2.9:static_last_node"),
    modes=SAVED_MODES,
)
def interrupt_after(e):
    graph = wire(e, Log, "START a b END", a=..., b=...)
    compiled = graph.compile(checkpointer=e.saver(), interrupt_after=["a"])
    return compiled, [
        call({"x": 1}, thread()),
        call(None, thread()),
        call({"x": 1}, thread("2"), interrupt_after="*"),
        call(None, thread("2"), interrupt_after="*"),
        call(None, thread("2"), interrupt_after="*"),
        call({"x": 1}, thread("3"), interrupt_before=["b"], interrupt_after=["a", "b"]),
    ]


@program("saved.breakpoint_without_saver", rows=("2.9:static", "1.3:v1_breakpoint"))
def breakpoint_without_saver(e):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(interrupt_before=["b"])
    return graph, [call({"x": 1}), call(None), call({"x": 1}, interrupt_after=["a"])]


@program("saved.breakpoint_in_parallel", rows=("2.9:static",), modes=SAVED_MODES, unordered=True)
def breakpoint_in_parallel(e):
    graph = wire(e, Log, "START a c END", "START b c", a=..., b=..., c=...)
    compiled = graph.compile(checkpointer=e.saver(), interrupt_before=["b"], interrupt_after=["c"])
    return compiled, [call({"x": 1}, thread()), call(None, thread()), call(None, thread())]


@program(
    "saved.new_input_at_breakpoint", rows=("2.9:static", "2.2:start_of_continue"), modes=SAVED_MODES
)
def new_input_at_breakpoint(e):
    graph = wire(e, Log, "START a b END", a=..., b=...)
    compiled = graph.compile(checkpointer=e.saver(), interrupt_before=["b"])
    return compiled, [call({"x": 1}, thread()), call({"x": 2}, thread()), call(None, thread())]


@program(
    "interrupt.dynamic",
    rows=("2.9:dynamic", "2.3:interrupt", "1.3:v1_interrupt", "1.2:v2_values_interrupts"),
    modes=SAVED_MODES,
)
def dynamic(e):
    graph = wire(
        e,
        Log,
        "START a ask b END",
        a=...,
        b=...,
        ask=lambda s: {"log": [e.types.interrupt({"q": s["x"]})]},
    )
    return graph.compile(checkpointer=e.saver()), [call({"x": 1}, thread())]


@program("interrupt.without_saver", rows=("2.9:without_saver", "1.3:v1_interrupt"))
def interrupt_without_saver(e):
    graph = wire(
        e, Log, "START a ask END", a=..., ask=lambda s: {"log": [e.types.interrupt("why")]}
    )
    return graph.compile(), [call({"x": 1}), call({})]


@program("interrupt.first_thing", rows=("1.3:v2_interrupt_first", "1.3:nothing_written"))
def first_thing(e):
    class S(TypedDict):
        x: int

    def node(state):
        return {"x": e.types.interrupt("q")} if not state else None

    return wire(e, S, "START a END", a=node).compile(), [call({}), call({"x": 1})]


@program("interrupt.sibling", rows=("2.9:sibling",), modes=SAVED_MODES, unordered=True)
def sibling(e):
    graph = wire(
        e,
        Log,
        "START ask c END",
        "START side c",
        side=...,
        c=...,
        ask=lambda s: {"log": [e.types.interrupt({"q": 1})]},
    )
    return graph.compile(checkpointer=e.saver()), [call({"x": 1}, thread())]


@program(
    "interrupt.several",
    timed="one node is late by some hundredths of a second",
    rows=("1.3:several_interrupts", "2.9:dynamic"),
    modes=SAVED_MODES,
)
def several(e):
    def ask(name, seconds):
        def node(state):
            time.sleep(seconds)
            return {"log": [e.types.interrupt(name)]}

        return node

    graph = wire(
        e, Log, "START one END", "START two END", one=ask("one", 0.0), two=ask("two", 0.03)
    )
    return graph.compile(checkpointer=e.saver()), [call({"x": 1}, thread())]


@program(
    "interrupt.with_error",
    timed="one node is late by some hundredths of a second",
    rows=("2.9:with_error",),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def with_error(e):
    def late(state):
        time.sleep(0.04)
        raise ValueError("late")

    graph = wire(
        e,
        Log,
        "START ask END",
        "START bad END",
        bad=late,
        ask=lambda s: {"log": [e.types.interrupt("q")]},
    )
    return graph.compile(checkpointer=e.saver()), [call({"x": 1}, thread())]


@program("interrupt.root_state", rows=("2.9:root_state",))
def interrupt_root(e):
    graph = wire(
        e, str, "START a ask END", a=lambda s: s + "a", ask=lambda s: e.types.interrupt("q")
    ).compile()
    return graph, [call("in")]


@program("interrupt.deprecated", rows=("2.9:node_interrupt",))
def deprecated(e):
    def ask(state):
        raise e.errors.NodeInterrupt("stop")

    return wire(e, Log, "START a ask END", a=..., ask=ask).compile(), [call({"x": 1})]


@program("interrupt.swallowed", rows=("2.9:dynamic",), differs="signals")
def swallowed(e):
    def ask(state):
        try:
            e.types.interrupt("q")
        except Exception as error:
            return {"log": [type(error).__name__]}
        return None

    return wire(e, Log, "START ask b END", ask=ask, b=...).compile(), [call({"x": 1})]


@program("interrupt.new_input", rows=("2.9:dynamic", "2.2:start_of_continue"), modes=SAVED_MODES)
def interrupt_new_input(e):
    graph = wire(
        e, Log, "START a ask END", a=..., ask=lambda s: {"log": [e.types.interrupt(s["x"])]}
    )
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call({"x": 2}, thread()),
    ]


@program("interrupt.retry_policy", rows=("2.9:dynamic", "7.7:handler"))
def interrupt_with_policies(e):
    policy = e.types.RetryPolicy(
        max_attempts=2, initial_interval=0.001, jitter=False, retry_on=Exception
    )
    graph = wire(
        e,
        Log,
        "START ask END",
        ask=(
            lambda s: e.types.interrupt("q"),
            {"retry_policy": policy, "error_handler": lambda s: {"log": ["handled"]}},
        ),
    )
    return graph.compile(), [call({"x": 1})]


@program("saved.two_threads", rows=("2.6:sources",), modes=SAVED_MODES)
def two_threads(e):
    graph = wire(e, Log, "START a END", a=...).compile(checkpointer=e.saver())
    return graph, [call({"x": n}, thread(str(n % 2))) for n in range(4)]


@program("saved.changing_schema_kinds", rows=("2.6:payload", "7.1:root"), modes=SAVED_MODES)
def root_saved(e):
    schema = Annotated[list, operator.add]
    graph = wire(e, schema, "START a END", a=lambda s: [len(s)]).compile(checkpointer=e.saver())
    return graph, [call(["in"], thread()), call(["more"], thread()), call(None, thread())]


@program(
    "saved.waiting_edge", rows=("7.4:waiting", "7.3:barrier"), modes=SAVED_MODES, unordered=True
)
def waiting_edge(e):
    builder = wire(e, Log, "START a a2", "START b", "c END", a=..., a2=..., b=..., c=...)
    builder.add_edge(["a2", "b"], "c")
    compiled = builder.compile(checkpointer=e.saver(), interrupt_before=["a2"])
    return compiled, [call({"x": 1}, thread()), call(None, thread()), call(None, thread())]


@program("saved.defer", rows=("7.4:defer",), modes=SAVED_MODES, unordered=True)
def deferred(e):
    graph = wire(e, Log, "START a b d END", "START d", a=..., b=..., d=(say("d"), {"defer": True}))
    compiled = graph.compile(checkpointer=e.saver(), interrupt_before=["b", "d"])
    return compiled, [call({"x": 1}, thread()), call(None, thread()), call(None, thread())]


@probe("saved.compile_errors", rows=("7.4:interrupt_names", "7.4:compile"))
def compile_errors(e, driver):
    builder = wire(e, Log, "START a END", a=...)
    root = attempt(lambda: builder.compile(checkpointer=True))

    def run(saver):
        return attempt(lambda: invoke(driver, builder.compile(checkpointer=saver), {"x": 1}))

    return {
        "unknown": attempt(lambda: builder.compile(interrupt_before=["zz"])),
        "unknown after": attempt(lambda: builder.compile(interrupt_after=["a", "zz"])),
        "root": root if isinstance(root, Exception) else run(True),
        "false": run(False),
        "number": run(2),
        "class": run(type(e.saver())),
    }


@probe("saved.place_as_checkpointer", rows=("7.4:compile",), differs="place-as-checkpointer")
def place_as_checkpointer(e, driver):
    graph = attempt(lambda: wire(e, Log, "START a END", a=...).compile(checkpointer=":memory:"))
    config = {"configurable": {"thread_id": "1"}}
    return graph if isinstance(graph, Exception) else invoke(driver, graph, {"x": 1}, config)


@program(
    "saved.failing_first_node",
    rows=("2.6:failed_task", "2.11:continue_after_failure"),
    modes=SAVED_MODES,
)
def failing_first_node(e):
    graph = wire(e, Log, "START bad END", bad=fail(ValueError("always")))
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(None, thread()),
        call({"x": 2}, thread()),
    ]


@program("saved.branch_from_checkpoint", rows=("2.2:start_of_continue",), modes=SAVED_MODES)
def finished_thread(e):
    builder = wire(e, Log, "START a", a=..., b=...)
    builder.add_conditional_edges("a", lambda s: "b" if len(s["log"]) > 1 else END)
    graph = builder.compile(checkpointer=e.saver())
    return graph, [call({"x": 1}, thread()), call(None, thread()), call({"x": 2}, thread())]
