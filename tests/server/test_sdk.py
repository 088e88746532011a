"""langgraph-sdk's own client, asynchronous and synchronous, against our server."""

from __future__ import annotations

import ast
import asyncio
import inspect
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import ConflictError, NotFoundError

import waiting
from server.fixtures import Running

pytestmark = pytest.mark.real_time(reason="the nodes of `slow` take some time")

HI: Final = {"messages": [{"role": "user", "content": "hi"}]}
SLOW: Final = {"n": 3000, "delay": 0.02}
QUICK: Final = {"n": 2, "delay": 0.0}
SAID: Final = "hello from the fake model"


class Plain:
    """A client of either kind, called as the synchronous one is."""

    def __init__(self, target: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        self._target = target
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return self._call(value) if inspect.ismethod(value) else Plain(value, self._loop)

    def _call(self, method: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            if self._loop is None:
                return result
            if not hasattr(result, "__aiter__"):
                result = self._loop.run_until_complete(result)
            return self._iterate(result) if hasattr(result, "__aiter__") else result

        return call

    def _iterate(self, results: Any) -> Iterator[Any]:
        assert self._loop is not None
        try:
            while True:
                try:
                    yield self._loop.run_until_complete(results.__anext__())
                except StopAsyncIteration:
                    return
        finally:
            self._loop.run_until_complete(results.aclose())


# Both kinds of the client send the same requests.
@pytest.fixture(params=["async", pytest.param("sync", marks=pytest.mark.long)])
def sdk(request: pytest.FixtureRequest, server: Running) -> Iterator[Any]:
    """Give the client of langgraph-sdk."""
    if request.param == "sync":
        with get_sync_client(url=server.url, api_key=None) as client:
            yield Plain(client, None)
        return
    loop = asyncio.new_event_loop()
    client = get_client(url=server.url, api_key=None)
    yield Plain(client, loop)
    loop.run_until_complete(client.aclose())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def new_thread(sdk: Any) -> str:
    return str(sdk.threads.create()["thread_id"])


def status_of(sdk: Any, at: str, run_id: str) -> str:
    return str(sdk.runs.get(at, run_id)["status"])


def until_running(sdk: Any, at: str, run_id: str) -> None:
    waiting.until(lambda: status_of(sdk, at, run_id) == "running")


def test_the_assistants_of_the_client(sdk: Any) -> None:
    name = f"mine {uuid.uuid4()}"
    made = sdk.assistants.create("chat", name=name, metadata={"a": 1}, context={"lang": "en"})
    id = made["assistant_id"]
    assert sdk.assistants.get(id) == made
    assert [node["id"] for node in sdk.assistants.get_graph(id)["nodes"]] == [
        "__start__",
        "call_model",
        "__end__",
    ]
    assert sdk.assistants.get_schemas(id)["graph_id"] == "chat"
    sink = sdk.assistants.search(graph_id="sink")[0]["assistant_id"]
    assert list(sdk.assistants.get_subgraphs(sink)) == ["inner"]
    assert list(sdk.assistants.get_subgraphs(sink, namespace="inner", recurse=True)) == ["inner"]
    changed = sdk.assistants.update(id, metadata={"b": 2}, description="new")
    assert (changed["version"], changed["metadata"]["b"]) == (2, 2)
    assert [a["version"] for a in sdk.assistants.get_versions(id)] == [2, 1]
    assert sdk.assistants.set_latest(id, 1)["version"] == 1
    assert sdk.assistants.count(name=name) == 1
    page = sdk.assistants.search(name=name, response_format="object")
    assert ([a["assistant_id"] for a in page["assistants"]], page["next"]) == ([id], None)
    assert sdk.assistants.search(limit=1, response_format="object")["next"] == "1"
    sdk.assistants.delete(id)
    with pytest.raises(NotFoundError):
        sdk.assistants.get(id)


def test_the_threads_of_the_client(sdk: Any) -> None:
    tag = str(uuid.uuid4())
    at = sdk.threads.create(metadata={"tag": tag}, ttl=5, graph_id="chat")["thread_id"]
    with pytest.raises(ConflictError):
        sdk.threads.create(thread_id=at)
    assert sdk.threads.create(thread_id=at, if_exists="do_nothing")["thread_id"] == at
    assert sdk.threads.get(at, include=["ttl"])["ttl"]["strategy"] == "delete"
    assert sdk.threads.update(at, metadata={"b": 2})["metadata"]["b"] == 2
    assert sdk.threads.update(at, metadata={"b": 3}, return_minimal=True) is None
    assert sdk.threads.count(metadata={"tag": tag}) == 1
    assert sdk.threads.search(metadata={"tag": tag})[0]["metadata"]["b"] == 3

    sdk.runs.wait(at, "chat", input=HI)
    state = sdk.threads.get_state(at)
    assert state["values"]["messages"][-1]["content"] == SAID
    checkpoint = state["checkpoint"]
    assert sdk.threads.get_state(at, checkpoint=checkpoint)["values"] == state["values"]
    by_id = sdk.threads.get_state(at, checkpoint_id=checkpoint["checkpoint_id"])
    assert by_id["values"] == state["values"]
    updated = sdk.threads.update_state(
        at, {"messages": [{"role": "user", "content": "and?"}]}, as_node="call_model"
    )
    assert updated["checkpoint"]["thread_id"] == at
    history = sdk.threads.get_history(at, limit=10)
    assert [h["metadata"]["source"] for h in history] == ["update", "loop", "loop", "input"]
    before = sdk.threads.get_history(at, before=history[1]["checkpoint"])
    assert [h["checkpoint"] for h in before] == [h["checkpoint"] for h in history[2:]]

    sdk.threads.copy(at)
    assert sdk.threads.count(metadata={"tag": tag}) == 2
    both = [t["thread_id"] for t in sdk.threads.search(metadata={"tag": tag}, select=["thread_id"])]
    assert sdk.threads.prune(both, strategy="keep_latest") == {"pruned_count": 2}
    for id in both:
        sdk.threads.delete(id)
    with pytest.raises(NotFoundError):
        sdk.threads.get(at)


def test_the_store_of_the_client(sdk: Any) -> None:
    space = [uuid.uuid4().hex, "notes"]
    sdk.store.put_item(space, key="k", value={"text": "hello"}, index=False)
    assert sdk.store.get_item(space, key="k")["value"] == {"text": "hello"}
    found = sdk.store.search_items(space[:1], filter={"text": "hello"})
    assert [item["key"] for item in found["items"]] == ["k"]
    assert sdk.store.list_namespaces(prefix=space[:1]) == {"namespaces": [space]}
    sdk.store.delete_item(space, key="k")
    assert sdk.store.get_item(space, key="k") is None


def test_the_crons_of_the_client(sdk: Any) -> None:
    tag, at = str(uuid.uuid4()), new_thread(sdk)
    made = sdk.crons.create("slow", schedule="0 12 1 1 *", input=QUICK, metadata={"tag": tag})
    bound = sdk.crons.create_for_thread(at, "slow", schedule="0 12 1 1 *", input=QUICK)
    assert (made["thread_id"], bound["thread_id"]) == (None, at)
    assert (made["on_run_completed"], bound["on_run_completed"]) == ("delete", None)
    assert sdk.crons.count() >= 2
    assert [cron["cron_id"] for cron in sdk.crons.search(thread_id=at)] == [bound["cron_id"]]
    changed = sdk.crons.update(made["cron_id"], schedule="30 1 * * *", enabled=False)
    assert (changed["schedule"], changed["enabled"]) == ("30 1 * * *", False)
    for cron in (made, bound):
        sdk.crons.delete(cron["cron_id"])
    assert sdk.crons.search(thread_id=at) == []
    with pytest.raises(NotFoundError):
        sdk.crons.update(made["cron_id"], enabled=True)


def test_the_client_follows_a_thread_from_its_beginning(sdk: Any) -> None:
    at = new_thread(sdk)
    runs = [
        sdk.runs.create(at, "slow", input=QUICK, stream_mode="custom", stream_resumable=True)
        for _ in range(2)
    ]
    sdk.runs.join(at, runs[-1]["run_id"])
    parts = sdk.threads.join_stream(at, last_event_id="-1", stream_mode=["run_modes", "lifecycle"])
    told = list(islice(parts, 6))
    parts.close()
    assert [part.data["i"] for part in told if part.event == "custom"] == [0, 1, 0, 1]
    assert list(dict.fromkeys(p.data["run_id"] for p in told if p.event == "metadata")) == [
        run["run_id"] for run in runs
    ]


@pytest.mark.parametrize("make", [get_client, get_sync_client])
def test_every_method_of_the_client_is_called_here(make: Any) -> None:
    client = make(url="http://127.0.0.1:1")
    resources = {name: value for name, value in vars(client).items() if hasattr(value, "http")}
    methods = {
        f"sdk.{name}.{method}"
        for name, resource in resources.items()
        for method, _ in inspect.getmembers(resource, inspect.ismethod)
        if not method.startswith("_")
    }
    nodes = ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8")))
    called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    # The protocol's stream has tests of its own: test_v3_sdk.py.
    assert methods - called == {"sdk.threads.stream"}
    assert len(methods) == 46


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("values", "values"),
        ("updates", "updates"),
        ("custom", "custom"),
        ("tasks", "tasks"),
        ("checkpoints", "checkpoints"),
        ("debug", "debug"),
        ("events", "events"),
        ("messages-tuple", "messages"),
        ("messages", "messages/partial"),
    ],
)
def test_the_client_streams_each_mode(sdk: Any, mode: str, name: str) -> None:
    sink = {**HI, "topic": "t"}
    told: list[Any] = []
    parts = list(
        sdk.runs.stream(
            new_thread(sdk), "sink", input=sink, stream_mode=mode, on_run_created=told.append
        )
    )
    assert parts[0].event == "metadata"
    assert parts[0].data["run_id"] == told[0]["run_id"]
    assert {p.event for p in parts[1:]} >= {name}
    assert {p.event.partition("/")[0] for p in parts[1:]} == {name.partition("/")[0]}


def test_the_client_streams_several_modes_with_subgraphs_in_its_second_form(sdk: Any) -> None:
    parts = list(
        sdk.runs.stream(
            None,
            "sink",
            input={**HI, "topic": "t"},
            stream_mode=["values", "updates", "custom"],
            stream_subgraphs=True,
            version="v2",
        )
    )
    assert {p["type"] for p in parts} == {"metadata", "values", "updates", "custom"}
    nested = [p for p in parts if p["ns"]]
    assert {p["ns"][0].partition(":")[0] for p in nested} == {"inner"}
    assert parts[-1]["data"]["log"] == ["first", "last"]


def test_the_client_creates_waits_lists_joins_and_deletes(sdk: Any) -> None:
    at = new_thread(sdk)
    run = sdk.runs.create(at, "chat", input=HI)
    assert sdk.runs.join(at, run["run_id"])["messages"][-1]["content"] == SAID
    assert status_of(sdk, at, run["run_id"]) == "success"
    assert [r["run_id"] for r in sdk.runs.list(at)] == [run["run_id"]]
    sdk.runs.delete(at, run["run_id"])
    assert sdk.runs.list(at) == []
    batch = sdk.runs.create_batch([{"assistant_id": "chat", "input": HI}] * 2)
    assert len({r["run_id"] for r in batch}) == 2


def test_the_client_raises_what_a_run_raised_or_gives_it(sdk: Any) -> None:
    boom = {**QUICK, "boom": True}
    with pytest.raises(Exception, match="boom in tick"):
        sdk.runs.wait(None, "slow", input=boom)
    given = sdk.runs.wait(None, "slow", input=boom, raise_error=False)
    assert given["__error__"] == {"error": "ValueError", "message": "boom in tick"}


def test_the_client_resumes_a_stream_behind_any_event(sdk: Any) -> None:
    at = new_thread(sdk)
    parts = list(
        sdk.runs.stream(
            at,
            "slow",
            input={"n": 9, "delay": 0.0},
            stream_mode="custom",
            stream_resumable=True,
        )
    )
    run_id = parts[0].data["run_id"]
    for n in (0, 4, len(parts) - 1):
        rest = list(sdk.runs.join_stream(at, run_id, last_event_id=parts[n].id))
        assert rest == parts[n + 1 :]
    assert list(sdk.runs.join_stream(at, run_id, last_event_id="-1")) == parts


def test_the_client_cancels_one_run_or_many(sdk: Any) -> None:
    at, other = new_thread(sdk), new_thread(sdk)
    for action, after in (("interrupt", "interrupted"), ("rollback", "gone")):
        run = sdk.runs.create(at, "slow", input=SLOW)
        until_running(sdk, at, run["run_id"])
        sdk.runs.cancel(at, run["run_id"], wait=True, action=action)
        if after == "gone":
            with pytest.raises(NotFoundError):
                sdk.runs.get(at, run["run_id"])
        else:
            assert status_of(sdk, at, run["run_id"]) == after
    run = sdk.runs.create(other, "slow", input=SLOW)
    sdk.runs.cancel_many(thread_id=other, run_ids=[run["run_id"]])
    waiting.until(lambda: status_of(sdk, other, run["run_id"]) == "interrupted")


def test_the_client_answers_a_question(sdk: Any) -> None:
    at = new_thread(sdk)
    asked = sdk.runs.wait(at, "hitl", input=HI)
    assert asked["__interrupt__"][0]["value"] == {"question": "approve?", "n": 1}
    assert sdk.threads.get(at)["status"] == "interrupted"
    answered = sdk.runs.wait(at, "hitl", command={"resume": "yes"})
    assert answered["messages"][-1]["content"] == "answer=yes"
    assert sdk.threads.get(at)["status"] == "idle"


@pytest.mark.parametrize("strategy", ["reject", "enqueue", "interrupt", "rollback"])
def test_the_client_creates_a_run_on_a_busy_thread(sdk: Any, strategy: str) -> None:
    at = new_thread(sdk)
    delayed = {"n": 20, "delay": 0.01} if strategy == "enqueue" else SLOW
    one = sdk.runs.create(at, "slow", input=delayed)["run_id"]
    until_running(sdk, at, one)
    if strategy == "reject":
        with pytest.raises(ConflictError):
            sdk.runs.create(at, "slow", input=QUICK, multitask_strategy=strategy)
        sdk.runs.cancel(at, one, wait=True)
        return
    two = sdk.runs.create(at, "slow", input=QUICK, multitask_strategy=strategy)["run_id"]
    seen = sdk.runs.join(at, two)["seen"]
    assert seen == ([20, -1, 2, -1] if strategy == "enqueue" else [2, -1])
    left = {r["run_id"]: r["status"] for r in sdk.runs.list(at)}
    first = {"enqueue": {one: "success"}, "interrupt": {one: "interrupted"}, "rollback": {}}
    assert left == {two: "success", **first[strategy]}


def test_a_thread_is_deleted_while_a_run_runs_on_it(sdk: Any) -> None:
    at = new_thread(sdk)
    run = sdk.runs.create(at, "slow", input=SLOW)["run_id"]
    until_running(sdk, at, run)
    sdk.threads.delete(at)
    with pytest.raises(NotFoundError):
        sdk.threads.get(at)
    with pytest.raises(NotFoundError):
        sdk.runs.get(at, run)
