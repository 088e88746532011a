"""What tools are given besides the model's arguments, and what is said when there is none."""

from __future__ import annotations

import pickle
from typing import Annotated, Any

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, tool
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph, add_messages
from millstream.prebuilt import InjectedState, InjectedStore, ToolNode, ToolRuntime
from millstream.prebuilt._tools.injection import MissingStateKeyError
from prebuilt.conversation import asking, contents, tool_call

pytestmark = pytest.mark.timeout(20)


class State(TypedDict, total=False):
    messages: Annotated[list[BaseMessage], add_messages]
    user: str


class ModelState(BaseModel):
    messages: Annotated[list[BaseMessage], add_messages] = []
    user: str = "ann"


def answer(driver: Any, tool: BaseTool, schema: Any = State, args: Any = None, **node: Any) -> Any:
    """Return what the tool answers to one call by a model."""
    builder = StateGraph(schema).add_node("tools", ToolNode([tool], **node))
    graph = builder.add_edge(START, "tools").compile(store=InMemoryStore())
    call = tool_call(tool.name, {"q": "1"} if args is None else args)
    state = {**asking(call), "user": "ann"}
    return contents(driver.invoke(graph, state, {"configurable": {"k": 5}}))[-1]


# -- a key that the state has not got -------------------------------------------------------------


@tool
def greet(q: str, name: Annotated[str, InjectedState("usr")]) -> str:
    """Greet."""
    return name


@pytest.mark.parametrize("schema", [State, ModelState])
@pytest.mark.parametrize("handled", [True, False])
def test_a_missing_key_is_named(driver: Any, schema: Any, handled: bool) -> None:
    """It is the program's mistake, so that the model is not told."""
    with pytest.raises(MissingStateKeyError) as caught:
        answer(driver, greet, schema, handle_tool_errors=handled)

    error = caught.value
    assert isinstance(error, KeyError)
    assert (error.tool, error.parameter, error.key) == ("greet", "name", "usr")
    assert error.known == ("messages", "user")
    assert str(error).startswith(
        "tool 'greet' wants the state's 'usr' for its parameter 'name' (InjectedState), but the "
        "state has 'messages', 'user'. Did you mean 'user'?"
    )
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_missing_key_leaves_a_default_alone(driver: Any) -> None:
    @tool
    def greet(q: str, name: Annotated[str, InjectedState("usr")] = "you") -> str:
        """Greet."""
        return name

    assert answer(driver, greet) == "you"


# -- tools with a schema of their own -------------------------------------------------------------


class Asked(BaseModel):
    q: str


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    q: str


JSON = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}


class Declaring(BaseModel):
    q: str
    user: Annotated[str, InjectedState("user")]
    store: Annotated[Any, InjectedStore()]
    call: Annotated[str, InjectedToolCallId]
    runtime: ToolRuntime


class Renaming(BaseModel):
    q: str = Field(alias="Q")
    user: Annotated[str, InjectedState("user")] = Field(alias="USER")


EVERYTHING = "1 ann InMemoryStore c1 c1 5"


def everything(
    q: str,
    user: Annotated[str, InjectedState("user")],
    store: Annotated[Any, InjectedStore()],
    call: Annotated[str, InjectedToolCallId],
    runtime: ToolRuntime,
    config: RunnableConfig,
) -> str:
    """Say all that is given."""
    k = config["configurable"]["k"]
    return f"{q} {user} {type(store).__name__} {call} {runtime.tool_call_id} {k}"


@pytest.mark.parametrize("schema", [Asked, Strict, JSON], ids=["lenient", "strict", "JSON"])
def test_what_the_function_declares_is_injected(driver: Any, schema: Any) -> None:
    said = tool(args_schema=schema)(everything)

    assert answer(driver, said) == EVERYTHING
    shown = said.tool_call_schema
    properties = shown if isinstance(shown, dict) else shown.model_json_schema()
    assert list(properties["properties"]) == ["q"]


@pytest.mark.parametrize("schema", [Asked, Strict], ids=["lenient", "strict"])
def test_what_a_method_declares_is_injected(driver: Any, schema: Any) -> None:
    class Said(BaseTool):
        name: str = "said"
        description: str = "Say all that is given."
        args_schema: Any = schema

        def _run(
            self,
            q: str,
            user: Annotated[str, InjectedState("user")],
            runtime: ToolRuntime,
            config: RunnableConfig,
        ) -> str:
            return f"{q} {user} {runtime.tool_call_id} {config['configurable']['k']}"

    assert answer(driver, Said()) == "1 ann c1 5"


def test_what_the_schema_declares_is_injected(driver: Any) -> None:
    def said(q: Any, user: Any, store: Any, call: Any, runtime: Any) -> str:
        return f"{q} {user} {type(store).__name__} {call} {runtime.tool_call_id}"

    said_tool = StructuredTool.from_function(
        said, name="said", description="Say all that is given.", args_schema=Declaring
    )

    assert answer(driver, said_tool) == "1 ann InMemoryStore c1 c1"


def test_an_injected_field_may_have_an_alias(driver: Any) -> None:
    @tool(args_schema=Renaming)
    def said(q: str, user: str) -> str:
        """Say all that is given."""
        return f"{q} {user}"

    try:
        said.invoke({"Q": "1", "USER": "ann"})
    except TypeError:
        pytest.skip("this LangChain drops arguments with an alias")
    assert answer(driver, said, args={"Q": "1"}) == "1 ann"
    assert answer(driver, said, args={"Q": "1", "USER": "a lie"}) == "1 ann"


def test_a_strict_schema_still_refuses_what_nobody_declares(driver: Any) -> None:
    said = tool(args_schema=Strict)(everything)

    assert "Extra inputs are not permitted" in answer(driver, said, args={"q": "1", "z": "2"})
