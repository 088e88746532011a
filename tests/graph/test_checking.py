"""What `check` says of graphs, and what it does not say of those that are right."""

from __future__ import annotations

import asyncio
import functools
import operator
import time
import warnings
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream._base.distributions import is_installed
from millstream.checking import CODES, Finding, Place, check
from millstream.func import entrypoint
from millstream.graph import END, START, MessagesState, StateGraph
from millstream.journal import MemoryJournal
from millstream.types import Command, Send, interrupt
from millstream.warnings import GraphWarning

pytestmark = pytest.mark.filterwarnings("ignore::millstream.warnings.GraphWarning")


class State(TypedDict):
    question: str
    answer: str
    log: Annotated[list[str], operator.add]


def found_in(graph: Any) -> list[Finding]:
    """Return what is found, but for keys that nobody uses: `State` has more than a test needs."""
    return [finding for finding in check(graph) if finding.code != "unused-key"]


def codes(graph: Any) -> list[str]:
    return [finding.code for finding in found_in(graph)]


def one_node(node: Any, schema: Any = State, **options: Any) -> Any:
    builder = StateGraph(schema).add_node("node", node).add_edge(START, "node")
    return builder.compile(**options)


def two_nodes(**options: Any) -> StateGraph[Any]:
    """Return a builder of two nodes, to the first of which an edge leads."""
    builder = StateGraph(State).add_node("first", lambda state: {"log": ["first"]}, **options)
    builder.add_node("second", lambda state: {"log": ["second"]})
    return builder.add_edge(START, "first")


# Nodes whose results can be seen, in all forms.


def under_a_name(state: State) -> Any:
    update: dict[str, Any] = {"log": []}
    update["anser"] = "no"
    return update


def under_a_name_that_is_read(state: State) -> Any:
    update = {"anser": "no"}
    if update["anser"]:
        return update
    update["question"] = update["anser"]
    return update


def in_a_command(state: State) -> Any:
    return Command(update={"anser": "no"}, goto=END)


def in_one_of_two(state: State) -> Any:
    return {"answer": "yes"} if state["question"] else {"anser": "no"}


def in_a_list(state: State) -> Any:
    return [Command(goto=END), {"anser": "no"}]


class Callable_:
    def __call__(self, state: State) -> Any:
        return {"anser": "no"}

    def method(self, state: State) -> Any:
        return {"anser": "no"}


async def in_an_async_one(state: State) -> Any:
    return {"anser": "no"}


def with_an_argument(state: State, *, more: int) -> Any:
    return {"anser": more}


@pytest.mark.parametrize(
    "node",
    [
        under_a_name,
        in_a_command,
        in_one_of_two,
        in_a_list,
        in_an_async_one,
        Callable_(),
        Callable_().method,
        RunnableLambda(in_one_of_two),
        RunnableLambda(in_one_of_two).with_config(tags=["bound"]),
        under_a_name_that_is_read,
        functools.partial(with_an_argument, more=1),
        lambda state: {"anser": "no"},
    ],
)
def test_a_key_that_no_class_has_is_found_where_it_is_returned(node: Any) -> None:
    (finding,) = found_in(one_node(node))

    assert (finding.code, finding.severity) == ("unknown-key", "error")
    assert "'anser'" in finding.message
    assert finding.advice == "did you mean 'answer'?"
    assert finding.place is not None
    assert finding.place.file == __file__
    line = Path(__file__).read_text(encoding="utf-8").splitlines()[finding.place.line - 1]
    assert "anser" in line


def renamed(function: Any) -> Any:
    @functools.wraps(function)
    def around(state: State) -> Any:
        return {"answer": function(state)["anser"]}

    return around


def from_elsewhere(state: State) -> Any:
    return Callable_()(state)


@pytest.mark.parametrize("node", [renamed(Callable_().method), from_elsewhere, operator.itemgetter])
def test_what_cannot_be_seen_is_right(node: Any) -> None:
    assert found_in(one_node(node)) == []


def with_more(state: State) -> Any:
    return {"answer": "yes", "score": 1}


def by_score(state: Any) -> str:
    return END if state["score"] else "node"


def test_a_key_that_only_a_path_looks_at_is_not_lost() -> None:
    builder = StateGraph(State).add_node("node", with_more).add_edge(START, "node")

    assert codes(builder.add_conditional_edges("node", by_score).compile()) == []


class Part(TypedDict):
    question: str


def of_a_part(state: Part) -> Any:
    return {"answer": state["answer"]}  # type: ignore[typeddict-item]


def test_a_key_of_another_class_is_told_from_one_that_nobody_has() -> None:
    (finding,) = found_in(one_node(of_a_part))

    assert finding.code == "unreadable-key"
    assert "its state class Part does not have" in finding.message
    assert finding.advice == "add it to Part"


def carefully(state: Any) -> Any:
    if "mood" not in state:
        return {"answer": "yes"}
    return {"answer": state["mood"]}


def by_trying(state: Any) -> Any:
    try:
        return {"answer": state["mood"]}
    except KeyError:
        return {"answer": "yes"}


@pytest.mark.parametrize(
    "node", [carefully, by_trying, lambda state: {"answer": state.get("mood")}]
)
def test_a_key_that_may_be_missing_is_only_doubtful(node: Any) -> None:
    (finding,) = found_in(one_node(node))

    assert (finding.code, finding.severity) == ("unreadable-key", "warning")


def sending(state: State) -> Any:
    return [Send("second", {"item": name}) for name in state["log"]]


def test_what_is_sent_may_have_any_keys() -> None:
    builder = StateGraph(State).add_conditional_edges(START, sending)
    builder.add_node("second", lambda state: {"log": [state["item"]]})

    assert codes(builder.compile()) == []


@dataclass
class Fields:
    question: str = ""
    answer: str = ""

    def shout(self) -> str:
        return self.question.upper()


def of_fields(state: Fields) -> Any:
    return {"answer": f"{state.shout()} {state.querstion}"}  # type: ignore[attr-defined]


def test_an_attribute_that_a_class_does_not_have_is_found() -> None:
    (finding,) = found_in(one_node(of_fields, Fields))

    assert finding.code == "unreadable-key"
    assert finding.advice == "did you mean 'question'?"


class Way(str, Enum):
    SECOND = "second"
    NOWHERE = "nowhere"


SECOND = "second"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (lambda state: "secnd", ["unknown-node"]),
        (lambda state: SECOND, []),
        (lambda state: Way.SECOND, []),
        (lambda state: ["second", END], []),
        (lambda state: [Send("secnd", {})], ["unknown-node"]),
        (lambda state: state["answer"], []),
        (lambda state: "second" if state["answer"] else END, []),
    ],
)
def test_where_paths_lead_is_seen(path: Any, expected: list[str]) -> None:
    assert codes(two_nodes().add_conditional_edges("first", path).compile()) == expected


def to_second(state: State) -> Any:
    return Command(goto="second")


def to_anything(state: State) -> Any:
    return Command(goto=state["answer"])


def annotated(state: State) -> Command[Literal["second"]]:
    return Command(goto=state["answer"])  # type: ignore[arg-type]


@pytest.mark.parametrize("node", [to_second, to_anything, annotated])
def test_commands_lead_to_nodes(node: Any) -> None:
    builder = two_nodes().add_node("third", node).add_edge("first", "third")

    assert codes(builder.compile()) == []


def test_where_results_cannot_be_seen_a_lost_node_is_doubtful() -> None:
    builder = two_nodes().add_node("third", from_elsewhere).add_edge("first", "third")

    (finding,) = found_in(builder.compile())

    assert (finding.code, finding.severity) == ("unreachable-node", "warning")


def test_only_the_first_of_nodes_that_never_run_is_named() -> None:
    builder = two_nodes().add_node("third", lambda state: {"log": []}).add_edge("second", "third")

    (finding,) = found_in(builder.compile())

    assert "'second' never runs" in finding.message


def to_parent(state: State) -> Any:
    return Command(goto="second", graph=Command.PARENT)


def test_a_graph_that_a_node_calls_may_lead_to_others() -> None:
    inner = one_node(to_parent)
    builder = StateGraph(State).add_node("caller", lambda state: {"log": [inner.invoke(state)]})
    builder.add_node("second", lambda state: {"log": []}).add_edge(START, "caller")

    with warnings.catch_warnings():
        warnings.simplefilter("error", GraphWarning)
        graph = builder.compile()

    (finding,) = found_in(graph)
    assert (finding.code, finding.severity) == ("unreachable-node", "warning")


def test_a_nested_graph_leads_to_nodes_around_it() -> None:
    builder = StateGraph(State).add_node("nested", one_node(to_parent)).add_edge(START, "nested")
    builder.add_node("second", lambda state: {"log": ["second"]})

    assert codes(builder.compile()) == []


def test_an_error_handler_is_led_to() -> None:
    def handle(state: State, error: Any) -> Any:
        return {"answer": "sorry"}

    builder = two_nodes(error_handler=handle).add_edge("first", "second")

    assert codes(builder.compile()) == []


def test_the_handler_of_all_nodes_leads_to_others() -> None:
    def handle(state: State, error: Any) -> Any:
        return Command(goto="second")

    assert codes(two_nodes().set_node_defaults(error_handler=handle).compile()) == []


def test_findings_of_a_nested_graph_say_where_it_is() -> None:
    inner = one_node(in_a_command)
    outer = StateGraph(State).add_node("inner", inner).add_edge(START, "inner").compile()

    (finding,) = found_in(outer)

    assert finding.graph == ("inner",)
    assert finding.text.startswith("in inner: node 'node' returns 'anser'")


def asking(state: State) -> Any:
    return {"answer": interrupt("?")}


def raising(state: State) -> Any:
    if state["answer"] == "enough":
        raise ValueError
    return {"answer": "more"}


@pytest.mark.parametrize("node", [asking, raising])
def test_a_loop_that_a_node_may_end_is_none_without_end(node: Any) -> None:
    builder = two_nodes().add_node("third", node)
    builder.add_edge("first", "third").add_edge("third", "second").add_edge("second", "first")

    assert codes(builder.compile(InMemorySaver())) == []


def test_a_loop_that_stops_at_a_breakpoint_is_none_without_end() -> None:
    builder = two_nodes().add_edge("first", "second").add_edge("second", "first")

    assert codes(builder.compile()) == ["endless-loop"]
    assert codes(builder.compile(InMemorySaver(), interrupt_before=["second"])) == []


def test_an_edge_that_waits_is_no_loop_by_itself() -> None:
    builder = two_nodes().add_edge("first", "second").add_edge(["first", "second"], "first")

    assert codes(builder.compile()) == []


def pause() -> None:
    time.sleep(0)


class Client:
    def invoke(self, value: Any) -> Any:
        return value


client = Client()


async def calling_a_function(state: State) -> Any:
    pause()
    return {"answer": ""}


async def invoking(state: State) -> Any:
    return {"answer": client.invoke("?")}


async def in_a_thread(state: State) -> Any:
    await asyncio.to_thread(client.invoke, "?")
    await asyncio.to_thread(lambda: time.sleep(0))
    return {"answer": ""}


async def importing(state: State) -> Any:
    from time import sleep as rest

    rest(0)  # noqa: ASYNC251
    return {"answer": ""}


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (calling_a_function, "calls pause(), which calls time.sleep()"),
        (invoking, ".Client.invoke()"),
        (importing, "calls time.sleep()"),
        (in_a_thread, ""),
        (lambda state: {"answer": pause()}, ""),
    ],
)
def test_calls_that_wait_are_found_in_async_nodes(node: Any, said: str) -> None:
    found = [finding for finding in check(one_node(node)) if finding.code == "blocking-call"]

    assert len(found) == (1 if said else 0)
    assert all(said in finding.message for finding in found)


def test_an_entrypoint_is_checked_too() -> None:
    @entrypoint()
    async def work(value: int) -> int:
        time.sleep(0)  # noqa: ASYNC251
        return value

    assert codes(work) == ["blocking-call"]


class SyncSaver(InMemorySaver):
    async def aget_tuple(self, config: Any) -> Any:
        raise NotImplementedError


SyncSaver.aget_tuple = InMemorySaver.__mro__[1].aget_tuple  # type: ignore[method-assign,attr-defined]


@pytest.mark.parametrize(
    ("node", "saver", "expected"),
    [
        (in_a_thread, SyncSaver(), ["sync-saver"]),
        (in_a_thread, InMemorySaver(), []),
        (in_a_thread, MemoryJournal(), []),
        (lambda state: {"answer": ""}, SyncSaver(), []),
    ],
)
def test_a_saver_that_async_nodes_cannot_use_is_found(
    node: Any, saver: Any, expected: list[str]
) -> None:
    assert codes(one_node(node, checkpointer=saver)) == expected


def test_a_saver_for_event_loops_is_doubtful_without_async_nodes() -> None:
    kind = type(
        "AsyncSqliteSaver", (InMemorySaver,), {"__module__": "langgraph.checkpoint.sqlite.aio"}
    )

    assert codes(one_node(lambda state: {"answer": ""}, checkpointer=kind())) == ["async-saver"]
    assert codes(one_node(in_a_thread, checkpointer=kind())) == []


def quiet(state: State) -> Any:
    return {"anser": ""}  # millstream: ignore[unknown-key, bad-result]


def quiet_about_all(state: State) -> Any:
    return {"anser": ""}  # it is meant so; millstream: ignore


def quiet_about_others(state: State) -> Any:
    return {"anser": ""}  # millstream: ignore[bad-result]


def test_a_comment_leaves_a_finding_out() -> None:
    assert codes(one_node(quiet)) == []
    assert codes(one_node(quiet_about_all)) == []
    assert codes(one_node(quiet_about_others)) == ["unknown-key"]


def test_a_state_of_one_value_has_no_keys() -> None:
    assert codes(one_node(lambda state: f"{state}!", str)) == []


def test_the_keys_of_messages_are_known() -> None:
    graph = one_node(lambda state: {"messages": state["messages"][-1:]}, MessagesState)

    assert codes(graph) == []


def test_a_file_that_was_edited_since_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "node.py"
    file.write_text("def node(state):\n    return {'answer': ''}\n", encoding="utf-8")
    names: dict[str, Any] = {"__name__": "node"}
    exec(compile(file.read_text(encoding="utf-8"), file, "exec", dont_inherit=True), names)
    file.write_text("def node(state):\n    return {'anser': ''}\n", encoding="utf-8")

    assert codes(one_node(names["node"])) == []


def test_what_is_no_compiled_graph_is_refused() -> None:
    with pytest.raises(TypeError, match="call `compile\\(\\)` of a builder"):
        check("graph")


def test_a_finding_says_all_in_one_line() -> None:
    finding = Finding("unused-key", "the key 'a' is idle", "remove it", Place("a.py", 3), "warning")

    assert str(finding) == "a.py:3: warning: the key 'a' is idle; remove it [unused-key]"
    assert set(CODES.values()) == {"error", "warning"}


# What compile says by itself.


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: two_nodes().compile(), "unreachable-node"),
        (lambda: one_node(in_a_command), "unknown-key"),
        (lambda: one_node(in_a_thread, checkpointer=SyncSaver()), "sync-saver"),
    ],
)
@pytest.mark.filterwarnings("default::millstream.warnings.GraphWarning")
def test_compile_warns_of_what_is_certain(make: Any, code: str) -> None:
    with pytest.warns(GraphWarning) as caught:
        make()

    (warning,) = caught
    assert isinstance(warning.message, GraphWarning)
    assert warning.message.code == code
    assert str(warning.message).endswith(f"[{code}]")
    # Where `compile` is called.
    assert warning.filename == __file__


@pytest.mark.filterwarnings("default::millstream.warnings.GraphWarning")
def test_compile_names_three_nodes_at_most() -> None:
    builder = two_nodes()
    for number in range(5):
        builder.add_node(f"lost{number}", lambda state: {"log": []})

    with pytest.warns(GraphWarning) as caught:
        builder.compile()

    assert len(caught) == 3


@pytest.mark.parametrize(
    "node",
    [lambda state: {"answr": "x"}, lambda state: {"answer": "x"}],
    ids=["a key that is lost", "a node that is"],
)
def test_compiling_again_reads_no_file_again(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs may be made for each request, and whoever is warned may not mind."""
    builder = StateGraph(State).add_node("node", node).add_node("lost", node)
    builder.add_edge(START, "node")
    with pytest.warns(GraphWarning) as first:
        builder.compile()

    def fail(*arguments: Any) -> Any:
        raise AssertionError("a file is read again")

    monkeypatch.setattr("ast.parse", fail)
    with pytest.warns(GraphWarning) as again:
        builder.compile()

    assert [str(warning.message) for warning in again] == [
        str(warning.message) for warning in first
    ]


@pytest.mark.filterwarnings("error::millstream.warnings.GraphWarning")
def test_compile_does_not_warn_of_what_is_only_probable() -> None:
    one_node(calling_a_function)
    one_node(carefully)
    one_node(quiet)
    two_nodes().add_edge("first", "second").add_edge("second", "first").compile()
    two_nodes().add_node("third", from_elsewhere).add_edge("first", "third").compile()


# What compile does not say of programs that are right.


def with_a_score(state: State) -> Any:
    return {"answer": "yes", "score": 1}


def for_one_of_two(has_more: bool) -> Any:
    def node(state: State) -> Any:
        update = {"answer": "yes"}
        if has_more:
            update["answers"] = "yes"
        return update

    return node


def taken_out(state: State) -> Any:
    update = {"answer": "", "anser": "yes"}
    update["answer"] = update.pop("anser")
    return update


def deleted(state: State) -> Any:
    update = {"answer": "yes", "anser": "yes"}
    del update["anser"]
    return update


def split(update: dict[str, str]) -> Any:
    return {"answer": update["anser"]}, None


def made_anew(state: State) -> Any:
    update: Any = {"anser": "yes"}
    update, _ = split(update)
    return update


def taken_out_inside(state: State) -> Any:
    update = {"answer": "yes", "anser": "yes"}

    def tidy() -> None:
        del update["anser"]

    tidy()
    return update


class Step(Runnable[Any, Any]):
    def __init__(self, func: Any) -> None:
        self.func = func

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return {"answer": self.func(input)["anser"]}


class AsyncStep(Runnable[Any, Any]):
    afunc = staticmethod(in_an_async_one)

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return {"answer": asyncio.run(self.afunc(input))["anser"]}


def declared_paths() -> StateGraph[Any]:
    builder = StateGraph(State).add_node("pick", to_anything, destinations=("first",))
    builder.add_node("first", lambda state: {"log": []})
    return builder.add_node("second", lambda state: {"log": []}).add_edge(START, "pick")


def dispatch(state: State) -> Any:
    return [Send("second", state)]


def fan_out(state: State) -> Any:
    return dispatch(state)


where = "first"


def to_a_variable(state: State) -> Any:
    return [Send(where, state)]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: one_node(with_a_score), id="shared with a wider graph"),
        pytest.param(lambda: one_node(for_one_of_two(False)), id="a closure"),
        pytest.param(lambda: one_node(taken_out), id="taken out"),
        pytest.param(lambda: one_node(deleted), id="deleted"),
        pytest.param(lambda: one_node(made_anew), id="made anew"),
        pytest.param(lambda: one_node(taken_out_inside), id="taken out inside"),
        pytest.param(lambda: one_node(Step(in_one_of_two)), id="a runnable with a func"),
        pytest.param(lambda: one_node(RunnablePassthrough(in_one_of_two)), id="passed through"),
        pytest.param(
            lambda: one_node(AsyncStep(), checkpointer=SyncSaver()), id="a runnable with an afunc"
        ),
        pytest.param(lambda: declared_paths().compile(), id="declared ends"),
        *(
            pytest.param(
                lambda path=path: (
                    two_nodes()
                    .add_node("third", lambda state: {"log": []})
                    .add_edge("first", "third")
                    .add_conditional_edges("first", path, ["third"])
                    .compile()
                ),
                id=path.__name__,
            )
            for path in (fan_out, to_a_variable)
        ),
    ],
)
@pytest.mark.filterwarnings("error::millstream.warnings.GraphWarning")
def test_compile_does_not_warn_of_programs_that_are_right(make: Any) -> None:
    assert all(finding.severity == "warning" for finding in found_in(make()))


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/lib/python3.11/site-packages/wheel/a.py", True),
        ("C:\\lib\\site-packages\\wheel\\a.py", True),
        ("/usr/lib/python3/dist-packages/a.py", True),
        (functools.__file__, True),
        ("<frozen runpy>", True),
        ("/home/mill/my-site-packages-demo/a.py", False),
        ("/home/mill/app.py", False),
    ],
)
def test_a_file_is_installed_by_the_folder_that_it_is_in(file: str, expected: bool) -> None:
    assert is_installed(file) is expected


class Odd(RunnableLambda[Any, Any]):
    @property
    def afunc(self) -> Any:
        raise RuntimeError("not to be asked")

    @property
    def func(self) -> Any:
        raise RuntimeError("not to be asked")


def test_a_check_that_fails_keeps_nobody_from_compiling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    builder = two_nodes()
    builder.nodes["second"].runnable = object.__new__(Odd)

    with warnings.catch_warnings():
        warnings.simplefilter("error", GraphWarning)
        builder.validate()
        from millstream.graph._checking.certain import warn_of_certain

        warn_of_certain(object(), builder)
