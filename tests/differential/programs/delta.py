"""Delta channels: what is stored of them, and what is rebuilt from it.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import threading
from typing import Annotated, Any

from typing_extensions import TypedDict

from differential.kit import START, fail, thread, wire
from differential.registry import SAVED_MODES, Matrix, attempt, call, invoke, look, probe, program
from differential.threads import asking, at, history, state, stored, update


def extend(value, writes):
    """Return the list with all that was written, in order."""
    return [*value, *(item for write in writes for item in write)]


def merge(value, writes):
    """Return the dict with all that was written."""
    merged = dict(value)
    for write in writes:
        merged.update(write)
    return merged


def schema(e, *, every=100, typ=list, reducer=extend):
    """Return a state with a delta channel `log`, stored as a whole after `every` updates."""
    delta = e.channels.DeltaChannel(reducer, snapshot_frequency=every)

    class Deltas(TypedDict, total=False):
        x: int
        log: Annotated[typ, delta]

    return Deltas


def saved(e, every, *paths, compiling=None, **nodes):
    builder = wire(e, schema(e, every=every), *paths, **nodes)
    return builder.compile(checkpointer=e.saver(), **(compiling or {}))


DURABILITIES = ("sync", "async", "exit")
# The others show the parents of checkpoints that are not stored, which differ on purpose.
EXIT_MODES = ("values", "updates", "tasks")


def modes_of(durability):
    return EXIT_MODES if durability == "exit" else SAVED_MODES


@program("delta.streams", rows=("7.3:delta",))
def streams(e):
    graph = wire(e, schema(e), "START a b END", "START c", a=..., b=..., c=lambda s: {"x": 2})
    return graph.compile(), [call({"x": 1}), call({"log": ["in"]}), call({"log": []})]


@program("delta.stored", rows=("7.3:delta",), modes=SAVED_MODES)
def stored_deltas(e):
    graph = saved(e, 100, "START a b c END", a=..., b=lambda s: {"x": 5}, c=...)
    return graph, [
        call({"log": ["in"], "x": 1}, thread()),
        call({"log": ["more"]}, thread()),
        call({"x": 2}, thread()),
        stored(),
        history(),
        state(),
    ]


def _register_durabilities():
    for durability in DURABILITIES:
        for every in (1, 2, 3, 100):

            @program(
                f"delta.every_{every}_{durability}",
                rows=("7.3:delta",),
                modes=modes_of(durability),
                matrix=Matrix.AS_WRITTEN,
            )
            def frequency(e, every=every, durability=durability):
                graph = saved(e, every, "START a b c d END", a=..., b=..., d=..., c=lambda s: {})
                runs = [{"log": ["in"]}, {"x": 2}, {"log": ["more"]}]
                return graph, [
                    *(call(input, thread(), durability=durability) for input in runs),
                    stored(),
                    history(),
                    state(),
                ]


_register_durabilities()


@program("delta.dict", rows=("7.3:delta",), modes=SAVED_MODES)
def dictionary(e):
    graph = wire(
        e,
        schema(e, typ=dict, reducer=merge, every=3),
        "START a b END",
        a=lambda s: {"log": {"a": s["x"], "same": 1}},
        b=lambda s: {"log": {"b": len(s["log"]), "same": 2}},
    ).compile(checkpointer=e.saver())
    return graph, [call({"x": 1}, thread()), call({"x": 2, "log": {"x": 0}}, thread()), stored()]


@program("delta.parallel", rows=("7.3:delta",), modes=EXIT_MODES, unordered=True)
def parallel(e):
    send = e.types.Send
    builder = wire(e, schema(e), "START z", "START b", "w y END", z=..., b=..., w=_told, y=...)
    builder.add_conditional_edges("z", lambda s: [send("w", n) for n in (3, 1, 2)])
    return builder.compile(checkpointer=e.saver()), [
        call({"log": ["in"]}, thread()),
        call({"log": ["again"]}, thread()),
        call({"log": ["exit"]}, thread(), durability="exit"),
        history(),
    ]


def _told(told):
    return {"log": [f"w{told}"]}


@program("delta.overwrite", rows=("7.3:delta", "7.3:overwrite"), modes=EXIT_MODES, unordered=True)
def overwrite(e):
    over = e.types.Overwrite
    graph = saved(
        e,
        100,
        "START a c d END",
        "START b c",
        a=lambda s: {"log": over(["A"])},
        b=...,
        c=...,
        d=lambda s: {"log": {"__overwrite__": ["D"]}} if s.get("x") == 2 else {"log": ["d"]},
    )
    return graph, [
        call({"log": ["in"]}, thread()),
        stored(),
        call({"log": over(["in"]), "x": 2}, thread()),
        call({"log": ["exit"], "x": 1}, thread(), durability="exit"),
        stored(),
        history(),
    ]


@program("delta.two_overwrites", rows=("7.3:two_overwrites",))
def two_overwrites(e):
    over = e.types.Overwrite
    graph = wire(
        e,
        schema(e),
        "START a END",
        "START b END",
        a=lambda s: {"log": over(["A"])},
        b=lambda s: {"log": over(["B"])},
    ).compile()
    return graph, [call({"log": ["in"]})]


@program("delta.refused", rows=("7.3:delta",))
def refused(e):
    def picky(value, writes):
        raise ValueError("no")

    graph = wire(e, schema(e, reducer=picky), "START a END", a=...).compile()
    return graph, [call({"x": 1}, differs="refused-writes"), call({"log": ["in"]})]


def _register_questions():
    for durability in DURABILITIES:

        @program(
            f"delta.questions_{durability}",
            rows=("7.3:delta", "2.9:resume"),
            modes=modes_of(durability),
            matrix=Matrix.AS_WRITTEN,
            unordered=True,
        )
        def questions(e, durability=durability):
            graph = saved(
                e, 100, "START a ask z END", "a side", a=..., ask=asking(e, "q"), side=..., z=...
            )
            command = e.types.Command
            return graph, [
                call({"log": ["in"]}, thread(), durability=durability),
                state(),
                call(command(resume="yes"), thread(), durability=durability),
                call({"log": ["dropped"]}, thread(), durability=durability),
                # The sibling had finished: its write must not be counted.
                call({"log": ["new"]}, thread(), durability=durability),
                state(),
                call(
                    command(resume="no", update={"log": ["update"]}),
                    thread(),
                    durability=durability,
                ),
                history(),
                state(),
            ]


_register_questions()


@program(
    "delta.failure",
    rows=("7.3:delta", "2.11:continue_after_failure"),
    modes=SAVED_MODES,
    matrix=Matrix.AS_WRITTEN,
    unordered=True,
)
def failure(e):
    is_stored = threading.Event()
    saver = e.saver()
    put_writes = saver.put_writes

    def noting(config, writes, task_id, task_path=""):
        put_writes(config, writes, task_id, task_path)
        if ("log", ["s"]) in writes:
            is_stored.set()

    saver.put_writes = noting

    def flaky(state):
        if not is_stored.is_set():
            assert is_stored.wait(20)
            raise ValueError("once")
        return {"log": ["flaky"]}

    # Named so that the sibling that had finished comes behind the one that runs again.
    builder = wire(e, schema(e), "START a b z y END", "a s z", a=..., b=flaky, s=..., z=..., y=...)
    return builder.compile(checkpointer=saver), [
        call({"log": ["in"]}, thread(), durability="sync"),
        state(),
        call(None, thread(), durability="exit"),
        call({"log": ["more"]}, thread(), durability="sync"),
        history(),
    ]


@program("delta.commands", rows=("7.3:delta", "7.6:command_input"), modes=EXIT_MODES)
def commands(e):
    graph = saved(e, 100, "START a b END", a=..., b=...)
    command = e.types.Command
    return graph, [
        call({"log": ["in"]}, thread()),
        call(command(update={"log": ["one"]}, goto="b"), thread()),
        call(command(update={"log": ["two"]}, goto="b"), thread(), durability="exit"),
        call({"log": ["more"]}, thread()),
        look(history().observe, differs="commanded"),
    ]


@program(
    "delta.time_travel", rows=("7.3:delta", "7.10:time_travel"), modes=EXIT_MODES, unordered=True
)
def time_travel(e):
    graph = saved(e, 100, "START a b c END", a=..., b=lambda s: {"x": 1}, c=...)
    return graph, [
        call({"log": ["in"]}, thread()),
        call(None, at(1)),
        call({"log": ["new"]}, at(2)),
        call(None, at(3), durability="exit"),
        call({"log": ["exit"]}, at(1), durability="exit"),
        call(e.types.Command(update={"log": ["up"]}, goto="c"), at(2)),
        history(),
        stored(),
    ]


@program("delta.answer_in_the_past", rows=("7.3:delta", "2.9:resume"), modes=SAVED_MODES)
def answer_in_the_past(e):
    graph = saved(e, 100, "START a ask z END", a=..., ask=asking(e, "q"), z=...)
    command = e.types.Command
    return graph, [
        call({"log": ["in"]}, thread()),
        call(command(resume="one", update={"log": ["update"]}), thread()),
        history(),
        call(command(resume="two"), at(2)),
        history(),
        # Not with an update: the reference lets it show up on the other branch as well.
    ]


@program("delta.updates", rows=("7.3:delta", "7.10:update_then_continue"), modes=SAVED_MODES)
def updates(e):
    graph = saved(e, 100, "START a b END", a=..., b=...)
    over = e.types.Overwrite
    return graph, [
        update(thread(), {"log": ["fresh"]}, "a"),
        call(None, thread()),
        update(thread(), {"log": ["late"]}, "b"),
        update(thread(), {"log": over(["over"])}, "a"),
        call(None, thread()),
        update(at(1), {"log": ["branch"]}, "a"),
        call(None, thread()),
        update(thread(), None, "__copy__"),
        call({"log": ["in"]}, thread()),
        history(),
    ]


@program("delta.update_beside_question", rows=("7.3:delta",), modes=SAVED_MODES, unordered=True)
def update_beside_question(e):
    graph = saved(e, 100, "START ask z END", "START side z", ask=asking(e, "q"), side=..., z=...)
    return graph, [
        call({"log": ["in"]}, thread()),
        update(thread(), {"log": ["given"]}, "ask"),
        state(),
        call(None, thread()),
        history(),
    ]


@program("delta.nested", rows=("7.3:delta",), modes=EXIT_MODES)
def nested(e):
    inner = wire(e, schema(e), "START i ask END", i=..., ask=asking(e, "q")).compile()
    kept = wire(e, schema(e), "START k END", k=...).compile(checkpointer=True)
    graph = saved(e, 2, "START inner kept z END", inner=inner, kept=kept, z=...)
    return graph, [
        call({"log": ["in"]}, thread()),
        call(e.types.Command(resume="yes"), thread()),
        call({"log": ["more"]}, thread(), durability="exit"),
        call(e.types.Command(resume="no"), thread(), durability="exit"),
        state(subgraphs=True),
        history(),
    ]


@program("delta.from_reducer", rows=("7.3:delta",), modes=SAVED_MODES)
def from_reducer(e):
    """A thread of a plain reducer goes on with a delta channel, and the other way round."""
    saver = e.saver()

    class Plain(TypedDict, total=False):
        x: int
        log: Annotated[list[Any], lambda value, write: [*value, *write]]

    def build(state):
        return wire(e, state, "START a END", a=...).compile(checkpointer=saver)

    plain, delta = build(Plain), build(schema(e, every=2))
    plain.invoke({"log": ["plain"]}, thread())
    plain.invoke({"log": ["whole"]}, thread("2"))
    build(schema(e, every=1)).invoke({"log": ["delta"]}, thread("3"))
    plain.invoke({"log": ["plain"]}, thread("3"))
    return delta, [
        call({"log": ["in"]}, thread()),
        call({"x": 1}, thread("2")),
        call({"log": ["more"]}, thread("3")),
        stored(),
    ]


@program("delta.never_written", rows=("7.3:delta",), modes=EXIT_MODES)
def never_written(e):
    graph = saved(e, 1, "START a b END", a=lambda s: {"x": 1}, b=lambda s: {"x": 2})
    return graph, [call({"x": 0}, thread()), call({"x": 1}, thread(), durability="exit"), stored()]


@program("delta.failing_run", rows=("7.3:delta",), modes=EXIT_MODES)
def failing_run(e):
    graph = saved(e, 100, "START a bad END", a=..., bad=fail(ValueError("always")))
    return graph, [
        call({"log": ["in"]}, thread(), durability="exit"),
        call(None, thread(), durability="exit"),
        call({"log": ["in"]}, thread(), durability="exit"),
        history(),
    ]


@probe("delta.annotations", rows=("7.3:delta", "7.1:annotated_channel"))
def annotations(e, driver):
    delta = e.channels.DeltaChannel

    def describe(annotation):
        def build():
            class State(TypedDict, total=False):
                x: int
                log: annotation

            graph = wire(e, State, "START a END", a=lambda s: {"log": [repr(s)]}).compile()
            channel = graph.channels["log"]
            shown = (type(channel).__name__, channel.typ, channel.snapshot_frequency, channel.key)
            return shown, invoke(driver, graph, {"x": 1}), graph.get_output_jsonschema()

        return attempt(build)

    return {
        "list": describe(Annotated[list, delta(extend)]),
        "item type": describe(Annotated[list[int], delta(extend, snapshot_frequency=7)]),
        "given type": describe(Annotated[list, delta(extend, tuple)]),
        "not last": describe(Annotated[list, delta(extend), "note"]),
        "class": describe(Annotated[list, delta]),
        "frequency": attempt(lambda: delta(extend, snapshot_frequency=0)),
        "same key": attempt(lambda: e.graph.StateGraph(schema(e), input_schema=schema(e, every=5))),
        "start": START,
    }
