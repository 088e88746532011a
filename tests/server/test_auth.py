"""Auth handlers: who calls, what they may do, and what they see."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph_sdk import Auth
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph
from millstream.runtime import Runtime
from millstream.server.auth.loading import load_guard
from millstream.server.auth.user import as_user
from millstream.server.config import AuthConfig
from millstream.server.errors import ConfigError
from millstream.server.reloading import reload
from server.fixtures import Running, config_of, running
from server.graphs import make_chat, make_graphs
from server.handlers import asked

ALICE = {"authorization": "Bearer alice"}
BOB = {"authorization": "Bearer bob"}


class State(TypedDict, total=False):
    n: int


def guarded(name: str, directory: Path, graphs: Any = None, **options: Any) -> Any:
    """Serve with the handlers of that name."""
    auth = AuthConfig(path=f"server.handlers:{name}")
    return running(config_of(graphs or {"chat": make_chat()}, directory, auth=auth, **options))


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server whose callers have threads of their own."""
    with guarded("owners", tmp_path_factory.mktemp("owned"), make_graphs()) as server:
        yield server


def make_thread(server: Running, headers: dict[str, str], **body: Any) -> str:
    made = server.http.post("/threads", json=body, headers=headers)
    assert made.status_code == 200, made.text
    thread_id: str = made.json()["thread_id"]
    return thread_id


def test_trap_35_no_header_is_a_way_round_the_handlers(owned: Running) -> None:
    for headers in (
        {"x-auth-scheme": "langsmith"},
        {"x-auth-scheme": "langsmith", "x-api-key": "x"},
        {"x-user-id": "alice"},
        {"authorization": ""},
    ):
        refused = owned.http.post("/threads", json={}, headers=headers)

        assert (refused.status_code, refused.json()) == (401, {"detail": "no token"})


def test_nothing_is_said_before_it_is_known_who_calls(owned: Running) -> None:
    for method, path, text in (
        ("GET", "/threads/no-uuid", ""),
        ("POST", "/threads", "{no json"),
        ("POST", "/threads/search", '{"limit": "x"}'),
        ("POST", f"/threads/{uuid4()}/runs", "{}"),
    ):
        assert owned.http.request(method, path, content=text).status_code == 401


def test_a_run_knows_who_asked_for_it_and_its_nodes_do_too(tmp_path: Path) -> None:
    seen = []

    def node(state: State, config: RunnableConfig, runtime: Runtime) -> State:
        user = config["configurable"]["langgraph_auth_user"]
        seen.append((user["identity"], user.org, user.get("permissions")))
        assert runtime.server_info is not None
        seen.append((runtime.server_info.user.identity, config["configurable"]["user_id"]))
        return {"n": 1}

    graph = StateGraph(State).add_node("node", node).add_edge(START, "node")
    with guarded("owners", tmp_path, {"chat": graph.compile()}) as server:
        thread_id = make_thread(server, ALICE)
        body = {
            "assistant_id": "chat",
            "input": {"n": 0},
            # What callers say of themselves does not count.
            "config": {"configurable": {"langgraph_auth_user": {"identity": "eve"}}},
        }
        done = server.http.post(f"/threads/{thread_id}/runs/wait", json=body, headers=ALICE)
        runs = server.http.get(f"/threads/{thread_id}/runs", headers=ALICE).json()

    assert done.json() == {"n": 1}
    assert seen == [("alice", "acme", ["a:b"]), ("alice", "alice")]
    assert runs[0]["metadata"]["owner"] == "alice"
    configurable = runs[0]["kwargs"]["config"]["configurable"]
    assert configurable["langgraph_auth_user"] == {
        "identity": "alice",
        "display_name": "n",
        "permissions": ["a:b"],
        "org": "acme",
        "is_authenticated": True,
    }
    assert configurable["langgraph_auth_user_id"] == "alice"
    assert configurable["langgraph_auth_permissions"] == ["a:b"]


def test_what_handlers_are_asked_is_what_is_going_to_be_done(tmp_path: Path) -> None:
    asked.clear()
    with guarded("curious", tmp_path) as server:
        thread_id = make_thread(server, {"authorization": "x"}, metadata={"a": 1})
        first, value = asked
        asked.clear()
        run = {"assistant_id": "chat", "input": {"messages": []}, "metadata": {"m": 1}}
        server.http.post(f"/threads/{thread_id}/runs/wait?q=1", json=run)
        second, run_value = asked
        asked.clear()
        server.http.put("/store/items", json={"namespace": ["a"], "key": "k", "value": {}})
        server.http.get("/store/items?namespace=a.b&key=k")
        stored = [entry for entry in asked if "resource" in entry]

    assert first["url"] == first["path"] == "/threads"
    assert (first["method"], first["body"]) == ("POST", {"metadata": {"a": 1}})
    assert first["authorization"] == "x"
    assert first["host"].startswith(b"127.0.0.1:")
    assert (second["path_params"], second["query_params"]) == ({"thread_id": thread_id}, {"q": "1"})
    # A plain function may take its time without that others wait.
    assert not first["thread"].startswith("test-server")
    assert (value["resource"], value["action"]) == ("threads", "create")
    assert value["value"]["metadata"] == {"a": 1}
    assert value["value"]["thread_id"] == UUID(thread_id)
    assert (run_value["resource"], run_value["action"]) == ("threads", "create_run")
    assert isinstance(run_value["value"]["assistant_id"], UUID)
    assert run_value["value"]["thread_id"] == UUID(thread_id)
    assert run_value["value"]["kwargs"]["input"] == {"messages": []}
    assert [(entry["action"], entry["value"]["namespace"]) for entry in stored] == [
        ("put", ("a",)),
        ("get", ("a", "b")),
    ]


def test_handlers_say_how_urgent_a_run_may_be(tmp_path: Path) -> None:
    with guarded("patient", tmp_path) as server:

        def ask(headers: dict[str, str], priority: int) -> Any:
            run = {"assistant_id": "chat", "input": {"messages": []}, "priority": priority}
            made = server.http.post("/runs", json=run, headers=headers)
            return made.json()["kwargs"].get("priority", 0) if made.is_success else made.status_code

        found = [ask(who, priority) for who in (ALICE, BOB) for priority in (-5, 0, 3, 4)]

        def start(priority: Any) -> Any:
            thread = f"/threads/{uuid4()}"
            params = {"assistant_id": "chat", "input": {"messages": []}, "priority": priority}
            command = {"id": 1, "method": "run.start", "params": params}
            made = server.http.post(f"{thread}/commands", json=command, headers=BOB)
            if made.status_code != 200:
                return made.status_code
            [run] = server.http.get(f"{thread}/runs", headers=BOB).json()
            return run["kwargs"]["priority"]

        batch = [{"assistant_id": "chat", "priority": priority} for priority in (-5, 2)]
        made = server.http.post("/runs/batch", json=batch, headers=BOB).json()
        started = [start(priority) for priority in (-5, 3, 4, "x", 7)]

    assert found == [-5, 0, 3, 403, 1, 1, 3, 403]
    assert [run["kwargs"]["priority"] for run in made] == [1, 2]
    # What is no number is nothing to a handler, which puts a number in its place.
    assert started == [1, 3, 403, 1, 403]


@pytest.mark.parametrize(
    ("wanted", "status", "detail"),
    [
        ("assert", 401, "Unauthorized"),
        ("nobody", 401, "Unauthorized"),
        ("teapot", 418, "short"),
        ("secret", 500, "Internal Server Error"),
        ("asserts", 403, "not you"),
        ("breaks", 500, "Internal Server Error"),
        ("filters", 500, "Internal Server Error"),
        ("odd", 500, "Internal Server Error"),
    ],
)
def test_who_fails_in_a_handler_is_told_no_more_than_the_handler_says(
    tmp_path: Path, wanted: str, status: int, detail: str
) -> None:
    with guarded("faulty", tmp_path) as server:
        refused = server.http.post("/threads", json={}, headers={"x-test": wanted})
        assert server.http.get("/ok").status_code == 200

    assert (refused.status_code, refused.json()) == (status, {"detail": detail})
    assert refused.headers.get("x-spout") == ("1" if wanted == "teapot" else None)


def test_a_thread_that_a_run_makes_belongs_to_who_asked_for_the_run(owned: Running) -> None:
    thread_id = str(uuid4())
    body = {"assistant_id": "chat", "input": {"messages": []}, "if_not_exists": "create"}
    owned.http.post(f"/threads/{thread_id}/runs/wait", json=body, headers=ALICE)

    assert owned.http.get(f"/threads/{thread_id}", headers=ALICE).json()["metadata"]["owner"] == (
        "alice"
    )
    assert owned.http.get(f"/threads/{thread_id}", headers=BOB).status_code == 404
    refused = owned.http.post(f"/threads/{thread_id}/runs/wait", json=body, headers=BOB)
    assert refused.json() == {"detail": "Thread or assistant not found."}


def test_nobody_is_given_what_is_there_already_and_not_theirs(owned: Running) -> None:
    """Not by making it again, by copying it, or by running an assistant."""
    thread_id = make_thread(owned, ALICE, metadata={"note": "secret"})
    again = {"thread_id": thread_id, "if_exists": "do_nothing"}
    assert owned.http.post("/threads", json=again, headers=BOB).status_code == 409
    assert owned.http.post("/threads", json=again, headers=ALICE).status_code == 200
    assert owned.http.post(f"/threads/{thread_id}/copy", headers=BOB).status_code == 404
    copied = owned.http.post(f"/threads/{thread_id}/copy", headers=ALICE).json()
    assert copied["metadata"] == {"note": "secret", "owner": "alice"}

    made = {"graph_id": "chat", "config": {"configurable": {"lang": "secret"}}}
    assistant = owned.http.post("/assistants", json=made, headers=ALICE).json()
    again = {**made, "assistant_id": assistant["assistant_id"], "if_exists": "do_nothing"}
    assert owned.http.post("/assistants", json=again, headers=BOB).status_code == 409
    run = {"assistant_id": assistant["assistant_id"], "input": {"messages": []}}
    assert owned.http.post("/runs", json=run, headers=BOB).status_code == 404
    assert owned.http.post("/runs", json=run, headers=ALICE).status_code == 200


def test_two_callers_may_have_the_same_idempotency_key(owned: Running) -> None:
    body = {"assistant_id": "chat", "input": {"messages": []}, "on_completion": "keep"}
    headers = {"idempotency-key": "one"}
    first, second, again = (
        owned.http.post("/runs", json=body, headers={**headers, **who}).json()["run_id"]
        for who in (ALICE, BOB, ALICE)
    )

    assert first == again
    assert first != second


def test_runs_of_a_batch_are_asked_about_one_by_one(owned: Running) -> None:
    body = [{"assistant_id": "chat", "metadata": {"n": n}, "input": {}} for n in (1, 2)]

    made = owned.http.post("/runs/batch", json=body, headers=BOB).json()

    assert [(run["metadata"]["n"], run["metadata"]["owner"]) for run in made] == [
        (1, "bob"),
        (2, "bob"),
    ]


def test_who_is_given_a_namespace_stays_in_it(owned: Running) -> None:
    item = {"namespace": ["x"], "key": "k", "value": {"v": 1}}
    assert owned.http.put("/store/items", json=item, headers=ALICE).status_code == 204

    get = {"namespace": "x", "key": "k"}
    assert owned.http.get("/store/items", params=get, headers=BOB).json() is None
    assert owned.http.get("/store/items", params=get, headers=ALICE).json()["value"] == {"v": 1}
    get["namespace"] = "alice.x"
    assert owned.http.get("/store/items", params=get, headers=BOB).json() is None
    listed = owned.http.post("/store/namespaces", json={}, headers=ALICE).json()
    assert listed == {"namespaces": [["alice", "x"]]}
    assert owned.http.post("/store/namespaces", json={}, headers=BOB).json() == {"namespaces": []}


def test_users_are_texts_mappings_or_objects() -> None:
    class Person:
        identity = "ada"

        def __init__(self) -> None:
            self.org = "acme"
            self._secret = "x"

    full = {"is_authenticated": True, "display_name": "ada", "permissions": []}
    assert as_user("ada") == {"identity": "ada", **full}
    assert as_user({"identity": "ada", "x": 1}) == {"identity": "ada", "x": 1, **full}
    assert as_user(Person()) == {"identity": "ada", "org": "acme", **full}
    assert isinstance(as_user("ada"), Auth.types.BaseUser)
    with pytest.raises(TypeError, match="returns who calls"):
        as_user({"name": "ada"})
    with pytest.raises(AttributeError, match="'nope'"):
        _ = as_user("ada").nope


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1/0", "which cannot be imported: ZeroDivisionError: division by zero"),
        ("auth = 5", "which is no langgraph_sdk.Auth but 5"),
        (
            "from langgraph_sdk import Auth\nauth = Auth()\n"
            "@auth.authenticate\nasync def who(token): ...",
            "the authenticate handler who wants 'token'; it can have request, body, path",
        ),
    ],
)
def test_handlers_that_cannot_be_asked_are_refused_at_the_start(
    tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "their_auth.py").write_text(text)
    config = config_of({}, tmp_path, auth=AuthConfig(path="./their_auth.py:auth"))

    with pytest.raises(ConfigError) as caught:
        load_guard(config)

    assert told in str(caught.value)


@pytest.mark.long
def test_changed_handlers_are_asked_from_then_on_unless_they_are_broken(tmp_path: Path) -> None:
    file = tmp_path / "changing_auth.py"
    text = "from langgraph_sdk import Auth\nauth = Auth()\n@auth.authenticate\nasync def who():\n"
    file.write_text(f"{text}    raise Auth.exceptions.HTTPException(401, 'one')\n")
    auth = AuthConfig(path="./changing_auth.py:auth")
    with running(config_of({"chat": make_chat()}, tmp_path, auth=auth)) as server:

        def told() -> str:
            detail: str = server.http.post("/threads", json={}).json()["detail"]
            return detail

        details = [told()]
        for changed in (f"{text}    raise Auth.exceptions.HTTPException(401, 'three')\n", "1/0"):
            file.write_text(changed)
            asyncio.run(reload(server.service, ["changing_auth.py"]))
            details.append(told())

    assert details == ["one", "three", "three"]


def test_commands_of_the_protocol_are_asked_about_as_what_they_do(owned: Running) -> None:
    thread_id = str(uuid4())

    def command(method: str, who: dict[str, str], **params: Any) -> Any:
        body = {"id": 1, "method": method, "params": params}
        return owned.http.post(f"/threads/{thread_id}/commands", json=body, headers=who).json()

    said = {"messages": [{"role": "user", "content": "secret"}]}
    assert command("run.start", ALICE, assistant_id="chat", input=said)["type"] == "success"
    assert owned.http.get(f"/threads/{thread_id}", headers=ALICE).json()["metadata"]["owner"] == (
        "alice"
    )
    (run,) = owned.http.get(f"/threads/{thread_id}/runs", headers=ALICE).json()
    assert run["metadata"]["owner"] == "alice"
    for method, params in (
        ("run.start", {"assistant_id": "chat", "input": said}),
        ("state.get", {}),
        ("state.listCheckpoints", {}),
        ("state.fork", {"checkpoint_id": str(uuid4())}),
        ("input.inject", {"message": {"role": "user", "content": "x"}}),
        ("agent.getTree", {}),
    ):
        answer = command(method, BOB, **params)
        assert answer["type"] == "error" or "secret" not in str(answer), method
    assert len(owned.http.get(f"/threads/{thread_id}/runs", headers=ALICE).json()) == 1


def test_what_a_change_does_not_mention_stays_as_it_was(owned: Running) -> None:
    cron = {"assistant_id": "chat", "schedule": "0 0 1 1 *", "input": {"messages": ["hi"]}}
    made = owned.http.post("/runs/crons", json=cron, headers=ALICE).json()
    path = f"/runs/crons/{made['cron_id']}"

    changed = owned.http.patch(path, json={"enabled": False}, headers=ALICE).json()

    assert changed["payload"]["input"] == {"messages": ["hi"]}
    assert (changed["schedule"], changed["enabled"]) == ("0 0 1 1 *", False)
    assert owned.http.patch(path, json={"enabled": True}, headers=BOB).status_code == 404


def test_the_description_says_how_callers_say_who_they_are(tmp_path: Path) -> None:
    given = {
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-key"}},
        "security": [{"key": []}],
    }
    auth = AuthConfig(path="server.handlers:owners", openapi=given)
    with running(config_of({"chat": make_chat()}, tmp_path, auth=auth)) as server:
        described = server.http.get("/openapi.json").json()

    assert described["components"]["securitySchemes"] == given["securitySchemes"]
    assert described["security"] == given["security"]


def test_tools_and_agents_are_those_of_their_caller(owned: Running) -> None:
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    accept = {"accept": "application/json, text/event-stream"}
    assert owned.http.post("/mcp", json=listing, headers=accept).status_code == 401
    made = owned.http.post(
        "/assistants", json={"graph_id": "chat", "name": "hers"}, headers=ALICE
    ).json()

    def tools(who: dict[str, str]) -> list[str]:
        answer = owned.http.post("/mcp", json=listing, headers={**accept, **who}).json()
        return [tool["name"] for tool in answer["result"]["tools"]]

    assert ("hers" in tools(ALICE), "hers" in tools(BOB)) == (True, False)
    path = f"/a2a/{made['assistant_id']}"
    said = {"role": "user", "messageId": "m", "parts": [{"kind": "text", "text": "hi"}]}
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": said}}
    assert owned.http.post(path, json=body, headers=BOB).status_code == 404
    task = owned.http.post(path, json=body, headers=ALICE).json()["result"]
    assert task["status"]["state"] == "completed"
    asked = {**body, "method": "tasks/get", "params": {"id": task["id"]}}
    assert owned.http.post(path, json=asked, headers=ALICE).json()["result"]["id"] == task["id"]
    thread = owned.http.get(f"/threads/{task['contextId']}", headers=BOB)
    assert thread.status_code == 404
