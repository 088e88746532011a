"""Changing what is saved of a thread.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import operator
from typing import Annotated

from langchain_core.runnables import RunnableConfig

from differential.desk import Desk, Recorder, asker, split, three, troubled
from differential.kit import END, Log, say, thread, wire
from differential.registry import probe


@probe(
    "saved_updates.command_writes",
    rows=("7.10:pending_writes", "7.6:command_input"),
    differs="commanded",
)
def command_writes(e, driver):
    def ask(state):
        e.types.interrupt("q?")
        raise ValueError("always")

    graph = wire(e, Log, "START a q c END", "a d c", a=..., q=ask, d=say("d", x=4), c=..., z=...)
    desk = Desk(driver, graph.compile(checkpointer=Recorder()))
    for name in ("1", "2", "3"):
        desk.invoke({"x": 1}, thread(name))
        command = e.types.Command(resume="R", update={"log": ["said"], "x": 7}, goto="z")
        desk.invoke(command, thread(name))
        desk.state(desk.state(thread(name)).config)
    desk.update(thread("1"), {"log": ["U"]}, "q")
    desk.state(thread("1"))
    desk.update(thread("2"), None, END)
    desk.state(thread("2"))
    desk.update(thread("3"), {"x": 3}, "__input__")
    desk.state(thread("3"))
    return desk.facts


@probe("saved_updates.sends", rows=("7.10:get_state", "7.6:send"))
def sends(e, driver):
    send = e.types.Send

    def work(state):
        return {"log": [e.types.interrupt("w?")]} if state["x"] == 2 else {"log": [state["x"]]}

    graph = wire(e, Log, "START a", "w c END", a=..., w=work, c=...)
    targets = [*(send("w", {"x": n}) for n in (1, 2, 3)), "c", "w"]
    graph.add_conditional_edges("a", lambda state: targets, ["w", "c"])
    desk = Desk(driver, graph.compile(checkpointer=Recorder()))
    update = e.types.StateUpdate
    for name in ("1", "2", "3"):
        desk.invoke({"x": 1}, thread(name))
        desk.state(desk.state(thread(name)).config)
    desk.update(thread("1"), {"log": ["W"]}, "w")
    desk.bulk(thread("2"), [[update({"log": [n]}, "w") for n in range(6)]])
    items = [({"log": ["w1"]}, "w"), ({"log": ["c"]}, "c")]
    items += [({"log": [n]}, "w") for n in range(3)]
    desk.update(thread("3"), items, "__copy__")
    for name in ("1", "2", "3"):
        desk.history(thread(name))
    return desk.facts


@probe("saved_updates.one_value", rows=("7.10:get_state", "7.10:update_state"))
def one_value(e, driver):
    def twice(state):
        return [e.types.Command(update=["1"]), e.types.Command(update=["2"])]

    graph = wire(
        e, Annotated[list, operator.add], "START a b c END",
        a=lambda state: ["a"], b=lambda state: None, c=twice,
    )  # fmt: skip
    desk = Desk(driver, graph.compile(checkpointer=Recorder(), interrupt_before=["c"]))
    desk.state(thread())
    desk.invoke(["x"], thread())
    desk.update(thread(), ["u"])
    desk.update(thread(), None, "a")
    desk.invoke(None, thread())
    desk.history(thread())
    desk.update(thread("2"), ["new"])
    desk.state(thread("2"))
    return desk.facts


@probe("saved_updates.raw_graph", rows=("7.10:update_state", "7.10:get_state"))
def raw_graph(e, driver):
    channels, pregel = e.channels, e.pregel

    def build(inputs="in", outputs="out", **nodes):
        first = pregel.NodeBuilder().subscribe_only("in").do(lambda x: x + 1).write_to("out")
        return pregel.Pregel(
            nodes={"one": first, **nodes},
            channels={
                "in": channels.EphemeralValue(int),
                "more": channels.EphemeralValue(int),
                "out": channels.LastValue(int),
                "end": channels.LastValue(int),
            },
            input_channels=inputs,
            output_channels=outputs,
            checkpointer=Recorder(),
        )

    def two():
        return pregel.NodeBuilder().subscribe_only("out").do(lambda x: x + 1)

    single = Desk(driver, build())
    single.update(thread(), 5)
    single.state(thread())
    single.update(thread(), 6, "__input__")
    single.state(thread())
    single.invoke(None, thread())
    single.history(thread())
    single.update(thread(), 9)
    double = Desk(driver, build(two=two().write_to(end=lambda x: x * 2)))
    double.update(thread(), 5)
    double.update(thread(), 5, "one")
    double.update(thread(), None, "one")
    double.update(thread(), 6, "two")
    double.state(thread())
    silent = Desk(driver, build(two=two()))
    silent.update(thread(), 5, "two")
    silent.update(thread(), 6, "two")
    silent.state(thread())
    several = Desk(driver, build(["in", "more"], ["out", "end"]))
    several.update(thread(), {"in": 1, "more": 2, "other": 3}, "__input__")
    several.update(thread(), {"other": 3}, "__input__")
    several.update(thread(), 5, "__input__")
    several.state(thread())
    return single.facts + double.facts + silent.facts + several.facts


@probe("saved_updates.updates", rows=("7.10:update_state", "7.10:special_nodes", "2.6:sources"))
def updates(e, driver):
    desk = Desk(driver, three(e, interrupt_before=["b"]))
    desk.invoke({"x": 1}, {**thread(user="u"), "metadata": {"foo": "bar"}})
    special = (
        ({"x": 7},),
        ({"log": ["B"]}, "b"),
        (None,),
        (None, END),
        ({"x": 9}, "__input__"),
        (None, "__copy__"),
        (None, "c"),
    )
    for args in special:
        desk.state(desk.update(thread(), *args))
        desk.state(thread())
    desk.history(thread())
    desk.update({**thread(user="v"), "metadata": {"foo": "baz", "deep": {}}}, {"x": 1})
    desk.state(thread())
    desk.invoke(None, thread())
    desk.invoke({"x": 3}, thread())
    desk.history(thread())
    return desk.facts


@probe("saved_updates.older", rows=("7.10:time_travel", "7.10:update_state"))
def older(e, driver):
    desk = Desk(driver, three(e))
    desk.invoke({"x": 1}, thread())
    every = desk.history(thread())
    for args in (
        ({"x": 100},),
        ({"log": ["B"]}, "b"),
        ({"x": 5}, "__input__"),
        (None, END),
        (None, "__copy__"),
        ([({"log": ["C"]}, "c"), ({"log": ["B"]}, "b")], "__copy__"),
    ):
        for index in (0, 2, 3):
            desk.state(desk.update(every[index].config, *args))
    desk.update(thread(checkpoint_id="1f1e55ce-6e79-6054-8001-50b689690099"), {"x": 5})
    desk.history(thread())
    return desk.facts


@probe("saved_updates.new_threads", rows=("7.10:update_state",))
def new_threads(e, driver):
    desk = Desk(driver, three(e))
    for name, args in {
        "1": ({"x": 1},),
        "2": ({"x": 1}, "a"),
        "3": (None,),
        "4": (None, END),
        "5": ({"x": 1}, "__input__"),
        "6": (None, "__copy__"),
        "7": ({"x": 1}, "__start__"),
        "8": ({"x": 1}, "nope"),
        "9": (None, "__input__"),
    }.items():
        desk.update(thread(name), *args)
        desk.state(thread(name))
        desk.invoke(None, thread(name))
    desk.update({"configurable": {"thread_id": 7}}, {"x": 1})
    desk.state({"configurable": {"thread_id": 7}})
    desk.state(thread("7"))
    return desk.facts


@probe("saved_updates.values", rows=("7.10:update_state", "7.2:returns"))
def values(e, driver):
    command, send = e.types.Command, e.types.Send
    desk = Desk(driver, three(e))
    for index, value in enumerate(
        (
            {},
            [],
            "text",
            5,
            [1],
            {"unknown": 1},
            {"x": 1, "unknown": 2},
            [("x", 1)],
            command(update={"x": 5}, goto="c"),
            command(update=[("x", 5), ("log", ["l"])]),
            command(goto=send("c", {"x": 3})),
            [command(goto="b"), {"x": 1}],
            command(resume=1),
            send("b", {"x": 1}),
            {"log": e.types.Overwrite(["new"])},
        )
    ):
        desk.update(thread(str(index)), value, "a")
        desk.state(thread(str(index)))
    for index, value in enumerate(({}, 5, {"unknown": 1}, {"x": "text"})):
        desk.update(thread(f"in{index}"), value, "__input__")
        desk.state(thread(f"in{index}"))
    return desk.facts


@probe("saved_updates.no_parent", rows=("7.10:update_state",), differs="parent-command-in-update")
def no_parent(e, driver):
    desk = Desk(driver, three(e))
    desk.update(thread(), e.types.Command(graph=e.types.Command.PARENT, update={"x": 1}), "a")
    desk.state(thread())
    return desk.facts


@probe("saved_updates.inference", rows=("7.10:as_node",))
def inference(e, driver):
    fork = Desk(driver, split(e, interrupt_before=["b", "c"]))
    fork.update(thread("0"), {"x": 1})
    fork.invoke({"x": 1}, thread())
    fork.update(thread(), {"x": 2})
    fork.invoke(None, thread())
    fork.update(thread(), {"x": 3})
    fork.update(thread(), {"x": 3}, "d")
    fork.update(thread(), {"x": 4})
    fork.invoke(None, thread())
    fork.update(thread(), {"x": 5})
    graph = wire(e, Log, "START b d", "START c d", b=..., c=..., d=...)
    graph.add_edge(["b", "c"], "d")
    join = Desk(driver, graph.compile(checkpointer=Recorder()))
    join.invoke({"x": 1}, thread())
    join.update(thread(), {"x": 2})
    row = Desk(driver, three(e, interrupt_before=["a"]))
    row.invoke({"x": 1}, thread())
    row.update(thread(), {"x": 2})
    row.invoke(None, thread())
    row.update(thread(), {"x": 2})
    row.invoke({"x": 5}, thread())
    row.update(thread(), {"x": 2})
    row.state(thread())
    return fork.facts + join.facts + row.facts


@probe(
    "saved_updates.joins",
    rows=("7.10:update_state", "7.4:waiting", "7.4:defer"),
    differs="update-of-a-waiting-node",
)
def joins(e, driver):
    graph = wire(e, Log, "START b", "START c", b=..., c=..., d=...)
    graph.add_edge(["b", "c"], "d")
    join = Desk(driver, graph.compile(checkpointer=Recorder()))
    for name in ("b", "c", "d"):
        join.update(thread(), {"log": [name]}, name)
        join.state(thread())
    join.invoke(None, thread())
    join.history(thread())
    graph = wire(e, Log, "START b c d", "START d", b=..., c=..., d=(say("d"), {"defer": True}))
    late = Desk(driver, graph.compile(checkpointer=Recorder()))
    for name in ("b", "c", "d"):
        late.update(thread(), {"log": [name]}, name)
        late.state(thread())
    late.invoke(None, thread())
    late.update(thread("2"), {"x": 1}, "__start__")
    late.update(thread("2"), None, END)
    late.state(thread("2"))
    late.invoke(None, thread("2"))
    return join.facts + late.facts


@probe("saved_updates.under_way", rows=("7.10:update_state", "7.10:special_nodes"))
def under_way(e, driver):
    desk = Desk(driver, troubled(e))
    update = e.types.StateUpdate
    for name, args in {
        "1": ({"x": 5},),
        "2": ({"log": ["Q"]}, "q"),
        "3": ({"log": ["C"]}, "c"),
        "4": (None, END),
        "5": ({"x": 3}, "__input__"),
        "6": (None, "__copy__"),
        "7": ([({"log": ["Q"]}, "q"), ({"log": ["D"]}, "d"), ({"log": ["C"]}, "c")], "__copy__"),
        "8": ({"log": ["D"]}, "d"),
    }.items():
        desk.invoke({"x": 1}, thread(name))
        desk.update(thread(name), *args)
        desk.state(thread(name))
    desk.invoke({"x": 1}, thread("10"))
    waiting = desk.state(thread("10")).tasks
    desk.update(thread("10"), {"log": ["as c"]}, "c", waiting[0].id)
    desk.state(thread("10"))
    desk.invoke({"x": 1}, thread("11"))
    waiting = desk.state(thread("11")).tasks
    ids = [task.id for task in waiting]
    chosen = [update({"log": [n]}, "q", ids[n] if n else None) for n in range(3)]
    desk.bulk(thread("11"), [[*chosen, update({"log": ["q"]}, "q"), update({"x": 1}, "c")]])
    for name in ("2", "4", "10", "11"):
        desk.history(thread(name))
    return desk.facts


@probe("saved_updates.going_on", rows=("7.10:update_state", "7.9:input"))
def going_on(e, driver):
    graph = wire(e, Log, "START a q c END", "a d c", a=..., q=asker(e), d=..., c=...)
    desk = Desk(driver, graph.compile(checkpointer=Recorder()))
    for name, args in {
        "1": ({"x": 5},),
        "2": ({"log": ["Q"]}, "q"),
        "3": (None, END),
        "4": ({"x": 5}, "a"),
    }.items():
        desk.invoke({"x": 1}, thread(name))
        desk.update(thread(name), *args)
        desk.invoke(None, thread(name))
        desk.state(thread(name))
    return desk.facts


@probe("saved_updates.bulk", rows=("7.10:bulk_update",))
def bulk(e, driver):
    update = e.types.StateUpdate
    desk = Desk(driver, split(e))
    steps = (
        [[update({"log": ["1"]}, "a"), update({"log": ["2"]}, "b")], [update({"x": 3}, "c")]],
        [[update({"log": ["1"]}, "b"), update({"log": ["2"]}, "b")]],
        [[update({"log": ["1"]}, "b", "one"), update({"log": ["2"]}, "d", "two")]],
        [[update({"x": 1}, "__input__")], [update({"x": 2})]],
        [[update({"x": 1})], [update({"x": 2})]],
        [[update({"x": 1}, "a")], [update(None, "__copy__")], [update({"x": 2}, "b")]],
        [[update({"x": 1}, "a")], [update([({"log": ["B"]}, "b")], "__copy__")]],
        [[update({"x": 1}, "a")], [update(None, END)], [update({"x": 2}, "__input__")]],
        [[({"x": 1}, "a", None)]],
    )
    for index, supersteps in enumerate(steps):
        desk.bulk(thread(str(index)), supersteps)
        desk.state(thread(str(index)))
        desk.bulk(thread(str(index)), supersteps)
        desk.history(thread(str(index)))
    return desk.facts


@probe("saved_updates.refused", rows=("7.10:bulk_update", "9:InvalidUpdateError"))
def refused(e, driver):
    update = e.types.StateUpdate
    desk = Desk(driver, split(e))
    desk.invoke({"x": 1}, thread())
    for supersteps in (
        [],
        [[]],
        [[update({"x": 1}, "a")], []],
        [[update({"x": 1}), update({"x": 2})]],
        [[update({"x": 1}, "a"), update({"x": 2})]],
        [[update(None, END), update({"x": 1}, "a")]],
        [[update({"x": 1}, "a"), update(None, END)]],
        [[update({"x": 1}, END)]],
        [[update({"x": 1}, "__input__"), update({"x": 1}, "a")]],
        [[update(None, "__copy__"), update({"x": 1}, "a")]],
        [[update({"x": 1}, "a"), update({"x": 2}, "nope")]],
    ):
        desk.bulk(thread(), supersteps)
    desk.update(thread(), {"x": 1}, "nope")
    desk.update(thread(), {}, END)
    desk.update(thread(), None, "__input__")
    desk.history(thread(), limit=1)
    return desk.facts


@probe(
    "saved_updates.refused_early",
    rows=("7.10:bulk_update",),
    differs="bad-updates-are-refused-first",
)
def refused_early(e, driver):
    update = e.types.StateUpdate
    desk = Desk(driver, split(e))
    desk.invoke({"x": 1}, thread())
    desk.bulk(thread(), [[update({"x": 1}, "a"), update({"x": 2}, "b")]])
    desk.bulk(thread(), [[update({"x": 1}, "a")], [update({"x": 2}, "nope")]])
    desk.bulk(thread(), [[update({"x": 1}, "a")], [update({"x": 2}), update({"x": 3})]])
    for items in ([5], [None], [({"x": 1},)], [({"x": 1}, "nope")], [({"x": 1}, END)]):
        desk.update(thread(), items, "__copy__")
    return desk.facts


@probe("saved_updates.copies", rows=("7.10:special_nodes",))
def copies(e, driver):
    desk = Desk(driver, split(e, interrupt_before=["b"]))
    for index, value in enumerate(
        (
            None,
            [],
            {"x": 1},
            5,
            "text",
            [({"x": 1}, "b")],
            [({"x": 1}, "b", "ignored")],
            [[{"x": 1}, "d"], [{"log": ["c"]}, "c"]],
            [({"x": 1}, None)],
            [(None, "__copy__")],
            ({"x": 1}, "b"),
        )
    ):
        desk.invoke({"x": 1}, thread(str(index)))
        desk.update(thread(str(index)), value, "__copy__")
        desk.history(thread(str(index)), limit=3)
    return desk.facts


@probe("saved_updates.edges", rows=("7.10:update_state", "7.4:conditional"))
def edges(e, driver):
    seen = []
    send = e.types.Send

    def path(state, config: RunnableConfig):
        seen.append((state, config["configurable"]["thread_id"], config["metadata"].get("m")))
        return ["c", send("d", {"x": 9})]

    async def apath(state):
        return "c"

    def broken(state):
        raise ValueError("no way")

    facts = []
    for way in (path, apath, broken):
        graph = wire(e, Log, "START a b", "c END", "d END", a=..., b=..., c=..., d=...)
        graph.add_conditional_edges("b", way, ["c", "d"])
        graph.add_conditional_edges("a", lambda state: END)
        desk = Desk(driver, graph.compile(checkpointer=Recorder()))
        desk.update({**thread(), "metadata": {"m": 1}}, {"x": 1, "unknown": 2}, "b")
        desk.update(thread(), {"log": ["b"]}, "b")
        desk.update(thread(), None, "a")
        desk.state(thread())
        facts += desk.facts
    return [*facts, *seen]


@probe("saved_updates.lost_edge", rows=("7.10:update_state",), differs="wrong-route")
def lost_edge(e, driver):
    graph = wire(e, Log, "START a", "b END", a=..., b=...)
    graph.add_conditional_edges("a", lambda state: "nowhere")
    desk = Desk(driver, graph.compile(checkpointer=Recorder()))
    desk.update(thread(), {"x": 1}, "a")
    desk.state(thread())
    return desk.facts


@probe("saved_updates.edges_with_runtime", rows=("7.10:update_state",), differs="edges-in-updates")
def edges_with_runtime(e, driver):
    def path(state, runtime: e.runtime.Runtime):
        return "c" if runtime.store is not None else "b"

    graph = wire(e, Log, "START a b", "b END", "c END", a=..., b=..., c=...)
    graph.add_conditional_edges("a", path, ["b", "c"])
    desk = Desk(driver, graph.compile(checkpointer=Recorder(), store=e.store()))
    desk.update(thread(), {"x": 1}, "a")
    desk.state(thread())
    return desk.facts


@probe("saved_updates.bound_config", rows=("1.6:with_config",), differs="bound-config-in-updates")
def bound_config(e, driver):
    graph = three(e)
    bound = graph.with_config(configurable={"thread_id": "7", "user": "u"}, metadata={"m": 1})
    desk = Desk(driver, bound)
    empty = {"configurable": {}}
    desk.update(empty, {"x": 1})
    desk.update({"metadata": {"k": 2}, "configurable": {"more": 1}}, {"x": 2})
    desk.state(empty)
    desk.history(empty)
    return desk.facts
