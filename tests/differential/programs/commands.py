"""Send and Command, from nodes, branches and as graph input.

No `from __future__ import annotations` here: schemas are read at run time.
"""

from typing import Literal

from differential.kit import END, START, Log, thread, wire
from differential.registry import SAVED_MODES, Matrix, attempt, call, probe, program


@program(
    "send.fan_out",
    rows=("7.6:send", "2.3:two_sends", "7.6:send_order", "2.7:triggers"),
    unordered=True,
)
def fan_out(e):
    send = e.types.Send
    builder = wire(e, Log, "START a", "w end END", a=..., w=lambda s: {"log": [s["i"]]}, end=...)
    builder.add_conditional_edges("a", lambda s: [send("w", {"i": i}) for i in (3, 1, 2)], ["w"])
    return builder.compile(), [call({"x": 1})]


@program(
    "send.push_and_pull", rows=("2.1:push_before_pull", "2.1:reducers_by_path"), unordered=True
)
def push_and_pull(e):
    send = e.types.Send

    def worker(state):
        return {"log": [f"w{state.get('i')}"]}

    builder = wire(e, Log, "START a w END", "a c END", a=..., w=worker, c=...)
    builder.add_conditional_edges("a", lambda s: [send("w", {"i": 1}), send("w", {"i": 0})])
    return builder.compile(), [call({"x": 1})]


@program("send.argument_kinds", rows=("7.6:send", "2.7:input"), unordered=True)
def argument_kinds(e):
    send = e.types.Send
    arguments = [5, "text", None, [1], {"x": 1, "unknown": 2}, (1, 2)]
    builder = wire(e, Log, "START a", a=..., w=lambda s: {"log": [repr(s)]})
    builder.add_conditional_edges("a", lambda s: [send("w", value) for value in arguments], ["w"])
    return builder.compile(), [call({"x": 1})]


@program("send.unknown_node", rows=("7.4:unknown_send",), differs="wrong-route")
def unknown_send(e):
    send = e.types.Send
    builder = wire(e, Log, "START a b END", a=..., b=...)
    builder.add_conditional_edges("a", lambda s: send("nope", {"x": 1}))
    return builder.compile(), [call({"x": 1})]


@program("send.chain", rows=("7.6:send",), unordered=True)
def send_chain(e):
    send, command = e.types.Send, e.types.Command

    def first(state):
        return command(update={"log": ["first"]}, goto=[send("second", {"n": n}) for n in (1, 2)])

    def second(state):
        return command(update={"log": [f"second{state['n']}"]}, goto=send("third", state))

    graph = wire(
        e,
        Log,
        "START first",
        first=first,
        second=second,
        third=lambda s: {"log": [f"third{s['n']}"]},
    ).compile()
    return graph, [call({"x": 1})]


@program("send.write_order", rows=("7.6:send_order", "2.1:reducers_by_path"), unordered=True)
def send_write_order(e):
    send, command = e.types.Send, e.types.Command

    def source(name):
        return lambda s: command(goto=[send("w", {"i": f"{name}{n}"}) for n in (1, 0)])

    graph = wire(
        e, Log, "START z", "START b", z=source("z"), b=source("b"), w=lambda s: {"log": [s["i"]]}
    ).compile()
    return graph, [call({"x": 1})]


@program(
    "command.goto",
    rows=("7.2:command", "2.12:goto_added", "7.4:additive_goto", "7.4:destinations"),
    unordered=True,
)
def goto(e):
    command = e.types.Command

    def a(state) -> e.types.Command[Literal["c"]]:
        return command(update={"log": ["a"]}, goto="c")

    graph = wire(e, Log, "START a b END", "c END", a=(a, {"destinations": ("c",)}), b=..., c=...)
    return graph.compile(), [call({"x": 1})]


@program("command.goto_kinds", rows=("2.12:goto_list", "7.4:unknown_goto"), unordered=True)
def goto_kinds(e):
    command, send = e.types.Command, e.types.Send
    results = iter(
        [
            command(goto=["b", "c"]),
            command(goto=("b", send("c", {"x": 7}))),
            command(goto=END),
            command(goto="zz"),
            command(goto=send("zz", {})),
            command(goto=["b", "b"]),
            command(goto=[]),
            [command(goto="b"), command(goto="c", update={"x": 3})],
            command(goto=START),
            command(goto=5),
            command(goto=[END, "b"]),
        ]
    )
    graph = wire(e, Log, "START a", a=lambda s: next(results), b=..., c=...).compile()
    wrong = (3, 4, 8, 9)
    return graph, [call({"x": 1}, differs="wrong-route" if i in wrong else None) for i in range(11)]


@program("command.update_kinds", rows=("7.2:command",))
def update_kinds(e):
    command = e.types.Command

    class Annotated_:
        x: int

        def __init__(self):
            self.x = 12

    results = iter(
        [
            command(update={"x": 1}),
            command(update=[("x", 2)]),
            command(update=Annotated_()),
            command(update=5),
            command(update=None),
            command(update=()),
            command(update={}),
            command(update=(("x", 3), ("log", ["t"]))),
            command(resume="ignored"),
        ]
    )
    graph = wire(e, Log, "START a END", a=lambda s: next(results)).compile()
    return graph, [call({"x": 0}) for _ in range(9)]


@program("command.update_root", rows=("7.2:command", "7.1:root"))
def update_root(e):
    command = e.types.Command
    graph = wire(
        e, str, "START a b END", a=lambda s: command(update=s + "!", goto="b"), b=lambda s: s + "b"
    ).compile()
    return graph, [call("in")]


@program("command.loop", rows=("7.2:command",))
def command_loop(e):
    command = e.types.Command

    def a(state):
        return command(update={"x": state["x"] + 1}, goto="b")

    def b(state):
        return command(update={"log": [state["x"]]}, goto="a" if state["x"] < 3 else END)

    return wire(e, Log, "START a", a=a, b=b).compile(), [call({"x": 0})]


def _child(e, node, *, extra="END"):
    return wire(e, Log, f"START one two {extra}", one=..., two=node).compile()


@program(
    "command.parent",
    rows=("7.6:command_parent", "2.3:parent_command", "2.7:parent_command"),
    unordered=True,
)
def parent(e):
    command = e.types.Command
    child = _child(e, lambda s: command(graph=command.PARENT, update={"log": ["up"]}, goto="p2"))
    graph = wire(e, Log, "START first sub p3 END", "p2 END", first=..., sub=child, p2=..., p3=...)
    return graph.compile(), [call({"x": 1})]


@program("command.parent_send", rows=("7.6:command_parent",), unordered=True)
def parent_send(e):
    command, send = e.types.Command, e.types.Send
    child = _child(e, lambda s: command(graph=command.PARENT, goto=[send("p2", {"x": 5}), "p3"]))
    graph = wire(e, Log, "START sub", sub=child, p2=lambda s: {"log": [s]}, p3=...)
    return graph.compile(), [call({"x": 1})]


@program("command.parent_two_levels", rows=("7.6:command_parent", "2.13:sub_sub"))
def parent_two_levels(e):
    command = e.types.Command
    inner = _child(e, lambda s: command(graph=command.PARENT, update={"x": 9}, goto="after"))
    middle = wire(e, Log, "START inner", "after END", inner=inner, after=...).compile()
    graph = wire(e, Log, "START middle END", middle=middle).compile()
    return graph, [call({"x": 1})]


@program("command.parent_from_function", rows=("7.6:command_parent",))
def parent_from_function(e):
    command = e.types.Command
    child = _child(e, lambda s: command(graph=command.PARENT, update={"log": ["up"]}, goto="p2"))
    builder = wire(
        e, Log, "START call", "p2 END", p2=..., call=lambda s: {"log": [child.invoke({"x": 3})]}
    )
    return builder.compile(), [call({"x": 1})]


@program("command.parent_at_root", rows=("7.6:parent_at_root",), differs="signals")
def parent_at_root(e):
    command = e.types.Command
    graph = _child(e, lambda s: command(graph=command.PARENT, update={"log": ["up"]}))
    return graph, [call({"x": 1})]


@program("command.unknown_graph", rows=("7.6:parent_at_root",))
def unknown_graph(e):
    command = e.types.Command
    child = _child(e, lambda s: command(graph="elsewhere", update={"log": ["up"]}))
    return wire(e, Log, "START sub END", sub=child).compile(), [call({"x": 1})]


@program("command.parent_together", rows=("7.6:command_parent",), differs="parent-commands")
def parent_together(e):
    command = e.types.Command

    def leave(name):
        return lambda s: command(graph=command.PARENT, update={"log": [name]}, goto=name)

    child = wire(e, Log, "START a", "START b", a=leave("p"), b=leave("p2")).compile()
    return wire(e, Log, "START sub", sub=child, p=..., p2=...).compile(), [call({"x": 1})]


@program("command.parent_list", rows=("7.6:command_parent", "7.2:list_with_command"))
def parent_list(e):
    command = e.types.Command
    child = _child(
        e,
        lambda s: [
            command(update={"log": ["own"]}),
            command(graph=command.PARENT, update={"log": ["up"]}),
        ],
    )
    return wire(e, Log, "START sub p2 END", sub=child, p2=...).compile(), [call({"x": 1})]


@program(
    "command.as_input",
    rows=("7.6:command_input", "1.1:input", "2.2:start_of_continue"),
    modes=SAVED_MODES,
    unordered=True,
)
def as_input(e):
    command, send = e.types.Command, e.types.Send
    graph = wire(e, Log, "START a b END", a=..., b=..., c=...)
    compiled = graph.compile(checkpointer=e.saver(), interrupt_before=["b"])
    return compiled, [
        call({"x": 1}, thread()),
        call(command(update={"log": ["up"], "x": 5}), thread()),
        call(command(goto="c"), thread()),
        call(command(goto=[send("c", {"x": 9}), "a"], update={"x": 6}), thread()),
        call(command(update={"unknown": 1}), thread()),
    ]


@program(
    "command.as_input_errors",
    rows=("7.6:wrong_goto", "7.6:parent_at_root", "2.9:resume_without_saver"),
)
def as_input_errors(e):
    command = e.types.Command
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(command(goto=5), thread(), differs="wrong-route"),
        call(command(goto=["a", 5]), thread(), differs="wrong-route"),
        call(command(graph=command.PARENT, update={"x": 1}), thread()),
        call(command(goto="nope"), thread(), differs="wrong-route"),
    ]


@program("command.resume_without_saver", rows=("2.9:resume_without_saver",))
def resume_without_saver(e):
    graph = wire(e, Log, "START a END", a=...).compile()
    return graph, [call(e.types.Command(resume="x"))]


@program(
    "command.on_fresh_thread",
    rows=("7.6:fresh_thread",),
    modes=SAVED_MODES,
    differs="command-on-fresh-thread",
)
def on_fresh_thread(e):
    command = e.types.Command
    graph = wire(e, Log, "START a END", a=..., b=...).compile(checkpointer=e.saver())
    return graph, [call(command(update={"log": ["z"]}), thread())]


@program(
    "command.without_saver",
    rows=("7.6:fresh_thread",),
    matrix=Matrix.AS_WRITTEN,
    differs="command-on-fresh-thread",
)
def without_saver(e):
    command = e.types.Command
    graph = wire(e, Log, "START a END", a=...).compile()
    return graph, [call(command(update={"log": ["z"]}), stream_mode="values")]


@program("command.empty", rows=("7.6:empty_command",), matrix=Matrix.AS_WRITTEN)
def empty(e):
    command = e.types.Command
    graph = wire(e, Log, "START a END", a=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(command(), thread(), differs="empty-command"),
        call(command(resume=None), thread(), differs="empty-command"),
    ]


@probe("command.values", rows=("7.6:send", "7.2:command"))
def values(e, driver):
    send, command, interrupt = e.types.Send, e.types.Command, e.types.Interrupt
    return {
        "send": repr(send("a", {"x": 1})),
        "send equal": [send("a", 1) == send("a", 1), send("a", 1) == send("a", 2)],
        "send hash": attempt(lambda: hash(send("a", 1)) == hash(send("a", 1))),
        "send timeout": repr(send("a", 1, timeout=5)),
        "command": repr(command(update={"x": 1}, goto="b")),
        "bare command": repr(command()),
        "frozen": attempt(lambda: setattr(command(), "goto", "x")),
        "parent": command.PARENT,
        "positional": attempt(lambda: command("x")),
        "interrupt": repr(interrupt(value=1, id="a")),
        "overwrite": repr(e.types.Overwrite([1])),
    }
