"""Handlers that are told when a graph stops for a person and when it goes on.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio
import operator
import uuid
from functools import partial
from typing import Annotated

from langchain_core.callbacks import CallbackManager
from typing_extensions import TypedDict

from differential.kit import Log, fail, thread, wire
from differential.registry import attempt, invoke, probe
from differential.threads import asking, checkpoints

ROWS = ("7.12:lifecycle_callbacks",)


def listening(e, *, told, raises=None, is_async=False, **attributes):
    """Return a handler that notes in `told` what it hears."""

    class Handler(e.callbacks.GraphCallbackHandler):
        def on_chain_start(self, serialized, inputs, *, run_id, **kwargs):
            told.append(("start", kwargs.get("name")))

        def on_chain_end(self, outputs, *, run_id, **kwargs):
            told.append("end")

        def on_chain_error(self, error, *, run_id, **kwargs):
            told.append(("error", type(error).__name__))

        def on_interrupt(self, event):
            note("interrupt", event, *event.interrupts)

        def on_resume(self, event):
            note("resume", event)

    class AsyncHandler(Handler):
        async def on_interrupt(self, event):
            note("interrupt", event, *event.interrupts)

        async def on_resume(self, event):
            note("resume", event)

    def note(kind, event, *questions):
        # Which checkpoint it is shows when it is looked up.
        ns = tuple(segment.partition(":")[0] for segment in event.checkpoint_ns)
        asked = sorted(question.value for question in questions)
        told.append((kind, event.status, ns, asked, event.checkpoint_id))
        if raises is not None:
            raise raises

    handler = AsyncHandler() if is_async else Handler()
    for name, value in attributes.items():
        setattr(handler, name, value)
    return handler


def numbered(graph, told):
    """Return what was told, with the places of root checkpoints for their ids."""
    known = [saved.checkpoint["id"] for saved in checkpoints(graph)] if graph.checkpointer else []
    places = {id: f"checkpoint {place}" for place, id in enumerate(known)}
    return [
        (*fact[:-1], places.get(fact[-1], "not saved")) if len(fact) == 5 else fact
        for fact in told
        if not isinstance(fact, str) or fact == "end"
    ]


def runs(e, driver, graph, *inputs, **options):
    """Run the graph once for each input and return what handlers were told of it."""
    told = []
    handler = listening(e, told=told, **options)
    for given in inputs:
        made = given if isinstance(given, tuple) else (given, {})
        config = {**thread(), "callbacks": [handler]}
        call = partial(invoke, driver, graph, made[0], config, **made[1])
        told.append(("run", attempt(call)))
    return numbered(graph, told)


@probe("lifecycle.question", rows=ROWS)
def question(e, driver):
    graph = wire(e, Log, "START a ask b END", a=..., b=..., ask=asking(e, "q"))
    compiled = graph.compile(checkpointer=e.saver())
    command = e.types.Command
    return runs(
        e, driver, compiled, {"x": 1}, None, command(resume="A"), None, {"x": 2}, command(goto="b")
    )


@probe("lifecycle.parallel_questions", rows=ROWS)
def parallel_questions(e, driver):
    ask = {name: asking(e, name, f"{name}2") for name in "pq"}
    graph = wire(e, Log, "START p END", "START q END", **ask).compile(checkpointer=e.saver())
    told = runs(e, driver, graph, {"x": 1}, None)
    # The two tasks of a superstep start, and ask, in any order.
    return sorted((fact for fact in told if fact[0] != "run"), key=repr)


@probe("lifecycle.nested", rows=ROWS)
def nested(e, driver):
    inner = wire(e, Log, "START i ask END", i=..., ask=asking(e, "q")).compile()
    middle = wire(e, Log, "START inner END", inner=inner).compile()
    kept = wire(e, Log, "START k END", k=...).compile(checkpointer=True)
    graph = wire(e, Log, "START middle kept END", middle=middle, kept=kept)
    command = e.types.Command
    compiled = graph.compile(checkpointer=e.saver())
    return runs(e, driver, compiled, {"x": 1}, None, command(resume="A"), {"x": 1})


@probe("lifecycle.breakpoints", rows=ROWS)
def breakpoints(e, driver):
    inner = wire(e, Log, "START i j END", i=..., j=...).compile(interrupt_before=["j"])
    graph = wire(e, Log, "START a inner b END", a=..., b=..., inner=inner)
    compiled = graph.compile(checkpointer=e.saver(), interrupt_before=["a"])
    after = {"interrupt_after": ["inner"]}
    return runs(e, driver, compiled, {"x": 1}, None, (None, after), None)


@probe("lifecycle.time_travel", rows=ROWS)
def time_travel(e, driver):
    graph = wire(e, Log, "START a ask END", a=..., ask=asking(e, "q"))
    compiled = graph.compile(checkpointer=e.saver())
    told = []
    handler = listening(e, told=told)
    invoke(driver, compiled, {"x": 1}, thread())
    for saved in checkpoints(compiled):
        config = {**thread(checkpoint_id=saved.checkpoint["id"]), "callbacks": [handler]}
        told.append(("run", attempt(partial(invoke, driver, compiled, None, config))))
    return numbered(compiled, told)


@probe("lifecycle.failure", rows=ROWS)
def failure(e, driver):
    graph = wire(e, Log, "START a bad END", a=..., bad=fail(ValueError("no")))
    return runs(e, driver, graph.compile(checkpointer=e.saver()), {"x": 1}, None)


@probe("lifecycle.without_saver", rows=ROWS)
def without_saver(e, driver):
    inner = wire(e, Log, "START ask END", ask=asking(e, "q")).compile()
    graph = wire(e, Log, "START a inner END", a=..., inner=inner)
    return [
        runs(e, driver, graph.compile(), {"x": 1}),
        runs(e, driver, graph.compile(interrupt_before=["a"]), {"x": 1}),
    ]


@probe("lifecycle.durability", rows=ROWS)
def durability(e, driver):
    told = []
    for kind in ("sync", "async", "exit"):
        graph = wire(e, Log, "START a ask END", a=..., ask=asking(e, "q"))
        compiled = graph.compile(checkpointer=e.saver())
        options = {"durability": kind}
        inputs = [({"x": 1}, options), (e.types.Command(resume="A"), options)]
        told += runs(e, driver, compiled, *inputs)
    return told


@probe("lifecycle.async_handler", rows=ROWS)
def async_handler(e, driver):
    graph = wire(e, Log, "START ask END", ask=asking(e, "q")).compile(checkpointer=e.saver())
    return runs(e, driver, graph, {"x": 1}, e.types.Command(resume="A"), is_async=True)


@probe("lifecycle.raising_handler", rows=ROWS, logs=True)
def raising_handler(e, driver):
    told = []
    for raise_error in (False, True):
        graph = wire(e, Log, "START ask END", ask=asking(e, "q")).compile(checkpointer=e.saver())
        options = {"raises": ValueError("handler"), "raise_error": raise_error}
        told += runs(e, driver, graph, {"x": 1}, e.types.Command(resume="A"), **options)
    return told


@probe("lifecycle.ignoring_chains", rows=ROWS)
def ignoring_chains(e, driver):
    graph = wire(e, Log, "START ask END", ask=asking(e, "q")).compile()
    told = []
    quiet = type("Quiet", (type(listening(e, told=told)),), {"ignore_chain": True})
    invoke(driver, graph, {"x": 1}, {"callbacks": [quiet()]})
    return [fact[:4] for fact in told]


@probe("lifecycle.run_id", rows=ROWS)
def run_id(e, driver):
    ids = []

    class Handler(e.callbacks.GraphCallbackHandler):
        def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id=None, **kwargs):
            if parent_run_id is None:
                ids.append(run_id)

        def on_interrupt(self, event):
            ids.append(event.run_id)

        def on_resume(self, event):
            ids.append(event.run_id)

    graph = wire(e, Log, "START ask END", ask=asking(e, "q")).compile(checkpointer=e.saver())
    given = uuid.UUID(int=7)
    config = {**thread(), "callbacks": [Handler()], "run_id": given}
    invoke(driver, graph, {"x": 1}, config)
    del config["run_id"]
    invoke(driver, graph, e.types.Command(resume="A"), config)
    return [ids[0] == ids[1] == given, ids[2] == ids[3] != given, len(ids)]


@probe("lifecycle.places", rows=ROWS)
def places(e, driver):
    """Handlers of the graph, of the call, of one run only, and of a call inside a node."""
    told = []
    inner = wire(e, Log, "START ask END", ask=asking(e, "q")).compile()

    class Named(e.callbacks.GraphCallbackHandler):
        def __init__(self, name):
            self.name = name

        def on_interrupt(self, event):
            told.append((self.name, "interrupt", len(event.checkpoint_ns)))

        def on_resume(self, event):
            told.append((self.name, "resume", len(event.checkpoint_ns)))

    def node(state):
        return inner.invoke(state, {"callbacks": [Named("inside")]})

    graph = wire(e, Log, "START node END", node=node).compile(checkpointer=e.saver())
    manager = CallbackManager([Named("once")])
    manager.add_handler(Named("inherited"), inherit=True)
    bound = graph.with_config({"callbacks": [Named("bound")]})
    config = {**thread(), "callbacks": manager}
    invoke(driver, bound, {"x": 1}, config)
    invoke(driver, bound, e.types.Command(resume="A"), config)
    return sorted(told)


@probe("lifecycle.own_thread", rows=ROWS)
def own_thread(e, driver):
    told = []
    inner = wire(e, Log, "START ask END", ask=asking(e, "q")).compile(checkpointer=e.saver())

    def node(state):
        return {"log": [len(inner.invoke({"x": 2}, thread("own"))["log"])]}

    graph = wire(e, Log, "START node END", node=node).compile()
    invoke(driver, graph, {"x": 1}, {"callbacks": [listening(e, told=told)]})
    return [fact[:3] for fact in told if isinstance(fact, tuple)]


@probe("lifecycle.streams", rows=ROWS, drivers=("sync",))
def streams(e, driver):
    """The event comes after the last item, and not at all when the reader leaves before."""
    told = []
    graph = wire(e, Log, "START ask END", ask=asking(e, "q")).compile(checkpointer=e.saver())
    reader = graph.stream({"x": 1}, {**thread(), "callbacks": [listening(e, told=told)]})
    for item in reader:
        told.append(("item", sorted(item)))
        if "__interrupt__" in item:
            break
    reader.close()
    for item in graph.stream(None, {**thread(), "callbacks": [listening(e, told=told)]}):
        told.append(("item", sorted(item)))
    return [fact[:2] for fact in told if isinstance(fact, tuple)]


@probe("lifecycle.managers", rows=ROWS)
def managers(e, driver):
    """What the functions for packages return that tell handlers themselves."""
    told = []
    handler = listening(e, told=told)
    events = e.callbacks
    make = getattr(events, f"get_{driver}_graph_callback_manager_for_config")
    id = uuid.UUID(int=4)
    source = CallbackManager(
        [handler, CallbackManager],
        [handler],
        parent_run_id=uuid.UUID(int=9),
        tags=["a"],
        inheritable_tags=["b"],
        metadata={"x": 1},
        inheritable_metadata={"y": 1},
    )

    def facts(manager):
        return {
            **{name: value for name, value in vars(manager).items() if "handlers" not in name},
            "handlers": [h is handler for h in manager.handlers],
            "inheritable": [h is handler for h in manager.inheritable_handlers],
            "async": manager.is_async,
        }

    def made_from(callbacks):
        return facts(make({"callbacks": callbacks} if callbacks else {}, run_id=id))

    given = (None, [], [handler, 3], (handler,), handler, source, 3, "text")
    found = [attempt(partial(made_from, callbacks)) for callbacks in given]
    again = make({"callbacks": make({"callbacks": source}, run_id=id)})
    copied = make({"callbacks": [handler]}, run_id=id)
    found += [facts(again), facts(copied.copy()), facts(copied.copy(run_id=None))]
    event = events.GraphResumeEvent(None, "pending", "id", ("a",))
    stop = events.GraphInterruptEvent(id, "interrupt_before", "id", (), ())
    if driver == "sync":
        copied.on_resume(event)
        copied.on_interrupt(stop)
    else:
        asyncio.run(copied.on_resume(event))
        asyncio.run(copied.on_interrupt(stop))
    return [*found, told, attempt(lambda: setattr(event, "status", "done")), repr(event)]


class Numbers(TypedDict, total=False):
    """State for a graph that runs without any question."""

    log: Annotated[list[str], operator.add]


@probe("lifecycle.nothing_to_tell", rows=ROWS)
def nothing_to_tell(e, driver):
    graph = wire(e, Numbers, "START a b a", a=..., b=...).compile(checkpointer=e.saver())
    told = []
    config = {**thread(), "callbacks": [listening(e, told=told)], "recursion_limit": 3}
    told.append(attempt(lambda: invoke(driver, graph, {"log": []}, config)))
    return told
