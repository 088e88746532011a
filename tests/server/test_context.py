"""Context and configurable of a run: two names for the same, whichever of them a graph reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph
from millstream.runtime import Runtime
from server.fixtures import Running, config_of, running
from server.test_auth import ALICE, guarded


class State(TypedDict, total=False):
    configured: dict[str, Any]
    context: Any


class Words(TypedDict, total=False):
    tone: str


@dataclass
class Tone:
    tone: str = "plain"


@dataclass
class Required:
    tone: str


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    tone: str = "plain"


def look(state: State, config: RunnableConfig, runtime: Runtime[Any]) -> State:
    configured = {key: config["configurable"].get(key) for key in ("tone", "user_id", "graph_id")}
    context = runtime.context
    return {
        "configured": configured,
        "context": context if context is None or isinstance(context, dict) else vars(context),
    }


def graph(schema: Any) -> Any:
    builder = StateGraph(State, context_schema=schema).add_node("look", look)
    return builder.add_edge(START, "look").compile()


GRAPHS = {"bare": None, "words": Words, "tone": Tone, "required": Required, "strict": Strict}


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    graphs = {name: graph(schema) for name, schema in GRAPHS.items()}
    with running(config_of(graphs, tmp_path_factory.mktemp("tones"))) as server:
        yield server


def seen(
    server: Running, assistant: str, headers: dict[str, str] | None = None, **body: Any
) -> dict[str, Any]:
    asked = {"assistant_id": assistant, "input": {}, **body}
    response = server.http.post("/runs/wait", json=asked, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


BOTH_WAYS = pytest.mark.parametrize(
    "said",
    [
        lambda values: {"context": values},
        lambda values: {"config": {"configurable": values}},
    ],
    ids=["context", "configurable"],
)


@BOTH_WAYS
@pytest.mark.parametrize("name", ["bare", "words"])
def test_what_is_said_in_one_is_in_both(tones: Running, said: Any, name: str) -> None:
    found = seen(tones, name, **said({"tone": "dry", "user_id": "ada"}))

    assert found["configured"] == {"tone": "dry", "user_id": "ada", "graph_id": name}
    assert found["context"] == {"tone": "dry", "user_id": "ada"}


@BOTH_WAYS
@pytest.mark.parametrize("name", ["tone", "required", "strict"])
def test_a_class_is_given_what_it_has_fields_for(tones: Running, said: Any, name: str) -> None:
    found = seen(tones, name, **said({"tone": "dry", "user_id": "ada"}))

    assert found["configured"]["user_id"] == "ada"
    assert found["context"] == {"tone": "dry"}


@pytest.mark.parametrize(
    ("name", "context"),
    [("bare", None), ("words", None), ("tone", {"tone": "plain"}), ("strict", {"tone": "plain"})],
)
def test_a_class_is_made_of_its_defaults_where_nothing_is_said(
    tones: Running, name: str, context: Any
) -> None:
    assert seen(tones, name)["context"] == context


def test_a_class_that_needs_more_than_was_said_fails_the_run(tones: Running) -> None:
    error = seen(tones, "required")["__error__"]

    assert error["error"] == "TypeError"
    assert "'tone'" in error["message"]


@BOTH_WAYS
def test_a_run_says_more_than_its_assistant(tones: Running, said: Any) -> None:
    made = tones.http.post(
        "/assistants", json={"graph_id": "words", **said({"tone": "dry", "user_id": "ada"})}
    ).json()

    found = seen(tones, made["assistant_id"], context={"tone": "warm"})
    other = seen(tones, made["assistant_id"], config={"configurable": {"tone": "warm"}})

    assert found["context"] == other["context"] == {"tone": "warm", "user_id": "ada"}
    assert found["configured"] == other["configured"]
    assert found["configured"] == {"tone": "warm", "user_id": "ada", "graph_id": "words"}


@BOTH_WAYS
def test_what_the_server_says_itself_is_in_no_context(tones: Running, said: Any) -> None:
    values = {"graph_id": "other", "thread_id": "x", "langgraph_auth_user": {"identity": "eve"}}
    found = seen(tones, "bare", **said({**values, "tone": "dry"}))

    assert found["configured"]["graph_id"] == "bare"
    assert found["configured"]["tone"] == "dry"


def test_the_user_is_whom_the_client_names_and_else_who_calls(tmp_path: Path) -> None:
    with guarded("owners", tmp_path, {"bare": graph(None)}) as server:
        named = seen(server, "bare", headers=ALICE, context={"user_id": "ada"})
        nobody = seen(server, "bare", headers=ALICE, context={"user_id": ""})

    assert named["configured"]["user_id"] == "ada"
    assert nobody["configured"]["user_id"] == "alice"


def test_tools_of_a_client_stand_beside_a_context(tones: Running) -> None:
    """The tools of a front end are in the configurable; what the graph is told is a context."""
    tool = {"name": "paint", "description": "", "parameters": {"type": "object"}}
    body = {
        "threadId": "t",
        "runId": "r",
        "state": {},
        "messages": [],
        "tools": [tool],
        "context": [],
        "forwardedProps": {"context": {"tone": "dry"}},
    }
    response = tones.http.post("/ag-ui/bare", json=body)

    assert response.status_code == 200, response.text
    assert '"context":{"tone":"dry"}' in response.text.replace(" ", "")
