"""What is asked of both servers: every operation, with what goes well and what does not.

A scene is given one of the servers, with no threads of others'. Its exchanges have names, by which
those with the two servers are compared, and which docs/server-compatibility.md uses.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from beside.side import Side

Scene = Callable[[Side], None]
HI: Final = {"messages": [{"role": "user", "content": "hi", "id": "m1"}]}
SUM: Final = {"messages": [{"role": "user", "content": "1+2", "id": "m1"}]}
SINK: Final = {**HI, "topic": "x"}
QUICK: Final = {"n": 2, "delay": 0.01}
LONG: Final = {"n": 200, "delay": 0.05}
NOBODY: Final = "0199b2b8-6a5c-7000-8000-000000000000"
MODES: Final = (
    "values",
    "updates",
    "messages",
    "messages-tuple",
    "custom",
    "events",
    "debug",
    "tasks",
    "checkpoints",
)


def system(at: Side) -> None:
    for path in ("/", "/ok", "/ok?check_db=1", "/info", "/nope"):
        at.ask(f"get {path}", "GET", path)
    for path in ("/livez", "/readyz", "/metrics", "/metrics?format=json", "/docs", "/openapi.json"):
        at.ask(f"get {path}", "GET", path, look=False)
    at.ask("wrong method", "PUT", "/threads", {})
    at.ask("no json", "POST", "/threads", content="{no")
    at.ask("no object", "POST", "/threads", [1])
    preflight = {"origin": "http://x.example", "access-control-request-method": "POST"}
    at.ask("preflight", "OPTIONS", "/threads", headers=preflight)


def assistants(at: Side) -> None:
    at.ask("count", "POST", "/assistants/count", {})
    listed = {"sort_by": "name", "sort_order": "asc"}
    found = at.ask("search", "POST", "/assistants/search", listed)
    at.ask("page", "POST", "/assistants/search", {**listed, "limit": 2, "offset": 1})
    at.ask("select", "POST", "/assistants/search", {**listed, "select": ["graph_id", "name"]})
    sink = next(each["assistant_id"] for each in found if each["graph_id"] == "sink")
    for what in ("", "/graph", "/graph?xray=1", "/schemas", "/subgraphs", "/subgraphs/inner"):
        at.ask(f"sink{what}", "GET", f"/assistants/{sink}{what}")
        at.ask(f"nobody{what}", "GET", f"/assistants/{NOBODY}{what}")
        at.ask(f"by name{what}", "GET", f"/assistants/sink{what}")
    id = at.id("mine")
    body = {"assistant_id": id, "graph_id": "chat", "name": "mine", "metadata": {"a": 1}}
    at.ask("create", "POST", "/assistants", body)
    at.ask("again", "POST", "/assistants", body)
    at.ask("again, nothing", "POST", "/assistants", {**body, "if_exists": "do_nothing"})
    at.ask("unknown graph", "POST", "/assistants", {"graph_id": "zzz"})
    at.ask("no graph", "POST", "/assistants", {})
    both = {"graph_id": "chat", "context": {"lang": "en"}, "config": {"configurable": {"a": 1}}}
    at.ask("config and context", "POST", "/assistants", both)
    at.ask("patch", "PATCH", f"/assistants/{id}", {"metadata": {"b": 2}, "description": "d"})
    at.ask("patch nobody", "PATCH", f"/assistants/{NOBODY}", {"name": "x"})
    at.ask("versions", "POST", f"/assistants/{id}/versions", {})
    at.ask("latest", "POST", f"/assistants/{id}/latest", {"version": 1})
    at.ask("latest of none", "POST", f"/assistants/{id}/latest", {"version": 9})
    at.ask("by metadata", "POST", "/assistants/search", {"metadata": {"a": 1}})
    at.ask("delete", "DELETE", f"/assistants/{id}")
    at.ask("delete again", "DELETE", f"/assistants/{id}")


def threads(at: Side) -> None:
    id, other = at.id("one"), at.id("other")
    at.ask("create", "POST", "/threads", {"thread_id": id, "metadata": {"user": "u1"}})
    at.ask("again", "POST", "/threads", {"thread_id": id})
    at.ask("again, nothing", "POST", "/threads", {"thread_id": id, "if_exists": "do_nothing"})
    at.ask("no uuid", "POST", "/threads", {"thread_id": "abc"})
    at.ask("metadata is no object", "POST", "/threads", {"metadata": 5})
    at.ask("with ttl", "POST", "/threads", {"thread_id": other, "ttl": {"ttl": 5}})
    for path in (f"/threads/{id}", f"/threads/{NOBODY}", "/threads/abc"):
        name = path.replace(id, "id").replace(NOBODY, "nobody")
        for what in ("", "/state", "/storage", "/history", "/runs", f"/runs/{NOBODY}"):
            at.ask(f"get {name}{what.replace(NOBODY, 'nobody')}", "GET", path + what)
        at.ask(f"patch {name}", "PATCH", path, {"metadata": {"b": 2}})
        at.ask(f"history {name}", "POST", f"{path}/history", {"limit": 5})
        at.ask(f"state {name}", "POST", f"{path}/state", {"values": {"topic": "y"}})
        at.ask(f"checkpoint {name}", "POST", f"{path}/state/checkpoint", {"checkpoint": {}})
    at.ask("minimal", "PATCH", f"/threads/{id}", {}, headers={"prefer": "return=minimal"})
    for name, asked in {
        "by metadata": {"metadata": {"user": "u1"}},
        "by status": {"status": "busy"},
        "by ids": {"ids": [id]},
        "sorted": {"ids": [id, other], "sort_by": "thread_id", "sort_order": "asc"},
        "selected": {"ids": [id], "select": ["thread_id", "status"]},
        "unknown sort": {"sort_by": "nope"},
        "limit 0": {"limit": 0},
        "limit -1": {"limit": -1},
        "limit text": {"limit": "x"},
    }.items():
        at.ask(f"search {name}", "POST", "/threads/search", asked)
    at.ask("count", "POST", "/threads/count", {"metadata": {"user": "u1"}})
    at.ask("copy nobody", "POST", f"/threads/{NOBODY}/copy")
    at.ask("prune", "POST", "/threads/prune", {"thread_ids": [other], "strategy": "delete"})
    at.ask("delete", "DELETE", f"/threads/{id}")
    at.ask("delete again", "DELETE", f"/threads/{id}")


def state(at: Side) -> None:
    path = at.thread("one")
    at.ask("run", "POST", f"{path}/runs/wait", {"assistant_id": "sink", "input": SINK})
    now = at.ask("state", "GET", f"{path}/state")
    at.ask("with subgraphs", "GET", f"{path}/state?subgraphs=true")
    history = at.ask("history", "POST", f"{path}/history", {"limit": 20})
    at.ask("history by get", "GET", f"{path}/history?limit=2")
    at.ask("default history", "POST", f"{path}/history", {})
    at.ask("before", "POST", f"{path}/history", {"before": history[1]["checkpoint"], "limit": 2})
    at.ask("by metadata", "POST", f"{path}/history", {"metadata": {"step": 1}, "limit": 9})
    at.ask("at", "GET", f"{path}/state/{history[1]['checkpoint_id']}")
    place = {"checkpoint": history[1]["checkpoint"]}
    at.ask("at checkpoint", "POST", f"{path}/state/checkpoint", place)
    at.ask("at no checkpoint", "POST", f"{path}/state/checkpoint", {"checkpoint": {}})
    at.ask("at nobody", "GET", f"{path}/state/{NOBODY}")
    at.ask("update", "POST", f"{path}/state", {"values": {"topic": "new"}})
    at.ask("as node", "POST", f"{path}/state", {"values": {"log": ["z"]}, "as_node": "first"})
    at.ask("as no node", "POST", f"{path}/state", {"values": {}, "as_node": "zzz"})
    fork = {"values": {"topic": "fork"}, "checkpoint": now["checkpoint"]}
    at.ask("fork", "POST", f"{path}/state", fork)
    at.ask("state is forked", "GET", f"{path}/state")
    at.ask("storage", "GET", f"{path}/storage")
    at.ask(
        "extract",
        "POST",
        "/threads/search",
        {"ids": [path.rpartition("/")[2]], "extract": {"last": "values.messages[-1].content"}},
    )
    copy = at.ask("copy", "POST", f"{path}/copy")
    at.ask("state of the copy", "GET", f"/threads/{copy['thread_id']}/state")
    go = {"assistant_id": "sink", "input": None, "stream_mode": ["updates"]}
    at.ask(
        "from a checkpoint",
        "POST",
        f"{path}/runs/stream",
        {**go, "checkpoint": {"checkpoint_id": history[-1]["checkpoint_id"], "checkpoint_ns": ""}},
    )
    at.ask(
        "from an id",
        "POST",
        f"{path}/runs/stream",
        {**go, "checkpoint_id": history[-2]["checkpoint_id"]},
    )


def modes(at: Side) -> None:
    for mode in MODES:
        for subgraphs in (False, True):
            body = {"assistant_id": "sink", "input": SINK, "stream_mode": mode}
            if subgraphs:
                body["stream_subgraphs"] = True
            name = f"{mode}{' with subgraphs' if subgraphs else ''}"
            at.ask(name, "POST", f"{at.thread(name)}/runs/stream", body)
    several = ["values", "updates", "custom", "messages-tuple"]
    for graph, given in {"chat": HI, "tools": SUM, "slow": QUICK, "factory": HI}.items():
        body = {"assistant_id": graph, "input": given, "stream_mode": several}
        at.ask(f"several, {graph}", "POST", f"{at.thread(graph)}/runs/stream", body)


def runs(at: Side) -> None:
    path = at.thread("one", metadata={"user": "u1"})
    body = {"assistant_id": "slow", "input": QUICK, "metadata": {"m": 1}}
    run = at.ask("create", "POST", f"{path}/runs", body)
    at.ask("join", "GET", f"{path}/runs/{run['run_id']}/join")
    for name, way in {"get": "", "join when over": "/join", "stream when over": "/stream"}.items():
        at.ask(name, "GET", f"{path}/runs/{run['run_id']}{way}")
    at.ask("list", "GET", f"{path}/runs?limit=5&status=success")
    at.ask("list selected", "GET", f"{path}/runs?select=run_id&select=status")
    at.ask("cancel when over", "POST", f"{path}/runs/{run['run_id']}/cancel?wait=1")
    at.ask("thread", "GET", path)
    at.ask("delete", "DELETE", f"{path}/runs/{run['run_id']}")
    at.ask("delete again", "DELETE", f"{path}/runs/{run['run_id']}")
    at.ask("cancel nobody", "POST", f"{path}/runs/{NOBODY}/cancel")
    at.ask("join nobody", "GET", f"{path}/runs/{NOBODY}/join")
    at.ask("stream nobody", "GET", f"{path}/runs/{NOBODY}/stream")
    at.ask("recording of nobody", "GET", f"{path}/runs/{NOBODY}/recording")
    for name, wrong in {
        "no assistant": {},
        "unknown assistant": {"assistant_id": "zzz"},
        "input and command": {"assistant_id": "slow", "command": {"resume": 1}},
        "unknown mode": {"assistant_id": "slow", "stream_mode": "zzz"},
        "unknown strategy": {"assistant_id": "slow", "multitask_strategy": "zzz"},
        "context and config": {
            "assistant_id": "chat",
            "context": {"lang": "x"},
            "config": {"configurable": {"a": 1}},
        },
        "wrong input": {"assistant_id": "slow", "input": "text"},
        "no input": {"assistant_id": "slow"},
        "unknown goto": {"assistant_id": "slow", "command": {"goto": "zzz"}},
        "a failure": {"assistant_id": "slow", "input": {**QUICK, "boom": True}},
        "a limit": {"assistant_id": "sink", "input": SINK, "config": {"recursion_limit": 1}},
    }.items():
        for way in ("wait", "stream"):
            where = at.thread(f"{name}, {way}")
            at.ask(f"{name}, {way}", "POST", f"{where}/runs/{way}", wrong)
            at.ask(f"{name}, thread after {way}", "GET", where)
    at.ask("no thread", "POST", f"/threads/{NOBODY}/runs/wait", body)
    later = at.ask("after a while", "POST", f"{path}/runs", {**body, "after_seconds": 60})
    at.ask("pending", "GET", f"{path}/runs/{later['run_id']}")
    at.ask("cancel pending", "POST", f"{path}/runs/{later['run_id']}/cancel?wait=0")
    at.ask("cancelled", "GET", f"{path}/runs/{later['run_id']}")


def questions(at: Side) -> None:
    path = at.thread("one")
    both = ["values", "updates"]
    go = {"assistant_id": "hitl", "stream_mode": both}
    at.ask("asked", "POST", f"{path}/runs/stream", {**go, "input": HI})
    at.ask("thread", "GET", path)
    at.ask("state", "GET", f"{path}/state")
    at.ask("answered", "POST", f"{path}/runs/stream", {**go, "command": {"resume": "yes"}})
    at.ask("thread after", "GET", path)
    path = at.thread("two")
    given = {"assistant_id": "sink", "input": SINK, "stream_mode": both}
    at.ask("before", "POST", f"{path}/runs/stream", {**given, "interrupt_before": ["last"]})
    at.ask("stopped", "GET", f"{path}/state")
    at.ask("go on", "POST", f"{path}/runs/stream", {**given, "input": None})
    path = at.thread("three")
    at.ask("after all", "POST", f"{path}/runs/wait", {**given, "interrupt_after": "*"})
    command = {"command": {"update": {"topic": "z"}, "goto": "last"}}
    at.ask("goto", "POST", f"{path}/runs/stream", {**go, **command, "assistant_id": "sink"})


def busy(at: Side) -> None:
    for strategy in ("reject", "enqueue", "interrupt", "rollback"):
        path = at.thread(strategy)
        slow = {"n": 8, "delay": 0.05} if strategy == "enqueue" else LONG
        first = at.running(f"{strategy}, first", path, slow)
        at.ask(f"{strategy}, thread", "GET", path)
        at.ask(f"{strategy}, state", "GET", f"{path}/state")
        second = {"assistant_id": "slow", "input": QUICK, "multitask_strategy": strategy}
        at.ask(f"{strategy}, second", "POST", f"{path}/runs/wait", second)
        at.ask(f"{strategy}, runs", "GET", f"{path}/runs")
        if strategy == "reject":
            at.ask("cancel", "POST", f"{path}/runs/{first}/cancel?wait=1&action=interrupt")
        at.ask(f"{strategy}, thread after", "GET", path)
        at.ask(f"{strategy}, state after", "GET", f"{path}/state")
    path = at.thread("rolled back")
    run_id = at.running("to be rolled back", path, LONG)
    at.ask("roll back", "POST", f"{path}/runs/{run_id}/cancel?wait=1&action=rollback")
    at.ask("rolled back", "GET", path)
    path = at.thread("deleted")
    at.running("to be deleted", path, LONG)
    at.ask("delete a busy thread", "DELETE", path)
    at.ask("deleted", "GET", path)


def streams(at: Side) -> None:
    path = at.thread("one")
    body = {"assistant_id": "slow", "input": {"n": 4, "delay": 0.01}, "stream_mode": ["custom"]}
    told = at.ask("resumable", "POST", f"{path}/runs/stream", {**body, "stream_resumable": True})
    again = f"{path}/runs/{told[0].data['run_id']}/stream"
    for name, id in {"first": told[0].id, "last": told[-1].id, "0": "0", "-1": "-1"}.items():
        at.ask(f"after {name}", "GET", again, headers={"last-event-id": str(id)})
    at.ask("after none", "GET", again)
    at.ask("after nonsense", "GET", again, headers={"last-event-id": "zzz"})
    at.ask("in another mode", "GET", f"{again}?stream_mode=values", headers={"last-event-id": "-1"})
    for mode in ("run_modes", "lifecycle", "state_update"):
        path = at.thread(mode)
        with at.reading(f"thread, {mode}", "GET", f"{path}/stream?stream_modes={mode}") as stream:
            at.ask(f"run, {mode}", "POST", f"{path}/runs/wait", {**body, "stream_mode": ["values"]})
            at.ask(f"update, {mode}", "POST", f"{path}/state", {"values": {"n": 9}})
            stream.until("state_update" if mode == "state_update" else "run_done")


def stateless(at: Side) -> None:
    body = {"assistant_id": "slow", "input": QUICK}
    at.ask("create", "POST", "/runs", {**body, "after_seconds": 30})
    at.ask("wait", "POST", "/runs/wait", body)
    told = at.ask("stream", "POST", "/runs/stream", {**body, "stream_mode": ["values", "custom"]})
    run_id = told[0].data["run_id"]
    for way in ("join", "stream"):
        at.ask(f"{way} when over", "GET", f"/runs/{run_id}/{way}")
    at.ask("batch", "POST", "/runs/batch", [body, {**body, "assistant_id": "chat", "input": HI}])
    at.ask("batch of none", "POST", "/runs/batch", [])
    at.ask("cancel", "POST", "/runs/cancel", {"thread_id": NOBODY, "run_ids": [NOBODY]})
    at.ask("cancel nothing", "POST", "/runs/cancel", {})
    at.ask("unknown assistant", "POST", "/runs/wait", {"assistant_id": "zzz"})
    kept = {**body, "on_completion": "keep"}
    at.ask("kept", "POST", "/runs/stream", kept)
    at.ask("a failure", "POST", "/runs/wait", {**body, "input": {**QUICK, "boom": True}})


def crons(at: Side) -> None:
    path = at.thread("one")
    body = {"assistant_id": "slow", "input": QUICK, "schedule": "0 12 1 1 *"}
    cron = at.ask("create", "POST", "/runs/crons", {**body, "metadata": {"a": 1}})
    at.ask("of a thread", "POST", f"{path}/runs/crons", {**body, "timezone": "Europe/Paris"})
    at.ask("bad schedule", "POST", "/runs/crons", {**body, "schedule": "nope"})
    at.ask("bad zone", "POST", "/runs/crons", {**body, "timezone": "nope"})
    at.ask("unknown assistant", "POST", "/runs/crons", {**body, "assistant_id": "zzz"})
    at.ask("search", "POST", "/runs/crons/search", {"thread_id": path.rpartition("/")[2]})
    at.ask("count", "POST", "/runs/crons/count", {})
    at.ask("get", "GET", f"/runs/crons/{cron['cron_id']}")
    at.ask("patch", "PATCH", f"/runs/crons/{cron['cron_id']}", {"enabled": False})
    at.ask("delete", "DELETE", f"/runs/crons/{cron['cron_id']}")
    at.ask("get again", "GET", f"/runs/crons/{cron['cron_id']}")
    at.ask("delete again", "DELETE", f"/runs/crons/{cron['cron_id']}")


def store(at: Side) -> None:
    items = "/store/items"
    for key, value in {"k1": {"x": 1}, "k2": {"x": 2, "s": "text"}}.items():
        body = {"namespace": ["a", "b"], "key": key, "value": value}
        at.ask(f"put {key}", "PUT", items, body)
    at.ask("get", "GET", f"{items}?namespace=a.b&key=k1")
    at.ask("get none", "GET", f"{items}?namespace=a.b&key=zzz")
    at.ask("no key", "GET", f"{items}?namespace=a.b")
    at.ask("put no value", "PUT", items, {"namespace": ["a"], "key": "k"})
    at.ask("put a text", "PUT", items, {"namespace": ["a"], "key": "k", "value": "text"})
    at.ask("put a dot", "PUT", items, {"namespace": ["a.b"], "key": "k", "value": {}})
    at.ask("put nowhere", "PUT", items, {"namespace": [], "key": "k", "value": {}})
    at.ask("search", "POST", f"{items}/search", {"namespace_prefix": ["a"], "filter": {"x": 1}})
    at.ask("search page", "POST", f"{items}/search", {"namespace_prefix": ["a"], "limit": 1})
    at.ask("namespaces", "POST", "/store/namespaces", {"prefix": ["a"]})
    at.ask("delete", "DELETE", items, {"namespace": ["a", "b"], "key": "k1"})
    at.ask("delete again", "DELETE", items, {"namespace": ["a", "b"], "key": "k1"})


def protocol(at: Side) -> None:
    for graph, given in {"chat": HI, "sink": SINK, "tools": SUM, "hitl": HI, "slow": QUICK}.items():
        path = f"/threads/{uuid.uuid4()}"
        start = {"assistant_id": graph, "input": given}
        command = {"id": 1, "method": "run.start", "params": start}
        at.ask(f"start {graph}", "POST", f"{path}/commands", command)
        channels = {"channels": ["values", "messages", "tools", "lifecycle", "input"]}
        at.protocol(f"events of {graph}", f"{path}/stream/events", channels)
    path = f"/threads/{uuid.uuid4()}"
    for name, command in {
        "unknown": {"id": 1, "method": "zzz", "params": {}},
        "no id": {"method": "run.start", "params": {}},
        "no assistant": {"id": 1, "method": "run.start", "params": {}},
        "unknown assistant": {"id": 1, "method": "run.start", "params": {"assistant_id": "zzz"}},
        "no interrupt": {
            "id": 1,
            "method": "input.respond",
            "params": {"namespace": [], "interrupt_id": "x", "response": 1},
        },
        "tree": {"id": 1, "method": "agent.getTree", "params": {}},
    }.items():
        at.ask(name, "POST", f"{path}/commands", command)
    at.ask("no channels", "POST", f"{path}/stream/events", {})
    at.ask("unknown channel", "POST", f"{path}/stream/events", {"channels": ["zzz"]})


def agents(at: Side) -> None:
    accept = {"accept": "application/json, text/event-stream"}
    chat = at.ask("chat", "POST", "/assistants/search", {"graph_id": "chat"})[0]["assistant_id"]

    def call(name: str, path: str, method: str, params: Any, accept: Any = accept) -> None:
        body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
        at.ask(name, "POST", path, body, headers=accept)

    client = {"name": "x", "version": "1"}
    call(
        "initialize",
        "/mcp",
        "initialize",
        {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client},
    )
    call("tools", "/mcp", "tools/list", {})
    call("call", "/mcp", "tools/call", {"name": "slow", "arguments": QUICK})
    call("unknown tool", "/mcp", "tools/call", {"name": "zzz", "arguments": {}})
    call("unknown method", "/mcp", "zzz", {})
    call("with a slash", "/mcp/", "tools/list", {})
    at.ask("get mcp", "GET", "/mcp", headers=accept)
    at.ask("card by query", "GET", f"/.well-known/agent-card.json?assistant_id={chat}")
    for name in ("agent-card", "agent"):
        at.ask(name, "GET", f"/a2a/{chat}/.well-known/{name}.json")
    message = {"role": "user", "parts": [{"kind": "text", "text": "hi"}], "messageId": "m1"}
    call(
        "send", f"/a2a/{chat}", "message/send", {"message": message}, {"accept": "application/json"}
    )
    streamed = {"accept": "text/event-stream"}
    call("stream", f"/a2a/{chat}", "message/stream", {"message": message}, streamed)
    call("task of nobody", f"/a2a/{chat}", "tasks/get", {"id": "x"}, {"accept": "application/json"})


def frontends(at: Side) -> None:
    # The reference has none of them: of an assistant that nobody has, both say that there is none.
    at.ask("ai-sdk", "POST", "/ai-sdk/nobody", {"messages": []})
    at.ask("ai-sdk again", "GET", "/ai-sdk/nobody/chat/stream")
    at.ask("ai-sdk messages", "GET", "/ai-sdk/nobody/chat/messages")
    at.ask("ai-sdk stop", "DELETE", "/ai-sdk/nobody/chat/stream")
    asked = {"threadId": "t", "runId": "r", "messages": []}
    at.ask("ag-ui", "POST", "/ag-ui/nobody", asked)
    at.ask("ag-ui connect", "POST", "/ag-ui/nobody/connect", asked)
    at.ask("ag-ui again", "GET", "/ag-ui/nobody/chat/stream")
    at.ask("ag-ui stop", "DELETE", "/ag-ui/nobody/chat/stream")
    at.ask("ag-ui capabilities", "GET", "/ag-ui/nobody/capabilities")
    at.ask("openai", "POST", "/openai/v1/chat/completions", {"model": "x", "messages": []})
    at.ask("openai response", "POST", "/openai/v1/responses", {"model": "x", "input": "hi"})
    at.ask("openai retrieve", "GET", "/openai/v1/responses/resp_1")
    at.ask("openai cancel", "POST", "/openai/v1/responses/resp_1/cancel")
    at.ask("openai models", "GET", "/openai/v1/models")


def sdk(at: Side) -> None:
    client = at.client
    thread = at.call("create", client.threads.create, graph_id="chat")["thread_id"]
    at.call("wait", client.runs.wait, thread, "chat", input=HI)
    for mode in ("values", "messages-tuple", ["updates", "custom"]):
        given = {"input": SINK, "stream_mode": mode, "stream_subgraphs": True}
        at.call(f"stream {mode}", client.runs.stream, None, "sink", **given)
    given = {"input": SINK, "stream_mode": ["values", "updates"], "version": "v2"}
    at.call("stream in version 2", client.runs.stream, None, "sink", **given)
    at.call("state", client.threads.get_state, thread)
    at.call("history", client.threads.get_history, thread)
    at.call("update", client.threads.update_state, thread, {"messages": []}, as_node="call_model")
    at.call("copy", client.threads.copy, thread)
    at.call("search", client.threads.search, ids=[thread])
    at.call("runs", client.runs.list, thread)
    at.call("a failure", client.runs.wait, None, "slow", input={**QUICK, "boom": True})
    at.call("nobody", client.threads.get, NOBODY)
    at.call("item", client.store.get_item, ["zzz"], key="none")
    at.call("delete", client.threads.delete, thread)


SCENES: Final[dict[str, Scene]] = {
    scene.__name__: scene
    for scene in (
        system,
        assistants,
        threads,
        state,
        modes,
        runs,
        questions,
        busy,
        streams,
        stateless,
        crons,
        store,
        protocol,
        agents,
        frontends,
        sdk,
    )
}
