"""Threads with delta channels worth handing over.

No `from __future__ import annotations` here: schemas are read at run time.
"""

from typing import Annotated, Any, Final

from typing_extensions import TypedDict

from differential.engines import Engine
from differential.kit import wire
from interchange.playing import Scenario, Step, World
from interchange.scenarios import answer, ask, fork, give, go_on, update


def extend(value: Any, writes: Any) -> list[Any]:
    """Return the list with all that was written, in order."""
    return [*value, *(item for write in writes for item in write)]


def deltas(e: Engine, every: int) -> Any:
    """Return a state whose log is stored as what was written, and whole every so often."""
    delta = e.channels.DeltaChannel(extend, snapshot_frequency=every)

    class Deltas(TypedDict, total=False):
        x: Any
        log: Annotated[list[Any], delta]

    return Deltas


def chain(every: int) -> Any:
    """Return the builder of a graph without questions."""

    def build(e: Engine, world: World, saver: Any) -> Any:
        nodes = {name: world.say(name) for name in "abcd"}
        graph = wire(e, deltas(e, every), "START a b c d END", **nodes)
        return graph.compile(checkpointer=saver)

    return build


def asking(e: Engine, world: World, saver: Any) -> Any:
    """The sibling of a question has finished; it comes first by task id or by name."""
    return wire(
        e,
        deltas(e, 100),
        "START a ask z END",
        "a side z",
        a=world.say("a"),
        ask=ask(e, "q"),
        side=world.say("side"),
        z=world.say("z"),
    ).compile(checkpointer=saver)


def failing(e: Engine, world: World, saver: Any) -> Any:
    return wire(
        e,
        deltas(e, 3),
        "START a good z END",
        "a over z",
        "a bad z",
        a=world.say("a"),
        good=world.say("good"),
        over=lambda state: {"log": e.types.Overwrite(["over"])},
        # Writes of START and a come before those of the two siblings.
        bad=world.fail_once_stored(4),
        z=world.say("z"),
    ).compile(checkpointer=saver)


def nested(e: Engine, world: World, saver: Any) -> Any:
    inner = wire(e, deltas(e, 100), "START i ask END", i=world.say("i"), ask=ask(e, "q")).compile()
    outer = wire(e, deltas(e, 2), "START inner z END", inner=inner, z=world.say("z"))
    return outer.compile(checkpointer=saver)


def sending(e: Engine, world: World, saver: Any) -> Any:
    def told(state: Any) -> dict[str, Any]:
        return {"log": [state]}

    builder = wire(e, deltas(e, 100), "START a", "w z END", a=world.say("a"), w=told, z=ask(e, "q"))
    builder.add_conditional_edges("a", lambda s: [e.types.Send("w", n) for n in (3, 1, 2)], ["w"])
    return builder.compile(checkpointer=saver)


def both(scenario: str, every: int, first: tuple[Step, ...], second: tuple[Step, ...]) -> Scenario:
    """Return a scenario on a graph without questions."""
    return Scenario(scenario, chain(every), first, second)


EXIT: Final = {"durability": "exit"}
DELTA_SCENARIOS: Final = (
    both("delta", 100, (give(), give()), (give(2), give(3))),
    both("delta-every-third", 3, (give(), give()), (give(2), give(3))),
    both("delta-exit", 100, (give(**EXIT), give(**EXIT)), (give(2, **EXIT), give(3))),
    both("delta-exit-every-sixth", 6, (give(**EXIT), give(**EXIT)), (give(2, **EXIT), give(3))),
    both("delta-updated", 100, (give(), update({"log": ["me"]}, "b")), (go_on(), give(2))),
    both("delta-updated-after", 100, (give(),), (update({"log": ["me"]}, "b"), go_on())),
    both("delta-forked", 100, (give(),), (fork(1), give(2))),
    both("delta-forked-before", 100, (give(), fork(1)), (give(2), fork(2))),
    Scenario("delta-question", asking, (give(),), (answer("yes"), give(2))),
    Scenario("delta-question-exit", asking, (give(**EXIT),), (answer("yes"), give(2, **EXIT))),
    Scenario("delta-question-dropped", asking, (give(),), (give(2), answer("yes"))),
    Scenario(
        "delta-question-and-update", asking, (give(),), (answer("yes", update={"log": ["up"]}),)
    ),
    Scenario("delta-failed", failing, (give(durability="sync"),), (go_on(), give(2))),
    Scenario("delta-nested", nested, (give(),), (answer("yes"), give(2))),
    Scenario("delta-sends", sending, (give(),), (answer("yes"), give(2))),
)
