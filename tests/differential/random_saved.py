"""Random saved graphs that ask, fail and go on, described so that timing cannot matter.

A graph is a row of layers. Each begins with a hub, which runs alone and sends the run to some of
the layer's workers; they run side by side and all lead to the next hub. Only a task that runs
alone may fail: which siblings of a failed task were saved would be timing. The reference answers
a question with an older answer when a call brings none for it; so a task fails before it asks,
never after, and a graph that is answered without ids gets ids only for several questions at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from differential.engines import Engine
from differential.kit import END, START, thread
from differential.random_graphs import SEND, State
from differential.registry import SAVED_MODES, Call, Late, Look, Matrix, Program, call
from differential.threads import history

PLAIN_MODES: Final = ("values", "updates", "custom", "tasks")
CALLS: Final = 6
LONGEST_LOG: Final = 12
_SPECIAL: Final = ("__interrupt__", "__resume__", "__error__")


@dataclass(frozen=True, slots=True)
class Worker:
    """What one node does: it fails `fails` times, then asks every `every`-th time, then writes."""

    name: str
    is_async: bool
    fails: int
    questions: int
    every: int
    inner: tuple[Worker, ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """A hub, the workers behind it, and the choices among them, made by the length of the log."""

    hub: Worker
    workers: tuple[Worker, ...]
    choices: tuple[tuple[str, ...], ...]
    uses_commands: bool


@dataclass(frozen=True, slots=True)
class SavedGraph:
    """One random graph, the settings of its thread, and how each of its calls answers."""

    layers: tuple[Layer, ...]
    goes_back: bool
    breakpoints: tuple[str, ...]
    durability: str
    moves: tuple[str, ...]
    names_ids: bool
    driver: str


def program(graph: SavedGraph) -> Program:
    """Return the program that runs `graph` call by call and then looks at its history."""
    return Program(
        name=f"random saved graph ({graph.driver})",
        rows=(),
        build=lambda engine: build(engine, graph),
        # With "exit" the reference names other parents in checkpoints than it stores.
        modes=PLAIN_MODES if graph.durability == "exit" else SAVED_MODES,
        matrix=Matrix.TOGETHER,
        drivers=(graph.driver,),
        unordered=True,
        logs=True,
    )


def build(engine: Engine, graph: SavedGraph) -> tuple[Any, list[Call | Look]]:
    """Compile the described graph and list the calls to make on it."""
    builder = engine.graph.StateGraph(State)
    attempts: dict[str, int] = {}
    for index, layer in enumerate(graph.layers):
        following = graph.layers[index + 1].hub.name if index + 1 < len(graph.layers) else "last"
        _add_hub(engine, builder, layer, attempts, graph.driver)
        for worker in layer.workers:
            builder.add_node(worker.name, _action(engine, worker, attempts, graph.driver))
            builder.add_edge(worker.name, following)
    builder.add_edge(START, graph.layers[0].hub.name)
    builder.add_node("last", lambda state: {"log": ["last"]})
    first = graph.layers[0].hub.name

    def ending(state: State) -> str:
        return first if graph.goes_back and len(state["log"]) < LONGEST_LOG else END

    builder.add_conditional_edges("last", ending)
    compiled = builder.compile(
        checkpointer=engine.saver(), interrupt_before=list(graph.breakpoints)
    )
    options = {"durability": graph.durability}
    calls = [call({"log": ["in"], "total": 0}, thread(), **options)]
    calls += [
        call(Late(_mover(engine, graph, number)), thread(), **options)
        for number in range(len(graph.moves))
    ]
    return compiled, [*calls, history()]


def _add_hub(
    engine: Engine, builder: Any, layer: Layer, attempts: dict[str, int], driver: str
) -> None:
    def targets(state: State) -> list[Any]:
        chosen = layer.choices[len(state["log"]) % len(layer.choices)]
        return [
            engine.types.Send(target.removeprefix(SEND), {"log": [target], "n": position})
            if target.startswith(SEND)
            else target
            for position, target in enumerate(chosen)
        ]

    name = layer.hub.name
    if not layer.uses_commands:
        builder.add_node(name, _action(engine, layer.hub, attempts, driver))
        builder.add_conditional_edges(name, targets)
        return

    def commanding(state: State) -> Any:
        update = _act(engine, layer.hub, attempts, dict(state))
        return engine.types.Command(update=update, goto=targets(state))

    builder.add_node(name, commanding)


def _action(engine: Engine, worker: Worker, attempts: dict[str, int], driver: str) -> Any:
    if worker.inner:
        return _child(engine, worker, attempts, driver)

    def run(state: State) -> dict[str, Any]:
        return _act(engine, worker, attempts, dict(state))

    async def arun(state: State) -> dict[str, Any]:
        return _act(engine, worker, attempts, dict(state))

    return arun if worker.is_async and driver == "async" else run


def _child(engine: Engine, worker: Worker, attempts: dict[str, int], driver: str) -> Any:
    builder = engine.graph.StateGraph(State)
    previous = START
    for inner in worker.inner:
        builder.add_node(inner.name, _action(engine, inner, attempts, driver))
        builder.add_edge(previous, inner.name)
        previous = inner.name
    return builder.compile()


def _act(
    engine: Engine, worker: Worker, attempts: dict[str, int], state: dict[str, Any]
) -> dict[str, Any]:
    label, length = f"{worker.name}{state.get('n', '')}", len(state["log"])
    attempts[worker.name] = attempts.get(worker.name, 0) + 1
    if attempts[worker.name] <= worker.fails:
        raise ValueError(f"{label} fails for the {attempts[worker.name]}. time")
    log = [label]
    if (length + state.get("n", 0)) % worker.every == 0:
        asked = [f"{label}@{length} {number}?" for number in range(worker.questions)]
        log += [f"{label}:{engine.types.interrupt(question)}" for question in asked]
    return {"log": log, "total": 1}


def _mover(engine: Engine, described: SavedGraph, number: int) -> Any:
    kind = described.moves[number]

    def move(graph: Any) -> Any:
        questions = _unanswered(graph.checkpointer.get_tuple(thread()))
        if kind == "input":
            return {"log": [f"input {number}"]}
        if not questions:
            return None
        chosen = sorted(questions)[: 1 if kind == "one" else None]
        answers = {questions[question]: f"{number}{question[:2]}" for question in chosen}
        is_named = described.names_ids or len(questions) > 1
        return engine.types.Command(
            resume=answers if is_named else f"v{number}",
            update={"total": 10} if kind == "update" else None,
        )

    return move


def _unanswered(saved: Any) -> dict[str, str]:
    """Return the ids of the questions of tasks that have not finished, by what they ask."""
    writes = (saved.pending_writes or ()) if saved else ()
    finished = {task for task, channel, _ in writes if channel not in _SPECIAL}
    return {
        question.value: question.id
        for task, channel, value in writes
        if channel == "__interrupt__" and task not in finished
        for question in value
    }


@st.composite
def saved_graphs(draw: st.DrawFn) -> SavedGraph:
    """Draw a graph of one to three layers, and six moves."""
    count = draw(st.integers(1, 3))
    layers = tuple(draw(_layers("abc"[index])) for index in range(count))
    names = [name for layer in layers for name in (layer.hub.name, *_names(layer.workers))]
    moves = st.sampled_from(["one", "one", "all", "all", "all", "update", "input"])
    return SavedGraph(
        layers=layers,
        goes_back=draw(st.booleans()),
        breakpoints=tuple(draw(st.lists(st.sampled_from(names), max_size=1))),
        durability=draw(st.sampled_from(["async", "async", "sync", "exit"])),
        moves=tuple(draw(st.lists(moves, min_size=CALLS - 1, max_size=CALLS - 1))),
        names_ids=draw(st.booleans()),
        driver=draw(st.sampled_from(["sync", "async"])),
    )


def _names(workers: Sequence[Worker]) -> list[str]:
    return [worker.name for worker in workers]


@st.composite
def _layers(draw: st.DrawFn, letter: str) -> Layer:
    is_lonely = draw(st.booleans())
    count = draw(st.integers(1, 3))
    may_nest = st.sampled_from([False, False, True])
    workers = tuple(
        draw(_workers(f"{letter}{index}", may_fail=is_lonely, is_graph=draw(may_nest)))
        for index in range(count)
    )
    names = _names(workers)
    several = st.lists(
        st.sampled_from([*names, *(SEND + name for name in names)]),
        min_size=1,
        max_size=1 if is_lonely else 3,
        unique=not draw(st.booleans()),
    ).map(tuple)
    return Layer(
        hub=draw(_workers(f"{letter}h", may_fail=True, is_graph=False)),
        workers=workers,
        choices=tuple(draw(st.lists(several, min_size=1, max_size=2))),
        uses_commands=draw(st.booleans()),
    )


@st.composite
def _workers(draw: st.DrawFn, name: str, *, may_fail: bool, is_graph: bool) -> Worker:
    inner: tuple[Worker, ...] = ()
    if is_graph:
        count = draw(st.integers(1, 3))
        inner = tuple(
            draw(_workers(f"{name}{'xyz'[index]}", may_fail=may_fail and not index, is_graph=False))
            for index in range(count)
        )
    return Worker(
        name=name,
        is_async=draw(st.booleans()),
        fails=draw(st.sampled_from([0, 0, 0, 0, 1, 2])) if may_fail else 0,
        questions=draw(st.sampled_from([0, 1, 1, 2])),
        every=draw(st.integers(1, 2)),
        inner=inner,
    )
