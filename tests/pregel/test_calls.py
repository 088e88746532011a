"""Graphs inside LangChain: pipelines, bound configs, batches, callbacks, printing."""

from __future__ import annotations

import asyncio
import operator
import threading
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnablePassthrough
from typing_extensions import TypedDict

from millstream.config import get_config, get_stream_writer
from millstream.graph import START, MessagesState, StateGraph
from millstream.types import Send

pytestmark = pytest.mark.timeout(20)


class State(TypedDict):
    x: int
    log: Annotated[list[Any], operator.add]


def chain(*nodes: Any, **kwargs: Any) -> Any:
    """Compile a graph that runs these named nodes one after the other."""
    builder = StateGraph(State).add_sequence(nodes)
    return builder.add_edge(START, nodes[0][0]).compile(**kwargs)


def say(text: str) -> Any:
    return text, lambda state: {"log": [text]}


# -- pipelines ------------------------------------------------------------------------------------


def test_a_graph_is_a_link_of_a_langchain_pipeline(driver: Any) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
    model = FakeListChatModel(responses=["42"])
    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph = builder.add_edge(START, "model").compile()
    to_state = RunnableLambda(lambda value: {"messages": value.to_messages()})

    pipeline = prompt | to_state | graph | RunnableLambda(lambda s: s["messages"][-1].content)

    assert driver.invoke(pipeline, {"question": "What is six times seven?"}) == "42"


def test_the_graph_of_a_pipeline_streams_its_items(driver: Any) -> None:
    pipeline = RunnableLambda(lambda number: {"x": number}) | chain(say("a"), say("b"))

    assert driver.stream(pipeline, 1) == [{"a": {"log": ["a"]}}, {"b": {"log": ["b"]}}]


def test_stream_arguments_can_be_bound(driver: Any) -> None:
    graph = chain(say("a"))

    assert driver.stream(graph.bind(stream_mode=["values"]), {"x": 1}) == [
        ("values", {"x": 1, "log": []}),
        ("values", {"x": 1, "log": ["a"]}),
    ]
    pipeline = RunnablePassthrough() | graph.bind(output_keys="log")
    assert driver.invoke(pipeline, {"x": 1}) == ["a"]


def test_a_pipeline_can_be_a_node(driver: Any) -> None:
    inner = RunnableLambda(lambda state: {"x": state["x"] + 1, "log": ["pipeline"]}) | chain(
        say("graph")
    )

    items = driver.stream(chain(("node", inner)), {"x": 1}, subgraphs=True)

    assert [(len(namespace), update) for namespace, update in items] == [
        (1, {"graph": {"log": ["graph"]}}),
        (0, {"node": {"x": 2, "log": ["pipeline", "graph"]}}),
    ]


# -- configs --------------------------------------------------------------------------------------


def show_config(state: State, config: RunnableConfig) -> dict[str, Any]:
    own = {k: v for k, v in config["metadata"].items() if not k.startswith("langgraph_")}
    return {"log": [config["configurable"].get("user"), config.get("tags"), own]}


def test_with_config_is_merged_below_the_config_of_the_call(driver: Any) -> None:
    graph = chain(("show", show_config)).with_config(
        {"configurable": {"user": "bound"}, "tags": ["bound"]}, metadata={"m": 1}
    )

    plain = driver.invoke(graph, {"x": 1})["log"]
    called = driver.invoke(
        graph,
        {"x": 1},
        {"configurable": {"user": "call"}, "tags": ["call"], "metadata": {"n": 2}},
    )["log"]

    assert plain == ["bound", ["bound"], {"m": 1}]
    assert called == ["call", ["bound", "call"], {"m": 1, "n": 2}]


def test_with_config_leaves_the_original_alone(driver: Any) -> None:
    graph = chain(("show", show_config))

    graph.with_config(configurable={"user": "bound"}, recursion_limit=5)

    assert driver.invoke(graph, {"x": 1})["log"] == [None, None, {}]
    assert graph.config is None


def test_a_config_passed_on_by_hand_is_the_same_as_the_ambient_one(driver: Any) -> None:
    child = chain(("show", show_config))

    def by_hand(state: State, config: RunnableConfig) -> Any:
        return {"log": child.invoke({"x": 1}, config)["log"]}

    def ambient(state: State) -> Any:
        return {"log": child.invoke({"x": 1})["log"]}

    config = {"configurable": {"user": "u"}, "tags": ["t"], "metadata": {"m": 1}}

    results = [
        driver.invoke(chain(("node", node)), {"x": 1}, config)["log"] for node in (by_hand, ambient)
    ]

    for user, tags, metadata in results:
        assert (user, tags, sorted(metadata)) == ("u", ["t"], ["checkpoint_ns", "m"])
        assert metadata["checkpoint_ns"].startswith("node:")


# -- batches --------------------------------------------------------------------------------------


def batch(driver: Any, graph: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
    if driver.name == "sync":
        return graph.batch(inputs, *args, **kwargs)

    async def call() -> Any:
        return await graph.abatch(inputs, *args, **kwargs)

    return asyncio.run(call())


def test_a_batch_returns_results_in_the_order_of_its_inputs(driver: Any) -> None:
    graph = chain(("double", lambda state: {"x": state["x"] * 2}))

    results = batch(driver, graph, [{"x": n} for n in range(20)], {"max_concurrency": 3})

    assert [result["x"] for result in results] == [n * 2 for n in range(20)]


def test_a_batch_returns_exceptions_when_asked_to(driver: Any) -> None:
    def fail_on_two(state: State) -> dict[str, Any]:
        if state["x"] == 2:
            raise ValueError("two")
        return {"log": [state["x"]]}

    graph = chain(("node", fail_on_two))
    inputs = [{"x": n} for n in (1, 2, 3)]

    first, second, third = batch(driver, graph, inputs, return_exceptions=True)

    assert [first["log"], repr(second), third["log"]] == [[1], "ValueError('two')", [3]]
    with pytest.raises(ValueError, match="two"):
        batch(driver, graph, inputs)


def test_each_input_of_a_batch_has_its_own_config(driver: Any) -> None:
    graph = chain(("show", show_config))
    configs = [{"configurable": {"user": n}} for n in range(3)]

    results = batch(driver, graph, [{"x": 1}] * 3, configs)

    assert [result["log"][0] for result in results] == [0, 1, 2]


# -- callbacks ------------------------------------------------------------------------------------


class Recorder(BaseCallbackHandler):
    """Records chain runs as a tree."""

    def __init__(self) -> None:
        self.names: dict[UUID, str] = {}
        self.parents: dict[UUID, UUID | None] = {}
        self.told: list[tuple[Any, ...]] = []
        self.details: dict[str, Any] = {}
        self._lock = threading.Lock()

    def on_chain_start(
        self,
        serialized: Any,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        with self._lock:
            self.names[run_id] = kwargs["name"]
            self.parents[run_id] = parent_run_id
            self.told.append(("start", self.path(run_id), inputs))
            self.details[kwargs["name"]] = (run_id, set(tags or ()), metadata)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        with self._lock:
            self.told.append(("end", self.path(run_id), outputs))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        with self._lock:
            self.told.append(("error", self.path(run_id), repr(error)))

    def path(self, run_id: UUID | None) -> str:
        """Return the names of a run and those above it."""
        names = []
        while run_id is not None:
            names.append(self.names[run_id])
            run_id = self.parents[run_id]
        return "/".join(reversed(names))


def test_handlers_see_one_run_for_the_graph_and_one_for_each_node(driver: Any) -> None:
    recorder = Recorder()
    graph = chain(say("a"), say("b"), name="outer")

    driver.invoke(graph, {"x": 1}, {"callbacks": [recorder]})

    empty, one, two = ({"x": 1, "log": log} for log in ([], ["a"], ["a", "b"]))
    assert recorder.told == [
        ("start", "outer", {"x": 1}),
        ("start", "outer/a", empty),
        ("end", "outer/a", {"log": ["a"]}),
        ("start", "outer/b", one),
        ("end", "outer/b", {"log": ["b"]}),
        ("end", "outer", two),
    ]


@pytest.mark.parametrize("is_called", [False, True], ids=["as node", "called"])
def test_runs_of_a_nested_graph_are_below_the_node(driver: Any, is_called: bool) -> None:
    recorder = Recorder()
    child = chain(say("inner"), name="child")
    call = ("sub", lambda state: {"log": child.invoke({"x": 1})["log"]})
    graph = chain(call if is_called else ("sub", child), name="outer")

    driver.invoke(graph, {"x": 1}, {"callbacks": [recorder]})

    begun = [path for what, path, _ in recorder.told if what == "start"]
    names = ["outer", "outer/sub", "outer/sub/child", "outer/sub/child/inner"]
    assert begun == names
    ended = [path for what, path, _ in recorder.told if what == "end"]
    assert ended == names[::-1]


def test_what_a_node_runs_is_below_the_node(driver: Any) -> None:
    recorder = Recorder()
    step = RunnableLambda(lambda x: x + 1).with_config(run_name="step")

    graph = chain(("node", lambda state: {"x": step.invoke(state["x"])}), name="outer")
    driver.invoke(graph, {"x": 1}, {"callbacks": [recorder]})

    begun = [path for what, path, _ in recorder.told if what == "start"]
    assert begun == ["outer", "outer/node", "outer/node/step"]


def test_what_an_async_node_awaits_is_below_the_node() -> None:
    recorder = Recorder()
    step = RunnableLambda(lambda x: x + 1).with_config(run_name="step")

    async def node(state: State) -> dict[str, Any]:
        return {"x": await step.ainvoke(state["x"])}

    asyncio.run(chain(("node", node), name="outer").ainvoke({"x": 1}, {"callbacks": [recorder]}))

    begun = [path for what, path, _ in recorder.told if what == "start"]
    assert begun == ["outer", "outer/node", "outer/node/step"]


def test_each_send_is_a_run_of_its_own(driver: Any) -> None:
    def ten_workers(state: State) -> list[Send]:
        return [Send("worker", {"x": n}) for n in range(10)]

    recorder = Recorder()
    builder = StateGraph(State)
    builder.add_node("worker", lambda state: {"log": [state["x"]]})
    builder.add_conditional_edges(START, ten_workers)

    driver.invoke(builder.compile(name="g"), {"x": 1}, {"callbacks": [recorder]})

    inputs = [
        given["x"] for what, path, given in recorder.told if (what, path) == ("start", "g/worker")
    ]
    assert sorted(inputs) == list(range(10))
    ends = [path for what, path, _ in recorder.told if what == "end"]
    assert ends.count("g/worker") == 10
    assert sorted(set(ends)) == ["g", "g/__start__", "g/__start__/ten_workers", "g/worker"]


def test_tags_and_metadata_reach_the_handlers(driver: Any) -> None:
    recorder = Recorder()
    builder = StateGraph(State)
    builder.add_node("node", say("a")[1], metadata={"own": 1})
    graph = builder.add_edge(START, "node").compile(name="g")
    run_id = uuid4()
    config = {"tags": ["t"], "metadata": {"m": 1}, "run_name": "named", "run_id": run_id}

    driver.invoke(graph, {"x": 1}, {**config, "callbacks": [recorder]})

    graph_id, graph_tags, graph_metadata = recorder.details["named"]
    _, node_tags, node_metadata = recorder.details["node"]
    assert (graph_id, graph_tags, graph_metadata["m"]) == (run_id, {"t"}, 1)
    assert node_tags == {"t", "graph:step:1"}
    assert {key: node_metadata[key] for key in ("m", "own", "langgraph_node")} == {
        "m": 1,
        "own": 1,
        "langgraph_node": "node",
    }


def test_handlers_hear_of_a_failure_on_every_level(driver: Any) -> None:
    recorder = Recorder()

    def fail(state: State) -> None:
        raise ValueError("boom")

    graph = chain(("sub", chain(("fail", fail), name="child")), name="outer")

    with pytest.raises(ValueError, match="boom"):
        driver.invoke(graph, {"x": 1}, {"callbacks": [recorder]})

    assert [told for told in recorder.told if told[0] != "start"] == [
        ("error", path, "ValueError('boom')")
        for path in ("outer/sub/child/fail", "outer/sub/child", "outer/sub", "outer")
    ]


def test_a_closed_stream_tells_its_handlers(driver: Any) -> None:
    recorder = Recorder()
    graph = chain(say("a"), say("b"), name="g")
    config = {"callbacks": [recorder]}

    async def leave() -> None:
        stream = graph.astream({"x": 1}, config)
        await stream.__anext__()
        await stream.aclose()

    if driver.name == "async":
        asyncio.run(leave())
    else:
        stream = graph.stream({"x": 1}, config)
        next(stream)
        stream.close()

    assert [path for what, path, _ in recorder.told if what == "error"] == ["g"]


def test_async_handlers_are_awaited() -> None:
    told: list[str] = []

    class Handler(AsyncCallbackHandler):
        async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            told.append(kwargs["name"])

        async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            told.append("end")

    asyncio.run(chain(say("a"), name="g").ainvoke({"x": 1}, {"callbacks": [Handler()]}))

    assert told == ["g", "a", "end", "end"]


def test_without_handlers_nothing_is_made_for_them(driver: Any) -> None:
    seen: list[Any] = []

    def node(state: State) -> None:
        task = get_config()["configurable"]["__pregel_task"]
        seen.append((task.callbacks, task.run.callbacks, task.run.is_traced))

    child = chain(("node", node))
    for callbacks in (None, []):
        driver.invoke(chain(("sub", child)), {"x": 1}, {"callbacks": callbacks})
    driver.invoke(chain(("call", lambda s, config: child.invoke(s, config))), {"x": 1})

    assert seen == [(None, None, False)] * 3


def test_custom_events_can_be_dispatched_whether_or_not_somebody_listens(driver: Any) -> None:
    heard: list[Any] = []

    class Handler(BaseCallbackHandler):
        def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
            heard.append((name, data))

    graph = chain(("node", lambda state: dispatch_custom_event("progress", state["x"])))

    driver.invoke(graph, {"x": 1})
    driver.invoke(graph, {"x": 2}, {"callbacks": [Handler()]})

    assert heard == [("progress", 2)]


def test_custom_events_of_async_nodes_can_be_dispatched() -> None:
    async def node(state: State, config: RunnableConfig) -> None:
        await adispatch_custom_event("progress", 1, config=config)

    assert asyncio.run(chain(("node", node)).ainvoke({"x": 1})) == {"x": 1, "log": []}


# -- several graphs in one node -------------------------------------------------------------------


def test_each_graph_called_in_one_node_has_a_namespace_of_its_own(driver: Any) -> None:
    child = chain(("inner", lambda state: get_stream_writer()(state["x"])))

    def call(state: State) -> dict[str, Any]:
        return {"log": [child.invoke({"x": n})["x"] for n in range(3)]}

    items = driver.stream(chain(("call", call)), {"x": 1}, stream_mode="custom", subgraphs=True)

    (task,) = {namespace[0] for namespace, _ in items}
    assert items == [((task,), 0), ((task, "1"), 1), ((task, "2"), 2)]


def test_graphs_awaited_together_in_one_node_do_not_mix() -> None:
    async def inner(state: State) -> None:
        for _ in range(3):
            get_stream_writer()(state["x"])
            await asyncio.sleep(0)

    child = chain(("inner", inner))

    async def call(state: State) -> dict[str, Any]:
        results = await asyncio.gather(*(child.ainvoke({"x": n}) for n in range(5)))
        return {"log": [result["x"] for result in results]}

    async def run() -> list[Any]:
        stream = chain(("call", call)).astream(
            {"x": 9}, stream_mode=["custom", "values"], subgraphs=True
        )
        return [item async for item in stream]

    items = asyncio.run(run())

    seen: dict[Any, list[Any]] = {}
    for namespace, mode, payload in items:
        if mode == "custom":
            seen.setdefault(namespace, []).append(payload)
    assert sorted(seen.values()) == [[n] * 3 for n in range(5)]
    assert items[-1] == ((), "values", {"x": 9, "log": [0, 1, 2, 3, 4]})


# -- printing -------------------------------------------------------------------------------------


def test_print_mode_prints_and_yields_nothing_more(driver: Any, capsys: Any) -> None:
    graph = chain(("sub", chain(say("a"))))

    items = driver.stream(
        graph, {"x": 1}, stream_mode="values", print_mode=["updates"], subgraphs=True
    )

    bold = "\x1b[1m[updates]\x1b[0m"
    inner, outer = capsys.readouterr().out.splitlines()
    assert inner.startswith(f"{bold} \x1b[1;30;33m[graph=('sub:")
    assert inner.endswith("{'a': {'log': ['a']}}")
    assert outer == bold + " {'sub': {'x': 1, 'log': ['a']}}"
    assert all("log" in item for _, item in items)


def test_invoke_prints_too(driver: Any, capsys: Any) -> None:
    result = driver.invoke(chain(say("a")), {"x": 1}, print_mode="updates")

    assert result == {"x": 1, "log": ["a"]}
    assert capsys.readouterr().out == "\x1b[1m[updates]\x1b[0m {'a': {'log': ['a']}}\n"


def test_what_is_printed_has_no_codes_where_nobody_wants_any(
    driver: Any, capsys: Any, monkeypatch: Any
) -> None:
    class Evil:
        def __repr__(self) -> str:
            return "\x1b]0;title\x07"

    monkeypatch.setenv("NO_COLOR", "1")
    graph = chain(("node", lambda state: {"log": [Evil()]}), debug=True)
    driver.invoke(graph, {"x": 1}, subgraphs=True)

    assert capsys.readouterr().out.splitlines()[1] == (
        "[updates] {'node': {'log': [\u241b]0;title\u2407]}}"
    )


def test_debug_prints_updates_and_values(driver: Any, capsys: Any) -> None:
    driver.invoke(chain(say("a"), debug=True), {"x": 1})

    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "\x1b[1m[values]\x1b[0m",
        "\x1b[1m[updates]\x1b[0m",
        "\x1b[1m[values]\x1b[0m",
    ]
