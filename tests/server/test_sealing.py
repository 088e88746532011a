"""Encryption handlers: what is stored, who is told what, and what is refused."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from sqlalchemy import Connection, select

import waiting
from millstream.config import get_stream_writer
from millstream.graph import END, START, StateGraph
from millstream.server.config import (
    AuthConfig,
    CheckpointerConfig,
    EncryptionConfig,
    StoreConfig,
)
from millstream.server.encryption.journal import aes_serializer
from millstream.server.encryption.loading import load_sealer
from millstream.server.errors import ConfigError
from millstream.server.service import Service
from millstream.server.storage.postgres_engine import Address
from millstream.server.storage.tables import runs, threads
from millstream.store.base import BaseStore
from millstream.types import interrupt
from server import sealing
from server.clocks import HandClock
from server.databases import of_directory
from server.fixtures import Running, config_of, running

SECRET = "hunter2"


class State(TypedDict, total=False):
    text: str
    said: Annotated[list[str], lambda old, new: old + new]


def make_graph(question: bool = False) -> Any:
    async def say(state: State, store: BaseStore) -> State:
        get_stream_writer()({"progress": f"{SECRET} by a stream"})
        await store.aput(("notes",), "of the graph", {"note": f"{SECRET} by a node"})
        kept = await store.aget(("notes",), "of the graph")
        assert kept is not None
        assert kept.value == {"note": f"{SECRET} by a node"}
        if question:
            interrupt({"question": f"{SECRET} asked"})
        return {"said": [f"{SECRET} said of {state['text']}"]}

    def fail(state: State) -> State:
        if state["text"].startswith("fail"):
            raise ValueError(f"{SECRET} in an error")
        return {}

    builder = StateGraph(State)
    builder.add_node("say", say)
    builder.add_node("fail", fail)
    builder.add_edge(START, "say")
    builder.add_edge("say", "fail")
    builder.add_edge("fail", END)
    return builder.compile()


@contextmanager
def serving(directory: Path, name: str | None = "whole", **options: Any) -> Iterator[Running]:
    """Serve with the handlers of a name."""
    encryption = None if name is None else EncryptionConfig(f"server.sealing:{name}")
    graphs = {"talk": make_graph(), "ask": make_graph(question=True)}
    with running(config_of(graphs, directory, encryption=encryption, **options)) as server:
        yield server


def plain_places(directory: Path, word: str = SECRET) -> set[str]:
    """Return where a word is stored as it is: with the "server", its "threads", its "store"."""
    address = of_directory(directory)
    kept = kept_in_tables(address) if address else kept_in_files(directory)
    assert {place for place, _ in kept} >= {"server", "threads", "store"}
    return {place for place, content in kept if word.encode() in content}


def kept_in_files(directory: Path) -> list[tuple[str, bytes]]:
    """Return everything that files of databases have, and those beside them."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    names = [path.name.partition(".db")[0].removeprefix("server-") for path in files]
    return [(name, path.read_bytes()) for name, path in zip(names, files, strict=True)]


def kept_in_tables(address: str) -> list[tuple[str, bytes]]:
    """Return everything that a database in PostgreSQL has."""
    tables = (
        "SELECT schemaname, tablename FROM pg_tables "
        "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    kept = []
    with Address(address).connect() as connection:
        for schema, table in connection.execute(tables).fetchall():
            place = {"journal": "threads", "store": "store"}.get(table.partition("_")[0], "server")
            rows = connection.execute(f"SELECT * FROM {schema}.{table}").fetchall()
            values = [value for row in rows for value in row]
            kept.append((place, b"\n".join(map(_as_bytes, values))))
    return kept


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def fill(server: Running) -> dict[str, Any]:
    """Have something secret in everything that is kept; return what clients see of it."""
    http = server.http
    kept = {"configurable": {"password": SECRET}}
    marks = {"owner": "ada", "password": SECRET}
    assistant = {"graph_id": "talk", "metadata": marks, "config": kept, "name": "a"}
    assistant_id = http.post("/assistants", json=assistant).json()["assistant_id"]
    http.patch(f"/assistants/{assistant_id}", json={"metadata": {"again": SECRET}})
    thread_id = http.post("/threads", json={"metadata": marks}).json()["thread_id"]
    http.patch(f"/threads/{thread_id}", json={"metadata": {"email": SECRET}})
    run = {
        "assistant_id": assistant_id,
        "input": {"text": SECRET},
        "metadata": marks,
        "stream_mode": ["values", "custom", "updates"],
        "stream_resumable": True,
    }
    with http.stream("POST", f"/threads/{thread_id}/runs/stream", json=run) as response:
        said = response.read()
        run_id = response.headers["content-location"].rpartition("/")[2]
    assert said.count(SECRET.encode()) > 3
    http.post(f"/threads/{thread_id}/state", json={"values": {"said": [SECRET]}, "as_node": "say"})
    other_id = http.post("/threads", json={}).json()["thread_id"]
    asking = {"assistant_id": "ask", "input": {"text": SECRET}}
    http.post(f"/threads/{other_id}/runs/wait", json=asking)
    failing = {**run, "input": {"text": f"fail {SECRET}"}}
    http.post(f"/threads/{thread_id}/runs/wait", json=failing)
    copy_id = http.post(f"/threads/{thread_id}/copy").json()["thread_id"]
    cron = {"assistant_id": assistant_id, "schedule": "0 0 1 1 *", "input": {"text": SECRET}}
    http.post("/runs/crons", json={**cron, "metadata": marks})
    item = {"namespace": ["a"], "key": "k", "value": {"password": SECRET, "shown": 1}}
    http.put("/store/items", json=item)
    return {"assistant": assistant_id, "thread": thread_id, "run": run_id, "copy": copy_id} | {
        "other": other_id
    }


def seen(server: Running, ids: dict[str, Any]) -> list[Any]:
    """Return what clients see of it."""
    http, thread = server.http, f"/threads/{ids['thread']}"
    back = {"last-event-id": "0"}
    stream = http.get(f"{thread}/runs/{ids['run']}/stream", headers=back)
    answers = [
        http.get(f"/assistants/{ids['assistant']}"),
        http.post(f"/assistants/{ids['assistant']}/versions", json={}),
        http.get(thread),
        http.get(f"{thread}/state"),
        http.get(f"{thread}/runs"),
        http.get(f"/threads/{ids['copy']}"),
        http.get(f"/threads/{ids['other']}"),
        http.get(f"/threads/{ids['copy']}/state"),
        http.post(f"{thread}/history", json={"limit": 10}),
        http.post("/runs/crons/search", json={}),
        http.post("/threads/search", json={"metadata": {"owner": "ada"}}),
        http.post("/threads/search", json={"extract": {"text": "values.text"}, "select": []}),
        http.post("/store/items/search", json={"namespace_prefix": ["a"], "filter": {"shown": 1}}),
        http.get("/store/items", params={"namespace": "notes", "key": "of the graph"}),
    ]
    assert [answer.status_code for answer in (stream, *answers)] == [200] * 15
    return [stream.text, *(answer.json() for answer in answers)]


def test_nothing_secret_is_stored_as_it_is_and_clients_see_all_of_it(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        ids = fill(server)
        before = seen(server, ids)
        assert plain_places(tmp_path) == set()

    assert plain_places(tmp_path) == set()
    assert all(SECRET in json.dumps(one) for one in before)
    assert "millstream:sealed" not in json.dumps(before)
    fields = {(model, field) for _, model, field, _ in sealing.asked}
    assert fields >= {
        ("thread", "metadata"), ("thread", "values"), ("thread", "interrupts"),
        ("run", "kwargs"), ("run", "metadata"), ("run", "error"), ("run", "events"),
        ("assistant", "metadata"), ("assistant", "config"), ("cron", "payload"),
        ("checkpoint", None), ("store", "value"),
    }  # fmt: skip
    with serving(tmp_path) as server:
        assert seen(server, ids) == before


def test_without_handlers_it_is_all_there(tmp_path: Path) -> None:
    with serving(tmp_path, None) as server:
        fill(server)

    assert plain_places(tmp_path) >= {"server", "store"}


@pytest.mark.parametrize(
    ("name", "plain"), [("blobs", {"server", "store"}), ("objects", {"server", "threads"})]
)
def test_handlers_of_one_kind_seal_what_they_are_for(
    tmp_path: Path, name: str, plain: set[str]
) -> None:
    with serving(tmp_path, name) as server:
        seen(server, fill(server))

    # Events are bytes, and are in the server's own tables.
    assert plain_places(tmp_path) == plain


def test_what_was_there_before_stays_readable_and_is_sealed_when_it_is_written(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, None) as server:
        ids = fill(server)
        before = seen(server, ids)

    with serving(tmp_path) as server:
        assert seen(server, ids) == before
        server.http.patch(f"/threads/{ids['thread']}", json={"metadata": {"more": 1}})
        patched = server.http.get(f"/threads/{ids['thread']}").json()
        assert patched["metadata"]["password"] == SECRET


def test_sealed_files_are_not_served_without_their_handlers(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        fill(server)

    with pytest.raises(ConfigError, match=r"name them with encryption\.path"):
        asyncio.run(_open(config_of({}, tmp_path)))


async def _open(config: Any) -> None:
    async with Service.open(config):
        pass


def test_each_caller_has_their_context_wherever_their_runs_go_on(tmp_path: Path) -> None:
    auth = AuthConfig(path="server.handlers:owners")
    with serving(tmp_path, "tenants", auth=auth, n_jobs_per_worker=2) as server:

        def use(name: str) -> Any:
            headers = {"authorization": f"Bearer {name}"}
            http = server.http
            thread_id = http.post("/threads", json={}, headers=headers).json()["thread_id"]
            run = {
                "assistant_id": "talk",
                "input": {"text": f"{SECRET} of {name}"},
                "stream_resumable": True,
                "stream_mode": ["values", "custom"],
            }
            path = f"/threads/{thread_id}/runs"
            # The second one waits for the first, and is begun by it.
            first = http.post(path, json=run, headers=headers).json()["run_id"]
            http.post(f"{path}/wait", json=run, headers=headers)
            told = http.get(
                f"{path}/{first}/stream", headers={**headers, "last-event-id": "0"}
            ).text
            state = http.get(f"/threads/{thread_id}/state", headers=headers).json()
            return told.count(f"of {name}") > 1, state["values"]["said"]

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(use, ["alice", "bob"] * 6))

    said = {name: [f"{SECRET} said of {SECRET} of {name}"] * 2 for name in ("alice", "bob")}
    assert found == [(True, said["alice"]), (True, said["bob"])] * 6
    assert plain_places(tmp_path) == set()


def test_the_header_is_the_context_where_nobody_says_otherwise(tmp_path: Path) -> None:
    told = b64encode(json.dumps({"tenant": "acme"}).encode()).decode()
    with serving(tmp_path) as server:
        sealing.asked.clear()
        run = {"assistant_id": "talk", "input": {"text": "x"}}
        headers = {"x-encryption-context": told}
        assert server.http.post("/runs/wait", json=run, headers=headers).status_code == 200
        assert {tenant for *_, tenant in sealing.asked} == {"acme"}
        for wrong in ("{}", "W10=", "é".encode().hex()):
            bad = server.http.post("/threads", json={}, headers={"x-encryption-context": wrong})
            assert bad.status_code == 422
            assert "x-encryption-context" in bad.json()["detail"]


def test_runs_of_crons_are_in_the_context_of_who_made_them(tmp_path: Path) -> None:
    auth = AuthConfig(path="server.handlers:owners")
    with serving(tmp_path, "tenants", auth=auth) as server:
        # Once a year: no minute may begin while this server is there.
        cron = {"assistant_id": "talk", "schedule": "0 0 1 7 *", "input": {"text": SECRET}}
        headers = {"authorization": "Bearer alice"}
        body = {**cron, "on_run_completed": "keep"}
        assert server.http.post("/runs/crons", json=body, headers=headers).status_code == 200

    async def later() -> list[Any]:
        graphs = {"talk": make_graph(), "ask": make_graph()}
        encryption = EncryptionConfig("server.sealing:tenants")
        config = config_of(graphs, tmp_path, encryption=encryption, auth=auth)
        clock = HandClock("2030-01-01T00:00:30+00:00")
        async with Service.open(config, clock) as service:
            sealing.asked.clear()

            def read(connection: Connection) -> list[Any]:
                query = select(runs.c.status, threads.c["values"]).join(
                    threads, threads.c.thread_id == runs.c.thread_id
                )
                return [tuple(row) for row in connection.execute(query)]

            assert await waiting.auntil(
                lambda: (
                    not service.crons.is_awake and clock.is_quiet and not service.scheduler.active
                )
            )
            return await service.db.read(read)

    [(status, values)] = asyncio.run(later())

    assert (status, values["text"]) == ("success", SECRET)
    assert {tenant for *_, tenant in sealing.asked} == {"alice"}


def test_handlers_that_change_keys_or_fail_store_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path, "renaming") as server:
        body = {"metadata": {"secret": SECRET}}
        assert server.http.post("/threads", json=body).status_code == 500
        assert server.http.post("/threads/count", json={}).json() == 0
        assert "it has to keep the keys" in caplog.text
        assert SECRET not in caplog.text
        reserved = {"metadata": {"millstream:sealed": {}}}
        assert server.http.post("/threads", json=reserved).status_code == 422
    caplog.clear()
    with serving(tmp_path / "other", "failing") as server:
        assert server.http.post("/threads", json={}).status_code == 200
        body = {"metadata": {"secret": SECRET}}
        assert server.http.post("/threads", json=body).status_code == 500
        assert "fail failed with RuntimeError" in caplog.text
        assert server.http.post("/threads/count", json={}).json() == 1


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("nope", {}, "cannot be imported: AttributeError"),
        ("PLAIN", {}, "which is no langgraph_sdk.Encryption"),
        ("half", {}, "give it @decrypt.json too"),
        ("empty", {}, "which has no handlers"),
        ("blobs", {"checkpointer": CheckpointerConfig(path="a:b")}, "checkpointer.path"),
        ("objects", {"store": StoreConfig(index={"dims": 2})}, "store.index"),
    ],
)
def test_handlers_that_cannot_be_are_refused_at_the_start(
    tmp_path: Path, name: str, options: dict[str, Any], told: str
) -> None:
    encryption = EncryptionConfig(f"server.sealing:{name}")

    with pytest.raises(ConfigError, match=told):
        load_sealer(config_of({}, tmp_path, encryption=encryption, **options))


def test_a_key_in_the_environment_that_cannot_be_used_is_refused() -> None:
    serde = JsonPlusSerializer()

    assert aes_serializer(serde, {}) is serde
    with pytest.raises(ConfigError, match="16, 24 or 32 bytes"):
        aes_serializer(serde, {"LANGGRAPH_AES_KEY": "short"})
    with pytest.raises(ConfigError, match="LANGGRAPH_AES_JSON_KEYS"):
        aes_serializer(serde, {"LANGGRAPH_AES_KEY": "k" * 16, "LANGGRAPH_AES_JSON_KEYS": "email"})
