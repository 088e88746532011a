"""Routes to no node: who names what is said where it is wrong, and nothing is lost."""

from __future__ import annotations

import enum
import operator
import pickle
from typing import Annotated, Any, Literal

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream.channels import LastValue
from millstream.errors import EmptyInputError, InvalidRouteError, InvalidUpdateError
from millstream.graph import END, START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode
from millstream.pregel import NodeBuilder, Pregel
from millstream.pregel._structure.writers import ChannelWrite
from millstream.types import Command, Send

THREAD: Any = {"configurable": {"thread_id": "1"}}

# Most nodes are there to be named.
pytestmark = pytest.mark.filterwarnings("ignore::millstream.warnings.GraphWarning")


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


class Plain(enum.Enum):
    WRITER = "writer"


class Text(str, enum.Enum):
    WRITER = "writer"
    NOBODY = "nobody"


def say(name: str) -> Any:
    def node(state: Any) -> dict[str, Any]:
        return {"log": [name]}

    return node


def going(goto: Any, **options: Any) -> Any:
    """Return a graph whose first node goes there."""
    builder = StateGraph(State)
    builder.add_node("lead", lambda state: Command(goto=goto, update={"log": ["lead"]}))
    builder.add_node("researcher", say("researcher"))
    builder.add_node("writer", say("writer"))
    return builder.add_edge(START, "lead").compile(**options)


def branching(answer: Any, path_map: Any = None, **options: Any) -> Any:
    """Return a graph whose conditional edge answers so."""

    def choose(state: State) -> Any:
        return answer

    builder = StateGraph(State)
    builder.add_node("lead", say("lead"))
    builder.add_node("researcher", say("researcher"))
    builder.add_node("writer", say("writer"))
    builder.add_edge(START, "lead")
    return builder.add_conditional_edges("lead", choose, path_map).compile(**options)


def refusal(driver: Any, graph: Any, input: Any = None, config: Any = None) -> InvalidRouteError:
    with pytest.raises(InvalidRouteError) as caught:
        driver.invoke(graph, {"log": []} if input is None else input, config)
    return caught.value


@pytest.mark.parametrize(
    ("goto", "message"),
    [
        (
            "resercher",
            "Node 'lead' goes to 'resercher', which is no node of the graph. "
            "Did you mean 'researcher'?",
        ),
        (
            "zzz",
            "Node 'lead' goes to 'zzz', which is no node of the graph. "
            "Known: 'lead', 'researcher', 'writer'",
        ),
        (
            ["writer", "Researcher"],
            "Node 'lead' goes to 'Researcher', which is no node of the graph. "
            "Did you mean 'researcher'?",
        ),
        (
            "",
            "Node 'lead' goes to '', which is no node of the graph. "
            "Known: 'lead', 'researcher', 'writer'",
        ),
        (
            START,
            "Node 'lead' goes to '__start__', which is no node of the graph. "
            "Known: 'lead', 'researcher', 'writer'",
        ),
        (
            Send("riter", {}),
            "Node 'lead' sends a packet to 'riter', which is no node of the graph. "
            "Did you mean 'writer'?",
        ),
        (
            [Send(END, {})],
            "Cannot send a packet to the END node, as node 'lead' does. "
            "Known: 'lead', 'researcher', 'writer'",
        ),
        (
            None,
            "In Command.goto, expected Send/str, got NoneType: node 'lead' goes to None. "
            "Known: 'lead', 'researcher', 'writer'",
        ),
        (
            True,
            "In Command.goto, expected Send/str, got bool: node 'lead' goes to True. "
            "Known: 'lead', 'researcher', 'writer'",
        ),
        (
            ["writer", None],
            "In Command.goto, expected Send/str, got NoneType: node 'lead' goes to None. "
            "Known: 'lead', 'researcher', 'writer'",
        ),
        (
            Plain.WRITER,
            "In Command.goto, expected Send/str, got Plain: node 'lead' goes to "
            "<Plain.WRITER: 'writer'>. Did you mean 'writer'?",
        ),
        (
            Text.NOBODY,
            "Node 'lead' goes to <Text.NOBODY: 'nobody'>, which is no node of the graph. "
            "Known: 'lead', 'researcher', 'writer'",
        ),
    ],
    ids=repr,
)
def test_a_goto_to_no_node_is_refused(driver: Any, goto: Any, message: str) -> None:
    assert str(refusal(driver, going(goto))) == message


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            "resercher",
            "The path 'choose' after 'lead' goes to 'resercher', which is no node of the graph. "
            "Did you mean 'researcher'?",
        ),
        (
            ["writer", "zzz"],
            "The path 'choose' after 'lead' goes to 'zzz', which is no node of the graph. "
            "Known: 'lead', 'researcher', 'writer'",
        ),
        (
            True,
            "The path 'choose' after 'lead' goes to True, which is neither the name of a node nor "
            "a Send; a path map says what other answers mean. "
            "Known: 'lead', 'researcher', 'writer'",
        ),
        (
            Plain.WRITER,
            "The path 'choose' after 'lead' goes to <Plain.WRITER: 'writer'>, which is neither the "
            "name of a node nor a Send; a path map says what other answers mean. "
            "Did you mean 'writer'?",
        ),
        (
            None,
            "Branch did not return a valid destination: the path 'choose' after 'lead' answered "
            "None. Known: 'lead', 'researcher', 'writer'",
        ),
        (
            START,
            "Branch did not return a valid destination: the path 'choose' after 'lead' answered "
            "'__start__'. Known: 'lead', 'researcher', 'writer'",
        ),
        (
            Send("riter", {}),
            "The path 'choose' after 'lead' sends a packet to 'riter', which is no node of the "
            "graph. Did you mean 'writer'?",
        ),
        (
            Send(END, {}),
            "Cannot send a packet to the END node, as the path 'choose' after 'lead' does. "
            "Known: 'lead', 'researcher', 'writer'",
        ),
    ],
    ids=repr,
)
def test_a_path_to_no_node_is_refused(driver: Any, answer: Any, message: str) -> None:
    assert str(refusal(driver, branching(answer))) == message


@pytest.mark.parametrize("answer", ["wirter", None, True, END, {}, ["writer", "wirter"]], ids=repr)
@pytest.mark.parametrize("path_map", [["writer"], {"writer": "researcher"}], ids=["list", "dict"])
def test_an_answer_that_the_path_map_lacks_is_refused(
    driver: Any, answer: Any, path_map: Any
) -> None:
    error = refusal(driver, branching(answer, path_map))

    answered = answer[-1] if isinstance(answer, list) else answer
    assert str(error).startswith(
        f"The path 'choose' after 'lead' answered {answered!r}, which its path map does not have."
    )
    assert error.target == answered
    assert error.nearest == (("writer",) if answered == "wirter" else ())


@pytest.mark.parametrize(
    ("target", "log"),
    [
        (END, ["lead"]),
        ([], ["lead"]),
        (Text.WRITER, ["lead", "writer"]),
        (["writer", END], ["lead", "writer"]),
        (("researcher", Send("writer", {})), ["lead", "researcher", "writer"]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("graph", [going, branching])
def test_what_leads_somewhere_still_does(driver: Any, graph: Any, target: Any, log: Any) -> None:
    assert driver.invoke(graph(target), {"log": []})["log"] == log


def test_a_packet_may_go_to_the_start(driver: Any) -> None:
    def lead(state: State) -> Command[Any]:
        once = [] if "again" in state["log"] else [Send(START, {"log": ["again"]})]
        return Command(goto=once, update={"log": ["lead"]})

    graph = StateGraph(State).add_node("lead", lead).add_edge(START, "lead").compile()

    assert driver.invoke(graph, {"log": []})["log"] == ["lead", "again", "lead"]


def test_the_error_is_what_programs_catch() -> None:
    error = InvalidRouteError("words", source="a", target="b", nearest=["c"])

    assert isinstance(error, (InvalidUpdateError, ValueError))
    assert isinstance(error, KeyError)
    assert isinstance(error, TypeError)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.source, copy.target, copy.nearest) == ("words", "a", "b", ("c",))


def test_the_edge_from_the_start_is_no_exception(driver: Any) -> None:
    builder = StateGraph(State).add_node("writer", say("writer"))
    builder.add_conditional_edges(START, lambda state: "riter")

    error = refusal(driver, builder.compile())

    assert (error.source, error.target, error.nearest) == (START, "riter", ("writer",))


def test_a_command_for_the_parent_names_nodes_of_the_parent(driver: Any) -> None:
    child = StateGraph(State).add_node(
        "inner", lambda state: Command(graph=Command.PARENT, goto="inner")
    )
    middle = StateGraph(State).add_node("child", child.add_edge(START, "inner").compile())
    builder = StateGraph(State).add_node("team", middle.add_edge(START, "child").compile())

    error = refusal(driver, builder.add_edge(START, "team").compile())

    assert str(error) == (
        "Node 'child' goes to 'inner', which is no node of the graph. Known: 'child'"
    )


def test_a_tool_that_goes_nowhere_is_refused(driver: Any) -> None:
    @tool
    def transfer() -> Command[Any]:
        """Hand over."""
        return Command(goto="resercher", update={"messages": []}, graph=Command.PARENT)

    @tool
    def move() -> Command[Any]:
        """Move on."""
        return Command(goto="resercher")

    for chosen, source in ((transfer, "agent"), (move, "tools")):
        tools = StateGraph(MessagesState).add_node("tools", ToolNode([chosen]))
        builder = StateGraph(MessagesState).add_node(
            "agent", tools.add_edge(START, "tools").compile()
        )
        builder.add_node("researcher", say("researcher")).add_edge(START, "agent")
        calls: Any = [{"name": chosen.name, "args": {}, "id": "1"}]

        error = refusal(driver, builder.compile(), {"messages": [AIMessage("", tool_calls=calls)]})

        assert (error.source, error.target) == (source, "resercher")


def test_an_error_handler_may_take_care_of_a_wrong_route(driver: Any) -> None:
    builder = StateGraph(State)
    builder.add_node(
        "lead",
        lambda state: Command(goto="zzz"),
        error_handler=lambda state: Command(goto="writer", update={"log": ["handled"]}),
    )
    builder.add_node("writer", say("writer")).add_edge(START, "lead")

    assert driver.invoke(builder.compile(), {"log": []})["log"] == ["handled", "writer"]


# -- input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_known", [False, True], ids=["fresh", "known"])
@pytest.mark.parametrize(
    "goto",
    ["resercher", START, True, 5, Plain.WRITER, ["writer", None], Send("zzz", {}), Send(END, {})],
    ids=repr,
)
def test_an_input_that_goes_nowhere_changes_nothing(driver: Any, goto: Any, is_known: bool) -> None:
    graph = going("writer", checkpointer=InMemorySaver())
    if is_known:
        driver.invoke(graph, {"log": []}, THREAD)
    before = list(graph.get_state_history(THREAD))

    error = refusal(driver, graph, Command(goto=goto, update={"log": ["in"]}), THREAD)

    assert error.source == START
    assert list(graph.get_state_history(THREAD)) == before


@pytest.mark.parametrize("goto", [None, "", END, [], (), [END]], ids=repr)
def test_an_input_may_say_that_it_goes_nowhere(driver: Any, goto: Any, caplog: Any) -> None:
    graph = going("writer", checkpointer=InMemorySaver(), interrupt_before=["writer"])
    driver.invoke(graph, {"log": []}, THREAD)

    result = driver.invoke(graph, Command(goto=goto, update={"log": ["in"]}), THREAD)

    assert result["log"] == ["lead", "in", "writer"]
    fresh = driver.invoke(going("writer"), Command(goto=goto, update={"log": ["in"]}))
    assert fresh["log"] == ["in", "lead", "writer"]
    assert caplog.messages == []


@pytest.mark.parametrize("goto", [None, "", []], ids=repr)
def test_a_command_that_says_nothing_is_empty(driver: Any, goto: Any) -> None:
    with pytest.raises(EmptyInputError, match="give it an update, a goto or a resume value"):
        driver.invoke(going("writer"), Command(goto=goto))


def test_an_input_may_name_a_node_by_an_enum_of_texts(driver: Any) -> None:
    graph = going(END, checkpointer=InMemorySaver())
    driver.invoke(graph, {"log": []}, THREAD)

    result = driver.invoke(graph, Command(goto=Text.WRITER), THREAD)

    assert result["log"] == ["lead", "writer"]


# -- saved state ----------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [going, branching])
@pytest.mark.parametrize("values", [Command(goto="resercher"), Command(goto=Send("zzz", {}))])
def test_an_update_that_goes_nowhere_changes_nothing(graph: Any, values: Any) -> None:
    app = graph("writer", checkpointer=InMemorySaver())
    app.invoke({"log": []}, THREAD)
    before = list(app.get_state_history(THREAD))

    with pytest.raises(InvalidRouteError, match="ode 'lead' "):
        app.update_state(THREAD, values, as_node="lead")

    assert list(app.get_state_history(THREAD)) == before


def test_an_update_asks_paths_that_may_go_nowhere() -> None:
    app = branching("writer", checkpointer=InMemorySaver())
    app.invoke({"log": []}, THREAD)
    lost = branching("resercher", checkpointer=app.checkpointer)

    with pytest.raises(InvalidRouteError, match="Did you mean 'researcher'"):
        lost.update_state(THREAD, {"log": ["x"]}, as_node="lead")


@pytest.mark.parametrize("goto", ["gone", Send("gone", {"log": ["packet"]})], ids=repr)
def test_a_thread_that_waits_for_a_node_that_is_gone_can_be_read(
    driver: Any, goto: Any, caplog: Any
) -> None:
    saver = InMemorySaver()
    old = StateGraph(State).add_node("lead", lambda state: Command(goto=["writer", goto]))
    old.add_node("writer", say("writer")).add_node("gone", say("gone")).add_edge(START, "lead")
    driver.invoke(old.compile(saver, interrupt_before=["writer"]), {"log": ["in"]}, THREAD)
    new = going("writer", checkpointer=saver)

    assert new.get_state(THREAD).next == ("writer",)
    assert len(list(new.get_state_history(THREAD))) == 3
    assert driver.invoke(new, None, THREAD) == {"log": ["in", "writer"]}


def test_stored_writes_for_no_node_are_dropped_with_a_warning(driver: Any, caplog: Any) -> None:
    graph = going("writer", checkpointer=InMemorySaver(), interrupt_before=["writer"])
    driver.invoke(graph, {"log": []}, THREAD)
    state = graph.get_state(THREAD)
    writes: Any = [
        ("log", ["stored"]),
        ("branch:to:gone", None),
        ("__pregel_tasks", Send("gone", {})),
    ]
    graph.checkpointer.put_writes(state.config, writes, state.tasks[0].id)

    assert graph.get_state(THREAD).tasks[0].result == {"log": ["stored"]}
    assert driver.invoke(graph, None, THREAD) == {"log": ["lead", "stored"]}
    assert any("unknown channel branch:to:gone" in message for message in caplog.messages)
    assert "Ignoring unknown node name gone in pending sends" in caplog.messages


# -- building -------------------------------------------------------------------------------------


def annotated(state: State) -> Command[Literal["writer", "resercher"]]:
    return Command(goto="writer")


def literal(state: State) -> Literal["writer", "resercher"]:
    return "writer"


def with_researcher() -> StateGraph[Any]:
    builder = StateGraph(State).add_node("lead", say("lead")).add_edge(START, "lead")
    return builder.add_node("researcher", say("researcher")).add_node("writer", say("writer"))


@pytest.mark.parametrize(
    ("builder", "problem", "source"),
    [
        (
            with_researcher().add_edge("lead", "resercher"),
            "Found edge ending at unknown node `resercher`, starting at 'lead'",
            "lead",
        ),
        (
            with_researcher().add_edge("resercher", "lead"),
            "Found edge starting at unknown node 'resercher'",
            "resercher",
        ),
        (
            with_researcher().add_conditional_edges("lead", say("x"), {"x": "resercher"}),
            "At 'lead' node, 'node' branch found unknown target 'resercher'",
            "lead",
        ),
        (
            with_researcher().add_conditional_edges("lead", say("x"), ["resercher"]),
            "At 'lead' node, 'node' branch found unknown target 'resercher'",
            "lead",
        ),
        (
            with_researcher().add_conditional_edges("lead", literal),
            "At 'lead' node, 'literal' branch found unknown target 'resercher'",
            "lead",
        ),
        (
            with_researcher().add_node("boss", annotated),
            "Found edge ending at unknown node `resercher`, starting at 'boss'",
            "boss",
        ),
        (
            with_researcher().add_node("boss", say("x"), destinations=("resercher",)),
            "Found edge ending at unknown node `resercher`, starting at 'boss'",
            "boss",
        ),
        (
            with_researcher().add_node("boss", say("x"), error_handler=annotated),
            "Found edge ending at unknown node `resercher`, starting at '__error_handler__boss'",
            "__error_handler__boss",
        ),
        (
            with_researcher().set_node_defaults(error_handler=annotated),
            "Found edge ending at unknown node `resercher`, "
            "starting at '__default_error_handler__'",
            "__default_error_handler__",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "builder",
)
def test_a_route_that_is_declared_is_checked_by_compile(
    builder: Any, problem: str, source: str
) -> None:
    with pytest.raises(InvalidRouteError) as caught:
        builder.compile()

    error = caught.value
    assert str(error) == f"{problem}. Did you mean 'researcher'?"
    assert (error.source, error.target, error.nearest) == (source, "resercher", ("researcher",))


def test_an_error_shows_some_of_many_nodes() -> None:
    builder = StateGraph(State)
    for index in range(20):
        builder.add_node(f"n{index}", say(f"n{index}"))
    builder.add_edge(START, "zzzz")

    with pytest.raises(InvalidRouteError) as caught:
        builder.compile()

    assert str(caught.value).endswith("Known: 'n0', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7', ...")


@pytest.mark.parametrize("is_raw", [True, False], ids=["raw", "state"])
def test_a_packet_that_is_written_by_hand_to_no_node_is_refused(driver: Any, is_raw: bool) -> None:
    def write(value: Any, config: RunnableConfig) -> Any:
        ChannelWrite.do_write(config, [Send("writr", value)])
        return value

    saver = InMemorySaver()
    if is_raw:
        nodes = {
            "a": NodeBuilder().subscribe_only("in").do(write),
            "writer": NodeBuilder().do(write),
        }
        channels: Any = {"in": LastValue(int), "out": LastValue(int)}
        graph: Any = Pregel(
            nodes=nodes,
            channels=channels,
            input_channels="in",
            output_channels="out",
            checkpointer=saver,
        )
    else:
        builder = StateGraph(State).add_node("a", write).add_node("writer", say("writer"))
        graph = builder.add_edge(START, "a").compile(checkpointer=saver)

    with pytest.raises(InvalidRouteError, match="Node 'a' sends a packet to 'writr'"):
        driver.invoke(graph, 1 if is_raw else {"log": []}, THREAD)

    assert graph.get_state(THREAD).next == ("a",)
