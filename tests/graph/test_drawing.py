"""`draw_graph` draws what langgraph draws, edge for edge, but for edges that it gets wrong."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Final, Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from langchain_core.runnables.graph import Graph
from typing_extensions import TypedDict

from differential.engines import Engine, engine
from millstream.pregel._structure.drawing import draw_graph

START, END = "__start__", "__end__"
REFERENCE: Final = engine("langgraph")
# Drawing reads only what both engines' compiled graphs have, so it must draw either's.
ROOTS: Final = ("langgraph", "millstream")

Branch = tuple[str, Any] | tuple[str, Any, Any]

# Nodes that never run are drawn, or not, as well.
pytestmark = pytest.mark.filterwarnings("ignore::millstream.warnings.GraphWarning")


class State(TypedDict):
    log: Annotated[list[str], operator.add]


def step(state: State) -> dict[str, Any]:
    return {}


def route(state: State) -> str:
    return "b"


def route_again(state: State) -> str:
    return "b"


def route_literal(state: State) -> Literal["c", "b"]:
    return "b"


def compiled(
    root: Engine,
    nodes: Iterable[Any],
    edges: Iterable[tuple[Any, str]] = (),
    branches: Iterable[Branch] = (),
    **compile_options: Any,
) -> Any:
    """Compile a graph of `name`, `(name, keywords)` or `(name, keywords, action)` nodes."""
    builder = root.graph.StateGraph(State)
    for node in nodes:
        name, keywords, action = (*((node, {}) if isinstance(node, str) else node), step)[:3]
        builder.add_node(name, action, **keywords)
    for source, target in edges:
        builder.add_edge(source, target)
    for branch in branches:
        builder.add_conditional_edges(*branch)
    return builder.compile(**compile_options)


def chain(root: Engine, *names: str, **options: Any) -> Any:
    """Compile a graph whose nodes follow each other."""
    return compiled(root, names, zip((START, *names), names, strict=False), **options)


DEFER: Final = {"defer": True}


def waiting(root: Engine) -> Any:
    edges = [(START, "a"), (START, "b"), ("b", "d"), (["d", "a"], "c"), ("c", END)]
    return compiled(root, "abcd", edges)


def never_joined(root: Engine) -> Any:
    return compiled(root, "abc", [(START, "a"), (["a", "b"], "c")])


def static_loop(root: Engine) -> Any:
    return compiled(root, "abc", [(START, "a"), ("a", "b"), ("b", "c"), ("c", "a")])


def two_loops(root: Engine) -> Any:
    edges = [(START, "a"), (START, "c"), ("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]
    return compiled(root, "abcd", edges)


def conditional_loop(root: Engine) -> Any:
    return compiled(root, "ab", [(START, "a"), ("b", "a")], [("a", route, {True: "b", "no": END})])


def parallel_labels(root: Engine) -> Any:
    branches = [("a", route, {"k2": "b", "k1": "b"}), ("a", route_again, {"k0": "c", "c": "c"})]
    return compiled(root, "abc", [(START, "a"), ("a", "b")], branches)


def from_literal(root: Engine) -> Any:
    return compiled(root, "abc", [(START, "a")], [("a", route_literal)])


def without_map(root: Engine) -> Any:
    return compiled(root, "abc", [(START, "a"), ("b", "c")], [("a", route)])


def start_branch(root: Engine) -> Any:
    return compiled(root, "ab", [], [(START, route, ["a", "b", END])])


def start_branch_without_map(root: Engine) -> Any:
    return compiled(root, "ab", [], [(START, route)])


def send_only(root: Engine) -> Any:
    def fan_out(state: State) -> list[Any]:
        return [root.types.Send("b", {})]

    branches = [("a", fan_out, ["b"]), (START, fan_out)]
    return compiled(root, "abc", [(START, "a"), ("b", "c"), ("c", END)], branches)


def commands(root: Engine) -> Any:
    def jump(state: State) -> Any: ...

    jump.__annotations__["return"] = root.types.Command[Literal["b", "__end__"]]
    nodes = [("a", {}, jump), "b", ("c", {"destinations": {"b": "back", END: "bye"}})]
    return compiled(root, nodes, [(START, "a"), ("b", "c")])


def destinations(root: Engine) -> Any:
    nodes = [("a", {"destinations": ("c", "b")}), "b", "c"]
    return compiled(root, nodes, [(START, "a"), ("a", "b")])


def deferred(root: Engine) -> Any:
    nodes = ["a", "b", "c", ("d", {**DEFER, "metadata": {"owner": "me"}})]
    return compiled(root, nodes, [(START, "a"), ("a", "b"), ("b", "c"), ("a", "d"), ("d", END)])


def deferred_join(root: Engine) -> Any:
    nodes = ["a", "b", "e", ("d", DEFER)]
    return compiled(root, nodes, [(START, "a"), (START, "b"), ("b", "e"), (["a", "e"], "d")])


def deferred_chain(root: Engine) -> Any:
    nodes = ["a", "b", ("d", DEFER), ("e", DEFER)]
    return compiled(root, nodes, [(START, "a"), ("a", "b"), ("a", "d"), ("a", "e"), ("d", "e")])


def deferred_behind_loop(root: Engine) -> Any:
    nodes = ["a", "b", ("d", DEFER)]
    return compiled(root, nodes, [(START, "a"), ("a", "b"), ("b", "a"), ("a", "d")])


def interrupts(root: Engine) -> Any:
    nodes = ["a", ("b", {"metadata": {"k": 1}, "defer": True})]
    edges = [(START, "a"), ("a", "b")]
    pauses = {"interrupt_before": ["a", "b"], "interrupt_after": ["b"]}
    return compiled(root, nodes, edges, **pauses)


def all_interrupts(root: Engine) -> Any:
    return chain(root, "a", "b", interrupt_before="*", interrupt_after=["b"])


def unreachable(root: Engine) -> Any:
    return compiled(root, "abzy", [(START, "a"), ("a", "b"), ("z", "y"), ("y", "b")])


def start_to_end(root: Engine) -> Any:
    return compiled(root, "", [(START, END)])


def unsorted_names(root: Engine) -> Any:
    return compiled(root, "zAbC", [(START, "z"), ("z", "b"), ("z", "A"), ("z", "C")])


def inner(root: Engine) -> Any:
    innermost = chain(root, "x", "y")
    edges = [(START, "p"), ("p", "deep"), ("deep", "q")]
    return compiled(root, ["p", ("deep", {}, innermost), "q"], edges)


def nested(root: Engine) -> Any:
    nodes = ["a", ("sub", {"metadata": {"k": 1}}, inner(root)), "b"]
    branches = [("a", route, {"go": "sub", "stop": END}), ("sub", route, ["b", "sub"])]
    return compiled(root, nodes, [(START, "a")], branches)


def nested_in_function(root: Engine) -> Any:
    child = chain(root, "x", "y")

    def call(state: State) -> Any:
        return child.invoke(state)

    return compiled(root, ["a", ("sub", {}, call)], [(START, "a"), ("a", "sub")])


def nested_loop(root: Engine) -> Any:
    loop = compiled(root, "xy", [(START, "x"), ("x", "y"), ("y", "x")])
    return compiled(root, ["a", ("sub", {}, loop)], [(START, "a"), ("a", "sub")])


def nested_without_end(root: Engine) -> Any:
    return compiled(root, ["a", ("sub", {}, two_loops(root))], [(START, "a"), ("a", "sub")])


STATE_GRAPHS: Final[Sequence[Callable[[Engine], Any]]] = (
    waiting,
    never_joined,
    static_loop,
    two_loops,
    conditional_loop,
    from_literal,
    start_branch,
    commands,
    deferred_join,
    deferred_behind_loop,
    interrupts,
    all_interrupts,
    unreachable,
    start_to_end,
    unsorted_names,
    nested,
    nested_in_function,
    nested_loop,
    nested_without_end,
)


def raw(root: Engine, *nodes: tuple[str, Sequence[str], Sequence[str]], **options: Any) -> Any:
    """Compile a `Pregel` of `(name, subscribed channels, written channels)` nodes."""
    channels = {name: root.channels.Topic(int) for name in ("in", "left", "right", "out")}
    built = {
        name: root.pregel.NodeBuilder().subscribe_to(*reads).do(step).write_to(*writes)
        for name, reads, writes in nodes
    }
    return root.pregel.Pregel(
        nodes=built, channels=channels, input_channels="in", output_channels="out", **options
    )


def raw_chain(root: Engine) -> Any:
    nodes = (("one", ["in"], ["left"]), ("two", ["left"], ["out"]))
    return raw(root, *nodes, interrupt_before_nodes=["two"])


def raw_fan(root: Engine) -> Any:
    nodes = ("b", ["in"], ["left", "out"]), ("A", ["in", "left"], ["right"]), ("c", ["right"], [])
    return raw(root, *nodes)


def raw_loop(root: Engine) -> Any:
    return raw(root, ("one", ["in", "right"], ["left"]), ("two", ["left"], ["right", "out"]))


def raw_alone(root: Engine) -> Any:
    return raw(root, ("one", ["in"], []), ("two", ["left"], ["out"]))


def raw_with_subgraph(root: Engine) -> Any:
    graph = raw_chain(root)
    return compiled(root, ["a", ("sub", {}, graph)], [(START, "a"), ("a", "sub")])


RAW_GRAPHS: Final = (raw_chain, raw_fan, raw_loop, raw_alone, raw_with_subgraph)


class ReferenceNode:
    """A node of langgraph's that tells its write targets as ours do."""

    def __init__(self, node: Any) -> None:
        self._node = node
        writes = [write for writer in node.writers for write in getattr(writer, "writes", ())]
        self.write_targets = [write.channel for write in writes]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)


class ReferenceGraph:
    """A raw graph of langgraph's with `ReferenceNode`s."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self.nodes = {name: ReferenceNode(node) for name, node in graph.nodes.items()}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph, name)


def drawn(graph: Any, root: str, xray: bool | int = False) -> Graph:
    """Draw with the code under test, which is what millstream's own graphs use."""
    if root == "millstream":
        return graph.get_graph(xray=xray)
    return draw_graph(graph if hasattr(graph, "builder") else ReferenceGraph(graph), xray=xray)


def described(graph: Graph) -> tuple[Any, ...]:
    """Return all there is to see, but for the class names that differ between the engines."""
    seen = graph.to_json()
    for node in seen["nodes"]:
        if "data" in node:
            del node["data"]["id"]
    return list(graph.nodes), seen, graph.draw_mermaid()


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("program", [*STATE_GRAPHS, *RAW_GRAPHS], ids=lambda p: p.__name__)
def test_a_closed_drawing_equals_the_reference(program: Callable[[Engine], Any], root: str) -> None:
    expected = program(REFERENCE).get_graph()

    actual = drawn(program(engine(root)), root)

    assert described(actual) == described(expected)


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("xray", [True, 0, 1, 2])
@pytest.mark.parametrize(
    "program",
    [nested, nested_in_function, nested_loop, nested_without_end, raw_with_subgraph],
    ids=lambda p: p.__name__,
)
def test_an_opened_drawing_equals_the_reference(
    program: Callable[[Engine], Any], xray: bool | int, root: str
) -> None:
    expected = program(REFERENCE).get_graph(xray=xray)

    actual = drawn(program(engine(root)), root, xray)

    assert described(actual) == described(expected)


def test_a_long_chain_is_drawn_to_its_end() -> None:
    """The reference draws 250 nodes of it."""
    names = [f"n{number}" for number in range(300)]

    edges = chain(engine("millstream"), *names).get_graph().edges

    assert len(edges) == 301
    assert edges[-1].target == END


def random_graph(root: Engine, seed: int) -> Any:
    """Compile a graph whose shape depends on `seed` alone."""
    choose = random.Random(seed)
    names = choose.sample(["a", "b", "c", "D", "E", "f", "z", "_q"], choose.randint(1, 7))
    has_commands = choose.random() < 0.3
    nodes, edges, branches = [], [(START, choose.choice(names))], []
    for name in names:
        options: dict[str, Any] = {}
        if has_commands and choose.random() < 0.3:
            options["destinations"] = tuple(choose.choices([*names, END], k=2))
        nodes.append((name, options))
    for _ in range(choose.randint(0, 2 * len(names))):
        kind, source = choose.random(), choose.choice([START, *names])
        if kind < 0.5:
            edges.append((source, choose.choice(names)))
        elif kind < 0.65:
            joined = choose.sample(names, choose.randint(1, min(3, len(names))))
            edges.append((joined, choose.choice(names)))
        elif not has_commands and source not in [branch[0] for branch in branches]:
            ends = {choose.choice("klmabc"): choose.choice([*names, END]) for _ in range(3)}
            branches.append((source, route, ends))
    return compiled(root, nodes, edges, branches)


def has_doubled_edges(builder: Any) -> bool:
    """Say whether any edge is taken every time and by decision too."""
    decided = {(name, end) for name, spec in builder.nodes.items() for end in spec.ends}
    for source, branches in builder.branches.items():
        decided |= {(source, end) for branch in branches.values() for end in branch.ends.values()}
    return not decided.isdisjoint(builder.edges)


@pytest.mark.parametrize("root", ROOTS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_a_random_drawing_equals_the_reference(root: str, seed: int) -> None:
    reference = random_graph(REFERENCE, seed)
    assume(not has_doubled_edges(reference.builder))
    expected = reference.get_graph()

    actual = drawn(random_graph(engine(root), seed), root)

    assert described(actual) == described(expected)


HANDLER: Final = "__error_handler__a"


def several_commands(root: Engine) -> Any:
    def jump(state: State) -> Any: ...

    command = root.types.Command
    jump.__annotations__["return"] = command[Literal["b"]] | command[Literal["c"]] | None
    return compiled(root, [("a", {}, jump), "b", "c"], [(START, "a")])


def error_handler(root: Engine) -> Any:
    return compiled(root, [("a", {"error_handler": step}), "b"], [(START, "a"), ("a", "b")])


def leading_handler(root: Engine) -> Any:
    def handle(state: State) -> Any: ...

    handle.__annotations__["return"] = root.types.Command[Literal["c"]]
    nodes = [("a", {"error_handler": handle}), "b", "c"]
    return compiled(root, nodes, [(START, "a"), ("a", "b"), ("b", "c")])


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        # A node that fails leads to its handler, which goes where its commands do.
        (error_handler, f"START->a a->b b->END a~>{HANDLER} {HANDLER}->END"),
        (leading_handler, f"START->a a->b b->c a~>{HANDLER} {HANDLER}~>c c->END"),
        # A path without hints may lead anywhere.
        (without_map, "START->a a~>END a~>a a~>b a~>c b->c c->END"),
        (start_branch_without_map, "START~>END START~>a START~>b a->END b->END"),
        (send_only, "START~>END START->a START~>b START~>c a~>b b->c c->END"),
        # What is taken every time is drawn so, whatever may lead there besides.
        (parallel_labels, "START->a a->b a~>c b->END c->END"),
        (destinations, "START->a a->b a~>c b->END c->END"),
        # A deferred node waits for all that runs, but edges lead to it from its own alone.
        (deferred, "START->a a->b a->d b->c c->END d->END"),
        (deferred_chain, "START->a a->b a->d a->e b->END d->e e->END"),
        # Each of several commands may be the one.
        (several_commands, "START->a a~>b a~>c b->END c->END"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_edge_that_can_be_taken_is_drawn_and_no_other(
    program: Callable[[Engine], Any], expected: str
) -> None:
    """The reference leaves some of these out and invents others."""
    graph = program(engine("millstream")).get_graph()

    edges = sorted(
        f"{edge.source}{'~>' if edge.conditional else '->'}{edge.target}" for edge in graph.edges
    )
    shown = [edge.replace(START, "START").replace(END, "END") for edge in edges]
    assert sorted(shown) == sorted(expected.split())


def test_labelled_and_unlabelled_edges_between_two_nodes_draw_the_label() -> None:
    """The reference raises `TypeError` here."""
    nodes = [("a", {"destinations": ("b",)}), "b"]
    graph = compiled(REFERENCE, nodes, [(START, "a")], [("a", route, {"yes": "b"})])

    edges = [(e.source, e.target, e.data, e.conditional) for e in draw_graph(graph).edges]

    assert edges == [
        (START, "a", None, False),
        ("a", "b", "yes", True),
        ("b", END, None, False),
    ]


def test_several_input_channels_start_every_subscriber() -> None:
    """The reference raises `UnboundLocalError` here."""
    graph = ReferenceGraph(raw_chain(REFERENCE))
    graph.input_channels = ["in", "left"]

    edges = [(edge.source, edge.target) for edge in draw_graph(graph).edges]

    assert edges == [(START, "one"), (START, "two"), ("one", "two"), ("two", END)]


def test_two_writers_of_a_single_value_channel_are_drawn() -> None:
    """The reference raises `InvalidUpdateError` here."""
    nodes = ("one", ["in"], ["left"]), ("two", ["in"], ["left"]), ("three", ["left"], ["out"])
    graph = raw(REFERENCE, *nodes)
    graph.channels["left"] = REFERENCE.channels.LastValue(int)

    edges = [(edge.source, edge.target) for edge in draw_graph(ReferenceGraph(graph)).edges]

    assert edges == [
        (START, "one"),
        (START, "two"),
        ("one", "three"),
        ("two", "three"),
        ("three", END),
    ]
