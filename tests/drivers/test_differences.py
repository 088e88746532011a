"""Where millstream differs from LangGraph on purpose; `docs/compatibility.md` gives the reasons."""

from __future__ import annotations

import asyncio
import operator
import threading
import warnings
from dataclasses import dataclass
from typing import Annotated, Any, Optional
from uuid import uuid4

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel
from typing_extensions import TypedDict

from millstream.config import get_config, get_store, get_stream_writer
from millstream.errors import EmptyInputError, GraphInterrupt, ParentCommand
from millstream.graph import END, START, StateGraph
from millstream.runtime import Runtime, get_runtime
from millstream.types import Command, StreamWriter, interrupt

pytestmark = pytest.mark.timeout(20)


class State(TypedDict):
    x: int
    log: Annotated[list[Any], operator.add]


def test_an_unknown_mode_is_refused_with_all_that_are_known(driver: Any) -> None:
    known = "values, updates, checkpoints, tasks, debug, messages, custom, tools"

    with pytest.raises(ValueError, match=f"Unknown stream mode 'nope'; use one or more of {known}"):
        driver.stream(chain(lambda state: None), {"x": 1}, stream_mode="nope")


def chain(*nodes: Any, schema: Any = State, **kwargs: Any) -> Any:
    """Compile a graph that runs these nodes one after the other."""
    return (
        StateGraph(schema).add_sequence(nodes).add_edge(START, name_of(nodes[0])).compile(**kwargs)
    )


def name_of(node: Any) -> str:
    return node[0] if isinstance(node, tuple) else node.__name__


def one(state: State) -> dict[str, Any]:
    return {"log": ["one"]}


def thread(name: str = "1") -> RunnableConfig:
    return {"configurable": {"thread_id": name}}


# -- modes, versions and keyword arguments --------------------------------------------------------


@pytest.mark.parametrize("collection", [tuple, list])
def test_a_tuple_of_modes_is_labelled_like_a_list(driver: Any, collection: Any) -> None:
    modes = collection(["updates", "values"])

    assert driver.stream(chain(one), {"x": 1}, stream_mode=modes) == [
        ("values", {"x": 1, "log": []}),
        ("updates", {"one": {"log": ["one"]}}),
        ("values", {"x": 1, "log": ["one"]}),
    ]


@pytest.mark.parametrize("collection", [set, frozenset])
def test_a_set_of_modes_is_labelled_like_a_list(driver: Any, collection: Any) -> None:
    modes = collection(["updates", "values"])

    plain = driver.stream(chain(one), {"x": 1}, stream_mode=modes)
    nested = driver.stream(chain(one), {"x": 1}, stream_mode=modes, subgraphs=True)

    assert [mode for mode, _ in plain] == ["values", "updates", "values"]
    assert [(ns, mode) for ns, mode, _ in nested] == [
        ((), "values"),
        ((), "updates"),
        ((), "values"),
    ]


@pytest.mark.parametrize("argument", ["stream_mode", "print_mode"])
@pytest.mark.parametrize("modes", ["value", ["values", "evens"], ("evens",)])
def test_an_unknown_mode_is_refused_naming_the_valid_ones(
    driver: Any, argument: str, modes: Any
) -> None:
    ran: list[int] = []

    def node(state: State) -> None:
        ran.append(1)

    with pytest.raises(ValueError, match=r"stream mode '(value|evens)'") as caught:
        driver.stream(chain(node), {"x": 1}, **{argument: modes})

    for mode in ("values", "updates", "checkpoints", "tasks", "debug", "messages", "custom"):
        assert mode in str(caught.value)
    assert ran == []


@pytest.mark.parametrize("version", ["v0", "zzz", ""])
def test_an_unknown_version_is_refused_naming_the_valid_ones(driver: Any, version: str) -> None:
    for call in (driver.stream, driver.invoke):
        with pytest.raises(ValueError, match=f"version {version!r}.*v1, v2"):
            call(chain(one), {"x": 1}, version=version)


def test_unknown_keyword_arguments_give_a_warning_that_names_them(driver: Any) -> None:
    for call in (driver.stream, driver.invoke):
        with pytest.warns(UserWarning, match="unknown keyword arguments.*: mode, nonsense") as seen:
            result = call(chain(one), {"x": 1}, nonsense=1, mode="values")

        assert len(seen) == 1
        assert result in ([{"one": {"log": ["one"]}}], {"x": 1, "log": ["one"]})


def test_a_warning_about_a_keyword_points_to_the_callers_line() -> None:
    graph = chain(one)

    with pytest.warns(UserWarning, match="nonsense") as from_stream:
        list(graph.stream({"x": 1}, nonsense=1))
    with pytest.warns(UserWarning, match="nonsense") as from_invoke:
        graph.invoke({"x": 1}, nonsense=1)

    assert [from_stream[0].filename, from_invoke[0].filename] == [__file__, __file__]


def test_deprecated_keyword_arguments_keep_working(driver: Any) -> None:
    graph = chain(one, checkpointer=InMemorySaver())

    with pytest.warns(DeprecationWarning, match="`checkpoint_during` is deprecated") as seen:
        driver.stream(graph, {"x": 1}, thread(), checkpoint_during=False)

    assert len(seen) == 1
    assert len(list(graph.checkpointer.list(thread()))) == 1


# -- v2 parts -------------------------------------------------------------------------------------


@dataclass
class Parent:
    a: int


class Child(TypedDict):
    a: int
    z: int


class Strict(BaseModel):
    a: int
    needed: int


def test_v2_values_use_the_schema_of_their_own_namespace(driver: Any) -> None:
    child = chain(("inner", lambda state: {"a": 2, "z": 1}), schema=Child)
    graph = chain(("sub", child), schema=Parent)

    items = driver.stream(graph, {"a": 1}, stream_mode="values", subgraphs=True, version="v2")

    assert [(len(item["ns"]), item["data"]) for item in items] == [
        (0, Parent(a=1)),
        (1, {"a": 1}),
        (1, {"a": 2, "z": 1}),
        (0, Parent(a=2)),
    ]


def test_v2_values_show_all_keys_of_a_wider_state_without_failing(driver: Any) -> None:
    @dataclass
    class Wide:
        a: int = 0
        b: int = 0

    builder = StateGraph(Wide, output_schema=Parent)
    builder.add_node("n", lambda state: {"a": 2, "b": 3})
    graph = builder.add_edge(START, "n").compile()

    items = driver.stream(graph, {"a": 1}, stream_mode="values", version="v2")

    assert [item["data"] for item in items] == [Parent(a=1), Parent(a=2)]


def test_v2_values_that_are_not_valid_yet_stay_a_dict(driver: Any) -> None:
    builder = StateGraph(Strict, input_schema=Child)
    builder.add_node("n", lambda state: {"needed": 2}, input_schema=Child)
    graph = builder.add_edge(START, "n").compile()

    items = driver.stream(graph, {"a": 1}, stream_mode="values", version="v2")

    assert [item["data"] for item in items] == [{"a": 1}, Strict(a=1, needed=2)]


# -- commands as input ----------------------------------------------------------------------------


@pytest.mark.parametrize("command", [Command(), Command(resume=None), Command(goto=[])])
@pytest.mark.parametrize("saver", [None, InMemorySaver()], ids=["no saver", "saver"])
def test_an_empty_command_is_refused_with_advice(driver: Any, command: Any, saver: Any) -> None:
    graph = chain(one, checkpointer=saver)

    with pytest.raises(EmptyInputError, match=r"empty Command.*update.*goto.*resume"):
        driver.invoke(graph, command, thread())


@pytest.mark.parametrize("saver", [None, InMemorySaver], ids=["no saver", "saver"])
def test_an_update_command_on_a_fresh_thread_is_applied_once(driver: Any, saver: Any) -> None:
    graph = chain(one, checkpointer=saver and saver())

    result = driver.invoke(graph, Command(update={"x": 1, "log": ["z"]}), thread())

    assert result == {"x": 1, "log": ["z", "one"]}


# Only the input leads to the second node.
@pytest.mark.filterwarnings("ignore::millstream.warnings.GraphWarning")
@pytest.mark.parametrize("saver", [None, InMemorySaver], ids=["no saver", "saver"])
def test_a_goto_command_on_a_fresh_thread_runs_its_target_once(driver: Any, saver: Any) -> None:
    builder = StateGraph(State)
    builder.add_node(one)
    builder.add_node("two", lambda state: {"log": ["two"]})
    graph = builder.add_edge(START, "one").compile(checkpointer=saver and saver())

    result = driver.invoke(graph, Command(update={"x": 1, "log": ["z"]}, goto="two"), thread())

    assert sorted(result["log"]) in (["one", "two", "z"], ["two", "z"])
    assert result["log"].count("two") == result["log"].count("z") == 1


# -- durability -----------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_durability_without_a_saver_warns_and_runs(driver: Any, durability: Any) -> None:
    for call in (driver.stream, driver.invoke):
        with pytest.warns(UserWarning, match="`durability` has no effect when no checkpointer"):
            result = call(chain(one), {"x": 1}, durability=durability)

        assert result in ([{"one": {"log": ["one"]}}], {"x": 1, "log": ["one"]})


# -- injection under `from __future__ import annotations` -----------------------------------------


def optional_config(state: State, config: RunnableConfig | None) -> dict[str, Any]:
    return {"log": [config is not None and config["configurable"]["user"]]}


def optional_typing_config(state: State, config: Optional[RunnableConfig] = None) -> dict[str, Any]:
    return {"log": [config is not None and config["configurable"]["user"]]}


def optional_writer(state: State, writer: StreamWriter | None) -> dict[str, Any]:
    if writer is not None:
        writer("written")
    return {"log": [writer is not None]}


def optional_store(state: State, *, store: BaseStore | None = None) -> dict[str, Any]:
    return {"log": [store is not None]}


def typed_runtime(state: State, runtime: Runtime[dict[str, int]] | None) -> dict[str, Any]:
    return {"log": [runtime is not None and runtime.context]}


def quoted_config(state: State, *, config: "RunnableConfig | None" = None) -> dict[str, Any]:  # noqa: UP037
    return {"log": [config is not None and config["configurable"]["user"]]}


async def optional_async(
    state: State, config: RunnableConfig | None, writer: StreamWriter | None = None
) -> dict[str, Any]:
    if writer is not None:
        writer("written")
    return {"log": [config is not None and config["configurable"]["user"]]}


@pytest.mark.parametrize(
    ("node", "given"),
    [
        (optional_config, "u"),
        (optional_typing_config, "u"),
        (optional_writer, True),
        (optional_store, True),
        (typed_runtime, {"c": 1}),
        (quoted_config, "u"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_optional_annotations_are_injected_when_they_are_strings(
    driver: Any, node: Any, given: Any
) -> None:
    graph = chain(node, store=InMemoryStore())

    items = driver.stream(
        graph,
        {"x": 1},
        {"configurable": {"user": "u"}},
        context={"c": 1},
        stream_mode=["custom", "values"],
    )

    assert items[-1] == ("values", {"x": 1, "log": [given]})
    written = [item for mode, item in items if mode == "custom"]
    assert written == (["written"] if node is optional_writer else [])


def test_optional_annotations_are_injected_into_async_nodes() -> None:
    async def run() -> list[Any]:
        stream = chain(optional_async).astream(
            {"x": 1}, {"configurable": {"user": "u"}}, stream_mode=["custom", "values"]
        )
        return [item async for item in stream]

    assert asyncio.run(run())[1:] == [
        ("custom", "written"),
        ("values", {"x": 1, "log": ["u"]}),
    ]


# -- the writer and the accessors -----------------------------------------------------------------


def in_thread(work: Any, *args: Any) -> None:
    worker = threading.Thread(target=work, args=args)
    worker.start()
    worker.join()


def thread_writers(state: State, writer: StreamWriter, runtime: Runtime[Any]) -> None:
    in_thread(writer, "parameter")
    in_thread(runtime.stream_writer, "runtime")
    in_thread(get_stream_writer(), "accessor")


def test_every_writer_works_from_a_raw_thread(driver: Any) -> None:
    items = driver.stream(chain(thread_writers), {"x": 1}, stream_mode="custom")

    assert items == ["parameter", "runtime", "accessor"]


def test_a_writer_of_a_nested_graph_keeps_its_namespace_in_a_raw_thread(driver: Any) -> None:
    graph = chain(("sub", chain(thread_writers)))

    items = driver.stream(graph, {"x": 1}, stream_mode="custom", subgraphs=True)

    assert [item for _, item in items] == ["parameter", "runtime", "accessor"]
    assert {len(namespace) for namespace, _ in items} == {1}
    assert items[0][0][0].startswith("sub:")


def test_a_writer_works_from_an_executor_of_an_async_node() -> None:
    async def node(state: State, writer: StreamWriter) -> None:
        await asyncio.get_running_loop().run_in_executor(None, writer, "executor")

    async def run() -> list[Any]:
        return [item async for item in chain(node).astream({"x": 1}, stream_mode="custom")]

    assert asyncio.run(run()) == ["executor"]


def test_a_writer_that_outlives_its_run_is_harmless(driver: Any) -> None:
    kept: list[StreamWriter] = []

    def node(state: State, writer: StreamWriter) -> None:
        kept.append(writer)

    driver.stream(chain(node), {"x": 1}, stream_mode="custom")

    assert kept[0]("late") is None
    in_thread(kept[0], "later")


async def deep() -> list[Any]:
    await asyncio.sleep(0)
    get_stream_writer()("deep")
    return [
        get_config()["configurable"]["user"],
        get_runtime().context,
        get_store() is not None,
        get_config()["metadata"]["langgraph_node"],
    ]


async def accessors(state: State) -> dict[str, Any]:
    return {"log": [await deep(), await asyncio.create_task(deep()), await asyncio.gather(deep())]}


def test_accessors_work_in_async_nodes_on_every_python() -> None:
    async def run() -> list[Any]:
        stream = chain(accessors, store=InMemoryStore()).astream(
            {"x": 1},
            {"configurable": {"user": "u"}},
            context="c",
            stream_mode=["custom", "values"],
        )
        return [item async for item in stream]

    facts = ["u", "c", True, "accessors"]
    assert asyncio.run(run())[1:] == [
        ("custom", "deep"),
        ("custom", "deep"),
        ("custom", "deep"),
        ("values", {"x": 1, "log": [facts, facts, [facts]]}),
    ]


def test_accessors_work_in_sync_nodes_of_async_runs(driver: Any) -> None:
    def node(state: State) -> dict[str, Any]:
        get_stream_writer()("written")
        return {"log": [get_config()["metadata"]["langgraph_node"], get_runtime().context]}

    items = driver.stream(chain(node), {"x": 1}, context="c", stream_mode=["custom", "values"])

    assert items[1:] == [("custom", "written"), ("values", {"x": 1, "log": ["node", "c"]})]


def test_a_nested_graph_awaited_without_a_config_forwards_its_custom_items() -> None:
    async def inner(state: State) -> None:
        get_stream_writer()("inner")

    child = chain(inner)

    async def outer(state: State) -> None:
        await child.ainvoke({"x": 1})

    async def run() -> list[Any]:
        stream = chain(outer).astream({"x": 1}, stream_mode="custom", subgraphs=True)
        return [item async for item in stream]

    items = asyncio.run(run())

    assert [item for _, item in items] == ["inner"]
    assert items[0][0][0].startswith("outer:")


# -- signals --------------------------------------------------------------------------------------


def test_an_interrupt_passes_except_exception(driver: Any) -> None:
    def ask(state: State) -> dict[str, Any]:
        try:
            answer = interrupt("sure?")
        except Exception:
            answer = "swallowed"
        return {"log": [answer]}

    graph = chain(ask, checkpointer=InMemorySaver())

    items = driver.stream(graph, {"x": 1}, thread())

    assert [question.value for question in items[0]["__interrupt__"]] == ["sure?"]
    assert not issubclass(GraphInterrupt, Exception)


def test_a_command_for_the_parent_passes_except_exception(driver: Any) -> None:
    def inner(state: State) -> Any:
        return Command(graph=Command.PARENT, update={"log": ["parent"]})

    child = chain(inner)

    def outer(state: State) -> Any:
        try:
            return child.invoke(state)
        except Exception:
            return {"log": ["swallowed"]}

    assert driver.invoke(chain(outer), {"x": 1}) == {"x": 1, "log": ["parent"]}
    assert not issubclass(ParentCommand, Exception)


def test_the_same_run_id_does_not_discard_the_input(driver: Any) -> None:
    graph = chain(one, checkpointer=InMemorySaver())
    config = {**thread(), "run_id": uuid4()}

    driver.invoke(graph, {"x": 1}, config)
    result = driver.invoke(graph, {"x": 2, "log": ["again"]}, config)

    assert result == {"x": 2, "log": ["one", "again", "one"]}


def test_a_breakpoint_given_as_a_string_is_one_name(driver: Any) -> None:
    nodes = [("a", one), ("review", one)]
    before = chain(*nodes, checkpointer=InMemorySaver(), interrupt_before="review")
    after = chain(*nodes, checkpointer=InMemorySaver(), interrupt_after="a")

    for graph in (before, after):
        assert driver.invoke(graph, {"x": 1}, thread()) == {"x": 1, "log": ["one"]}
        assert driver.invoke(graph, None, thread()) == {"x": 1, "log": ["one", "one"]}


def test_a_breakpoint_argument_given_as_a_string_is_one_name(driver: Any) -> None:
    graph = chain(("a", one), ("review", one), checkpointer=InMemorySaver())

    for number, where in enumerate([{"interrupt_before": "review"}, {"interrupt_after": "a"}]):
        config = thread(str(number))
        assert driver.invoke(graph, {"x": 1}, config, **where) == {"x": 1, "log": ["one"]}


@pytest.mark.parametrize("limit", [0, -1])
def test_max_concurrency_below_one_is_refused(driver: Any, limit: int) -> None:
    with pytest.raises(ValueError, match=r"^max_concurrency must be at least 1$"):
        driver.invoke(chain(one), {"x": 1}, {"max_concurrency": limit})


def test_unknown_keywords_of_the_builder_give_a_warning_that_names_them() -> None:
    with pytest.warns(UserWarning, match="nonsense"):
        builder = StateGraph(State, nonsense=1)
    with pytest.warns(UserWarning, match="nonsense"):
        builder.add_node(one, nonsense=1)


def test_no_warning_is_given_for_a_correct_call(driver: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        driver.stream(
            chain(one),
            {"x": 1},
            stream_mode=["updates"],
            print_mode=(),
            output_keys=["x"],
            interrupt_before=["one"],
            interrupt_after=END,
            subgraphs=False,
            debug=False,
            version="v1",
            control=None,
            context=None,
        )


# -- stores and error handlers --------------------------------------------------------------------


def test_a_nested_graph_uses_its_own_store(driver: Any) -> None:
    """A store given to a subgraph is not replaced by the store, or the lack of one, above it."""
    own = InMemoryStore()

    def look(state: State) -> dict[str, Any]:
        return {"log": [get_store() is own]}

    child = chain(look, store=own)

    assert driver.invoke(chain(("child", child)), {"x": 1})["log"][-1:] == [True]


def test_custom_items_of_an_error_handler_have_the_namespace_of_its_graph(driver: Any) -> None:
    """A handler is a node of the graph like any other."""

    def bad(state: State) -> dict[str, Any]:
        raise ValueError("bad")

    def handle(state: State) -> dict[str, Any]:
        get_stream_writer()("handled")
        return {}

    builder = StateGraph(State).add_node(bad, error_handler=handle).add_edge(START, "bad")

    items = driver.stream(builder.compile(), {"x": 1}, stream_mode="custom", subgraphs=True)

    assert items == [((), "handled")]
