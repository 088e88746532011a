"""Reading and changing what is saved of graphs nested in others."""

import asyncio

from differential.desk import Desk, Recorder, asker
from differential.kit import END, Log, thread, wire
from differential.registry import probe


def nested(e, **inner):
    """Return a graph with a graph in it that asks."""
    sub = wire(e, Log, "START i q END", "START s END", i=..., q=asker(e), s=...).compile(**inner)
    graph = wire(e, Log, "START a sub z END", "a side z", a=..., sub=sub, z=..., side=...)
    return graph.compile(checkpointer=Recorder())


@probe("saved_nested.nested", rows=("7.10:subgraphs", "7.10:checkpoint_map", "7.10:checkpoint_ns"))
def nested_state(e, driver):
    desk = Desk(driver, nested(e))
    desk.invoke({"x": 1}, {**thread(user="u"), "metadata": {"foo": "bar"}})
    desk.state(thread())
    now = desk.state(thread(), subgraphs=True)
    desk.state(now.config, subgraphs=True)
    inner = next(task.state for task in now.tasks if task.state)
    ns = thread(checkpoint_ns=inner.config["configurable"]["checkpoint_ns"])
    desk.state(inner.config)
    desk.state(inner.parent_config)
    desk.state(ns)
    desk.history(ns)
    desk.history(thread())
    desk.update(ns, {"log": ["one"]}, "i")
    desk.update(inner.config, {"log": ["two"]}, "q")
    desk.update(ns, None, END)
    desk.update(ns, {"log": ["three"]}, "__copy__")
    desk.state(thread(), subgraphs=True)
    desk.history(ns)
    desk.invoke(None, thread())
    desk.state(thread(), subgraphs=True)
    return desk.facts


@probe("saved_nested.nested_deeply", rows=("7.10:subgraphs", "7.10:checkpoint_map"))
def nested_deeply(e, driver):
    inner = wire(e, Log, "START i q END", i=..., q=asker(e)).compile()
    middle = wire(e, Log, "START m inner END", m=..., inner=inner).compile()
    graph = wire(e, Log, "START a mid END", a=..., mid=middle).compile(checkpointer=Recorder())
    desk = Desk(driver, graph)
    for name in ("1", "2"):
        desk.invoke({"x": 1}, thread(name))
    desk.state(thread())
    now = desk.state(thread(), subgraphs=True)
    half = now.tasks[0].state
    deep = half.tasks[0].state
    for config in (half.config, deep.config):
        desk.state(config)
        desk.state(config, subgraphs=True)
        desk.history(config)
    desk.update(deep.config, {"log": ["deep"]}, "q")
    desk.state(thread(), subgraphs=True)
    desk.invoke(None, thread())
    desk.state(thread(), subgraphs=True)
    desk.update(thread("2"), {"log": ["M"]}, "mid")
    desk.state(thread("2"), subgraphs=True)
    desk.invoke(None, thread("2"))
    for ns in (
        "mid", "mid:1", "mid:1|inner:2", "mid|inner", "mid:1|nope:1", "nope", "nope:1", "a:1",
        "mid:1|1", "mid:1|inner:2|1", "mid|1|inner", "inner", "mid:1|inner|x:2",
    ):  # fmt: skip
        where = thread("9", checkpoint_ns=ns)
        desk.state(where)
        desk.history(where)
        desk.update(where, {"log": ["?"]}, "i")
    return desk.facts


@probe("saved_nested.nested_savers", rows=("7.10:subgraphs", "7.10:saver_modes"))
def nested_savers(e, driver):
    facts = []
    for saver in (None, True, False, Recorder()):
        inner = wire(e, Log, "START i END", i=...).compile(checkpointer=saver)
        graph = wire(e, Log, "START a sub END", a=..., sub=inner)
        before = graph.compile(checkpointer=Recorder(), interrupt_before=["sub"])
        desk = Desk(driver, before)
        desk.invoke({"x": 1}, thread())
        desk.state(thread())
        desk.state(thread(), subgraphs=True)
        desk.invoke(None, thread())
        desk.history(thread(), limit=2)
        desk.state(thread(checkpoint_ns="sub"))
        facts += desk.facts
    return facts


@probe("saved_nested.stateful", rows=("7.10:subgraphs", "7.10:saver_modes"))
def stateful(e, driver):
    desk = Desk(driver, nested(e, checkpointer=True))
    desk.invoke({"x": 1}, thread())
    desk.state(thread())
    now = desk.state(thread(), subgraphs=True)
    inner = next(task.state for task in now.tasks if task.state)
    desk.state(thread(checkpoint_ns="sub"))
    desk.state(thread(checkpoint_ns="sub:with-an-id"))
    desk.history(thread(checkpoint_ns="sub"))
    desk.update(thread(checkpoint_ns="sub"), {"log": ["U"]}, "q")
    desk.update(inner.config, {"log": ["V"]}, "q")
    desk.state(thread(), subgraphs=True)
    desk.invoke(None, thread())
    desk.state(thread(checkpoint_ns="sub"))
    return desk.facts


@probe("saved_nested.called", rows=("7.10:subgraphs",))
def called(e, driver):
    inner = wire(e, Log, "START i q END", i=..., q=asker(e)).compile()

    def call(state):
        return inner.invoke({"x": 1, "log": []})

    async def acall(state):
        return await inner.ainvoke({"x": 1, "log": []})

    node = call if driver == "sync" else acall
    graph = wire(e, Log, "START a call END", a=..., call=node).compile(checkpointer=Recorder())
    desk = Desk(driver, graph)
    desk.invoke({"x": 1}, thread())
    desk.state(thread())
    desk.state(thread(), subgraphs=True)
    desk.history(thread())
    return desk.facts


@probe("saved_nested.nested_config", rows=("7.10:checkpoint_ns",), differs="saver-in-config")
def nested_config(e, driver):
    desk = Desk(driver, nested(e))
    desk.invoke({"x": 1}, thread())
    now = desk.state(thread(), subgraphs=True)
    inner = next(task.state for task in now.tasks if task.state)
    if driver == "sync":
        return sorted(desk.graph.get_state(inner.config).config["configurable"])
    return sorted(asyncio.run(desk.graph.aget_state(inner.config)).config["configurable"])
