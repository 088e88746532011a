"""The log: what a request and a run leave in it, and what never is."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from sqlalchemy import Connection, text

from millstream.graph import END, START, MessagesState, StateGraph
from millstream.server import log_lines
from millstream.server.config import HttpConfig
from millstream.server.log_lines import fields_of, writing
from server.fixtures import Running, config_of, running

logger = logging.getLogger("millstream.tests")
SECRET = "hunter2"
NO_TABLE = re.compile("no such table|UndefinedTable")


@contextmanager
def told(
    monkeypatch: pytest.MonkeyPatch, format: str = "json", level: str = "info"
) -> Iterator[list[Any]]:
    """Give a list that has what was logged, once the block has ended."""
    target, lines = io.StringIO(), []
    monkeypatch.setattr(sys, "stderr", target)
    with writing(format, level):
        yield lines
    text = target.getvalue()
    lines += map(json.loads, text.splitlines()) if format == "json" else text.splitlines()


def node(state: MessagesState) -> MessagesState:
    if state["messages"][-1].content == "fail":
        raise ValueError(f"{SECRET} in an error")
    logging.getLogger("of.the.user").warning("heard")
    return {"messages": [("ai", "yes")]}


GRAPH = StateGraph(MessagesState).add_node(node).add_edge(START, "node").add_edge("node", END)


@contextmanager
def serving(directory: Path, **options: Any) -> Iterator[Running]:
    with running(config_of({"chat": GRAPH.compile()}, directory, **options)) as server:
        yield server


def run(text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "user", "content": text}
    return {"assistant_id": "chat", "input": {"messages": [message]}, **more}


def test_a_request_and_its_run_are_a_line_each_with_the_same_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told(monkeypatch) as lines, serving(tmp_path) as server:
        http = server.http
        thread_id = http.post("/threads", json={}).json()["thread_id"]
        answer = http.post(
            f"/threads/{thread_id}/runs/wait", json=run("hi"), headers={"x-request-id": "mine"}
        )
        run_id = answer.headers["content-location"].rpartition("/")[2]
        for path in ("/ok", "/livez", "/readyz"):
            assert http.get(path).status_code == 200
        assert http.get("/no%0awhere", params={"q": SECRET}).status_code == 404

    by_logger = {
        name: [line for line in lines if line["logger"].endswith(name)]
        for name in ("requests", "runs", "of.the.user")
    }
    [made, asked, lost] = by_logger["requests"]
    assert (lost["path"], lost["status"]) == ("/no%0Awhere", 404)
    assert (made["method"], made["path"], made["status"]) == ("POST", "/threads", 200)
    assert made["request_id"]
    assert asked["message"] == f"POST /threads/{thread_id}/runs/wait 200"
    assert asked["request_id"] == "mine"
    assert asked["ms"] >= 0
    [ended] = by_logger["runs"]
    expected = {"request_id": "mine", "run_id": run_id, "thread_id": thread_id}
    assert expected.items() <= ended.items()
    assert (ended["status"], ended["graph_id"], ended["attempt"]) == ("success", "chat", 1)
    # What nodes log tells of which run it is.
    [heard] = by_logger["of.the.user"]
    assert (heard["message"], heard["level"], heard["run_id"]) == ("heard", "warning", run_id)


def hide_threads(connection: Connection) -> None:
    """Have everything fail that is about threads."""
    connection.execute(text("ALTER TABLE threads RENAME TO gone"))


def test_what_clients_send_is_in_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text(f"ada: {SECRET}-{SECRET}-{SECRET}\n")
    http_config = HttpConfig(logging_headers={"includes": ["x-shown"]})
    with (
        told(monkeypatch, level="debug") as lines,
        serving(tmp_path, api_key_file=str(keys), http=http_config) as server,
    ):
        http = server.http
        headers = {
            "x-api-key": f"{SECRET}-{SECRET}-{SECRET}",
            "cookie": f"session={SECRET}",
            "x-shown": "yes",
        }
        wrong = {"authorization": f"Bearer {SECRET}"}
        assert http.get("/threads/1", headers=wrong, params={"key": SECRET}).status_code == 401
        thread = {"metadata": {"password": SECRET}}
        made = http.post("/threads", json=thread, headers=headers).json()
        path = f"/threads/{made['thread_id']}/runs/wait"
        for text in (SECRET, "fail"):
            body = run(text, webhook=f"https://example.invalid/?token={SECRET}")
            assert http.post(path, json=body, headers=headers).status_code == 200
        assert http.post(path, json={"input": SECRET}, headers=headers).status_code == 422
        assert http.post(path, content=SECRET, headers=headers).status_code == 422
        http.put("/store/items", json={"namespace": [SECRET], "key": SECRET}, headers=headers)
        # Also where the database fails, whose statements have all of it.
        asyncio.run(server.service.db.write(hide_threads))
        assert http.post("/threads", json=thread, headers=headers).status_code == 500

    assert len(lines) > 6
    assert any(NO_TABLE.search(line.get("exception", "")) for line in lines)
    assert SECRET not in json.dumps(lines)
    failed = [line for line in lines if line.get("error")]
    assert [line["error"] for line in failed] == ["ValueError"]
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+ in node", failed[0]["at"])
    shown = [line for line in lines if line.get("user") == "ada"]
    assert {line["x-shown"] for line in shown} == {"yes"}


def test_lines_for_people_have_the_same_and_no_control_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with told(monkeypatch, "text") as lines:
        logger.info("run of %s", "a\x1b[31m\nb", extra={"fields": {"run_id": "1", "ms": 2.5}})
        try:
            raise ValueError("wrong")
        except ValueError:
            logger.exception("failed")
        logger.debug("not asked for")

    assert lines[0].endswith("INFO millstream.tests: run of a␛[31m")
    assert lines[1] == "  b run_id=1 ms=2.5"
    assert lines[2].endswith("ERROR millstream.tests: failed")
    assert lines[-1] == "ValueError: wrong"
    assert "not asked for" not in "".join(lines)


def test_who_logs_never_waits_and_what_is_left_out_is_counted() -> None:
    # Nobody reads from it: whoever is to be written to takes nothing more.
    lines: Queue[Any] = Queue(2)
    handler = log_lines._Handing(lines)

    for number in range(5):
        handler.handle(logging.LogRecord("a", 20, "", 1, str(number), None, None))
    kept = [lines.get(), lines.get()]
    handler.handle(logging.LogRecord("a", 20, "", 1, "last", None, None))

    assert [record.getMessage() for record in kept] == ["0", "1"]
    assert fields_of(lines.get()) == {"lines_left_out": 3}


def test_the_log_of_others_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    root, own = logging.getLogger(), logging.getLogger("millstream")
    before = (root.level, own.level, [*root.handlers])

    with told(monkeypatch, level="debug") as lines:
        logging.getLogger("httpx").info("GET https://example.invalid/?token=%s", SECRET)
        assert own.level == logging.DEBUG

    assert lines == []
    assert (root.level, own.level, [*root.handlers]) == before
