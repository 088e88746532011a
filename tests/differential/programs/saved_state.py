"""Reading what is saved of a thread.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import operator
from typing import Annotated

from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from differential.desk import Desk, Recorder, asker, three, troubled
from differential.kit import Log, say, thread, wire
from differential.registry import invoke, probe


@probe("saved_state.snapshots", rows=("7.10:get_state", "7.10:unknown_thread", "7.10:history"))
def snapshots(e, driver):
    desk = Desk(driver, three(e, interrupt_before=["c"]))
    desk.state(thread())
    desk.history(thread())
    desk.invoke({"x": 1}, {**thread(user="u", n=3), "metadata": {"foo": "bar", "deep": {"a": 1}}})
    desk.state(thread())
    desk.state(thread(user="other"))
    desk.state({**thread(), "tags": ["t"], "metadata": {"m": 1}})
    for snapshot in desk.history(thread()):
        desk.state(snapshot.config)
    desk.invoke(None, thread())
    desk.state(thread())
    desk.state(thread(checkpoint_id="1f1e55ce-6e79-6054-8001-50b689690099"))
    desk.state({"configurable": {"thread_id": "9", "x": 1}, "tags": ["t"], "metadata": {"m": 1}})
    return desk.facts


@probe("saved_state.history_filters", rows=("7.10:history",))
def history_filters(e, driver):
    desk = Desk(driver, three(e))
    for x in (1, 2):
        desk.invoke({"x": x}, thread())
    every = desk.history(thread())
    desk.history(thread(), limit=2)
    desk.history(thread(), filter={"source": "input"})
    desk.history(thread(), before=every[3].config)
    desk.history(thread(), before=every[3].config, filter={"source": "loop"}, limit=1)
    desk.history(every[3].config)
    desk.history(thread("2"))
    return desk.facts


@probe("saved_state.live", rows=("7.10:get_state", "2.9:state_after"))
def live(e, driver):
    desk = Desk(driver, troubled(e))
    desk.invoke({"x": 1}, thread())
    now = desk.state(thread())
    desk.state(now.config)
    desk.history(thread(), limit=1)
    return desk.facts


@probe("saved_state.fading_values", rows=("7.10:get_state", "7.3:ephemeral"))
def fading_values(e, driver):
    channels = e.channels

    class State(TypedDict, total=False):
        x: int
        log: Annotated[list, operator.add]
        topic: Annotated[list, channels.Topic(str)]
        brief: Annotated[int, channels.EphemeralValue(int)]
        unsaved: Annotated[int, channels.UntrackedValue(int)]

    first = say("a", topic="t", brief=1, unsaved=2)
    graph = wire(e, State, "START a q END", "a d END", a=first, q=asker(e), d=say("d", x=4))
    desk = Desk(driver, graph.compile(checkpointer=Recorder()))
    desk.invoke({"x": 1}, thread())
    desk.state(desk.state(thread()).config)
    graph = wire(e, State, "START a q END", a=first, q=asker(e))
    alone = Desk(driver, graph.compile(checkpointer=Recorder()))
    alone.invoke({"x": 1}, thread())
    alone.state(alone.state(thread()).config)
    return desk.facts + alone.facts


@probe("saved_state.answers", rows=("7.10:get_state", "7.9:ids"), unordered=True)
def answers(e, driver):
    graph = wire(e, Log, "START p z END", "START q z", p=asker(e, "p?"), q=asker(e), z=...)
    desk = Desk(driver, graph.compile(checkpointer=Recorder()))
    asked = desk.invoke({"x": 1}, thread())["__interrupt__"]
    desk.state(thread())
    ids = {question.value: question.id for question in asked}
    desk.invoke(e.types.Command(resume={ids["p?"]: "P"}), thread())
    now = desk.state(thread())
    desk.state(now.config)
    desk.invoke(e.types.Command(resume="Q"), thread())
    desk.history(thread())
    return desk.facts


@probe("saved_state.two_questions", rows=("7.10:get_state", "7.9:ids"))
def two_questions(e, driver):
    def ask(state):
        return {"log": [e.types.interrupt("one?"), e.types.interrupt("two?")]}

    graph = wire(e, Log, "START ask END", ask=ask).compile(checkpointer=Recorder())
    desk = Desk(driver, graph)
    desk.invoke({"x": 1}, thread())
    desk.invoke(e.types.Command(resume="1"), thread())
    desk.state(desk.state(thread()).config)
    return desk.facts


@probe("saved_state.results", rows=("7.10:get_state", "2.7:result"))
def results(e, driver):
    command = e.types.Command

    def twice(state):
        return [command(update={"log": ["1"]}), {"log": ["2"], "x": 2}]

    def unknown(state):
        return {"unknown": 1}

    graph = wire(e, Log, "START a b END", a=twice, b=unknown)
    desk = Desk(driver, graph.compile(checkpointer=Recorder()))
    desk.invoke({"x": 1}, thread())
    desk.history(thread())
    return desk.facts


@probe("saved_state.without_saver", rows=("9:ValueError", "7.10:no_saver"))
def without_saver(e, driver):
    builder = wire(e, Log, "START a END", a=...)
    facts = []
    for saver in (None, False, True):
        desk = Desk(driver, builder.compile())
        desk.graph.checkpointer = saver
        desk.saver = Recorder()
        desk.state(thread())
        desk.history(thread())
        desk.update(thread(), {"x": 1})
        desk.bulk(thread(), [[e.types.StateUpdate({"x": 1}, "a")]])
        facts += desk.facts
    return facts


@probe("saved_state.without_thread", rows=("9:KeyError",), differs="missing-thread-id")
def without_thread(e, driver):
    desk = Desk(driver, three(e))
    for config in ({}, {"configurable": {}}, {"configurable": {"user": "u"}}):
        desk.state(config)
        desk.history(config)
        desk.update(config, {"x": 1})
    desk.history(thread())
    assert all(isinstance(fact, KeyError) for fact in desk.facts[:-1])
    return desk.facts


@probe("saved_state.inside_a_node", rows=("7.10:get_state", "7.10:update_state"))
def inside_a_node(e, driver):
    other = three(e)
    found = []

    def look(state, config: RunnableConfig):
        found.append(other.get_state(thread("other")))
        other.saved = other.checkpointer
        found.append(other.update_state({**thread("other"), "metadata": {"k": 1}}, {"x": 2}))
        found.append([item.metadata for item in other.get_state_history(thread("other"))])
        mine = graph.get_state(config)
        found.append((mine.values, mine.next, mine.tasks))
        return {"log": ["n"]}

    graph = wire(e, Log, "START look END", look=look).compile(checkpointer=Recorder())
    invoke(driver, graph, {"x": 1}, {**thread("main", user="U"), "metadata": {"outer": 1}})
    return found
