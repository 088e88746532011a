"""Checkpointers and stores of the user's own, and what their serializer may read."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from millstream.server.config import CheckpointerConfig, ServerConfig, StoreConfig
from millstream.server.errors import ConfigError
from millstream.server.persistence import open_saver, open_store, serializer_of
from server.fixtures import config_of, running
from server.graphs import make_graphs
from server.stores import happened, saver


def test_checkpoints_and_items_are_where_the_users_code_says(tmp_path: Path) -> None:
    happened.clear()
    config = config_of(
        make_graphs(),
        tmp_path,
        checkpointer=CheckpointerConfig(path="server.stores:open_saver"),
        store=StoreConfig(path="server.stores:make_store"),
    )
    with running(config) as server:
        assert happened == ["saver opened"]
        got = server.http.get("/store/items", params={"namespace": "a", "key": "k"}).json()
        assert got["value"] == {"is": "here"}
        thread_id = server.http.post("/threads", json={}).json()["thread_id"]
        run = {"assistant_id": "chat", "input": {"messages": [{"role": "user", "content": "hi"}]}}
        server.http.post(f"/threads/{thread_id}/runs/wait", json=run)
        assert saver.get_tuple({"configurable": {"thread_id": thread_id}}) is not None

        def history(of: str) -> list[Any]:
            states = server.http.post(f"/threads/{of}/history", json={"limit": 10}).json()
            return [(state["checkpoint_id"], state["values"], state["next"]) for state in states]

        # Savers that cannot copy are copied from, one checkpoint after the other.
        copied = server.http.post(f"/threads/{thread_id}/copy").json()["thread_id"]
        assert history(copied) == history(thread_id)
        assert len(history(copied)) > 1
        prune = {"thread_ids": [thread_id], "strategy": "keep_latest"}
        assert server.http.post("/threads/prune", json=prune).status_code == 501
        assert server.http.delete(f"/threads/{thread_id}").status_code == 204
        assert saver.get_tuple({"configurable": {"thread_id": thread_id}}) is None
        assert len(history(copied)) > 1
    assert happened == ["saver opened", "saver closed"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nope", "cannot be opened: AttributeError"),
        ("fail", "cannot be opened: RuntimeError: no database"),
        ("make_nothing", "but 5"),
    ],
)
def test_what_cannot_be_opened_is_refused_at_the_start(
    tmp_path: Path, name: str, told: str
) -> None:
    target = f"server.stores:{name}"
    config = config_of(
        {},
        tmp_path,
        checkpointer=CheckpointerConfig(path=target),
        store=StoreConfig(path=target),
    )

    async def try_both() -> None:
        async with AsyncExitStack() as stack:
            for key, open_it in (("checkpointer.path", open_saver), ("store.path", open_store)):
                with pytest.raises(ConfigError) as caught:
                    await open_it(config, stack)
                assert str(caught.value).startswith(f"{key} is '{target}'")
                assert told in str(caught.value)

    asyncio.run(try_both())


def test_serde_says_what_the_serializer_may_read() -> None:
    assert serializer_of(None) is None
    known = serializer_of({"allowed_json_modules": [["a", "B"]], "pickle_fallback": True})
    assert known is not None
    assert known.pickle_fallback is True
    assert known.loads_typed(known.dumps_typed({"x": 1})) == {"x": 1}
    for given, told in (
        ({"pickle": True}, "no key 'pickle'"),
        ({"allowed_json_modules": "a"}, "is a list or true, not 'a'"),
    ):
        with pytest.raises(ConfigError, match=told):
            serializer_of(given)


def test_servers_that_start_at_once_make_the_tables_of_the_store_once(empty_database: str) -> None:
    config = ServerConfig(database=empty_database)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            stores = await asyncio.gather(*(open_store(config, stack) for _ in range(4)))
            await stores[0].aput(("a",), "k", {"is": "here"})
            for store in stores:
                item = await store.aget(("a",), "k")
                assert item is not None
                assert item.value == {"is": "here"}

    asyncio.run(main())
