"""What databases of PostgreSQL have of their own is seen by nobody: servers on files answer alike.

Those of these tests have odd defaults (`databases`): a language, a time zone, an isolation.
"""

from __future__ import annotations

import asyncio
import random
import string
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, text

from server.databases import new_postgres
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs

LONG = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=2700))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """Give a server on files, and one on PostgreSQL."""
    with (
        new_postgres() as address,
        running(config_of(make_graphs(), tmp_path_factory.mktemp("a"), database=None)) as files,
        running(config_of(make_graphs(), tmp_path_factory.mktemp("b"), database=address)) as other,
    ):
        yield [files, other]


def alike(both: list[Running], ask: Callable[[httpx.Client], Any]) -> Any:
    """Ask both servers the same; return what both answer."""
    first, second = [ask(server.http) for server in both]
    assert first == second
    return first


@pytest.mark.parametrize("odd", ["a\0b", "\0", "\x10", "\x100\0", r"\u0000", "ä😀"])
def test_the_store_keeps_every_text(both: list[Running], odd: str) -> None:
    place, value = {"namespace": ["texts"], "key": odd}, {"a": [odd, {odd: 1}], "b": odd}

    def ask(http: httpx.Client) -> Any:
        put = http.put("/store/items", json={**place, "value": value})
        got = http.get("/store/items", params={"namespace": "texts", "key": odd}).json()
        searched = {"namespace_prefix": ["texts"], "filter": {"b": odd}}
        found = http.post("/store/items/search", json=searched).json()["items"]
        gone = http.request("DELETE", "/store/items", json=place)
        left = http.post("/store/items/search", json=searched).json()["items"]
        shown = [(item["key"], item["value"]) for item in [got, *found]]
        return put.status_code, shown, gone.status_code, left

    assert alike(both, ask) == (204, [(odd, value)] * 2, 204, [])


def test_namespaces_have_every_text_that_they_may_have(both: list[Running]) -> None:
    def ask(http: httpx.Client) -> Any:
        item = {"namespace": ["odd", "\x100"], "key": "k", "value": {"n": 1}}
        put = http.put("/store/items", json=item)
        found = http.post("/store/namespaces", json={"prefix": ["odd", "\x100"]}).json()
        refused = http.put("/store/items", json={**item, "namespace": ["a\0"]})
        return put.status_code, found, refused.status_code

    assert alike(both, ask) == (204, {"namespaces": [["odd", "\x100"]]}, 422)


def test_keys_that_an_index_cannot_have_are_refused(both: list[Running]) -> None:
    _, other = both
    item = {"namespace": ["long"], "key": LONG, "value": {"n": 1}}
    answer = other.http.put("/store/items", json=item)
    assert answer.status_code == 422
    assert "have 2,705 bytes, and in PostgreSQL at most 2,600" in answer.json()["detail"]
    assert other.http.put("/store/items", json={**item, "key": LONG[:2595]}).status_code == 204


def test_what_one_asks_wrongly_fails_nobody_else(both: list[Running]) -> None:
    async def ask(store: Any) -> list[Any]:
        # They come together, and are carried out so.
        return await asyncio.gather(
            store.asearch(("shared",), filter={"n": {"$what": 1}}),
            store.aput(("shared",), "k", {"n": 1}),
            store.aget(("shared",), "none"),
            return_exceptions=True,
        )

    for server in both:
        found = asyncio.run(server.service.run_loop.call(ask(server.service.store)))
        assert isinstance(found[0], ValueError)
        assert found[1:] == [None, None]
        query = {"namespace": "shared", "key": "k"}
        assert server.http.get("/store/items", params=query).json()["value"] == {"n": 1}


def test_those_who_ask_for_the_same_at_once_have_each_their_own(both: list[Running]) -> None:
    value = {"text": "\x100"}

    async def ask(store: Any) -> list[Any]:
        await store.aput(("same",), "k", value)
        return await asyncio.gather(*(store.aget(("same",), "k") for _ in range(3)))

    for server in both:
        found = asyncio.run(server.service.run_loop.call(ask(server.service.store)))
        assert [item.value for item in found] == [value] * 3
        assert len(set(map(id, found))) == 3


def test_names_are_in_the_order_of_their_characters(both: list[Running]) -> None:
    names = ["b", "A", "a", "Z", "é", "É", "_x", "a b", "ab", "a-b", "", "10", "9"]

    def ask(http: httpx.Client) -> Any:
        for name in names:
            body = {"graph_id": "chat", "metadata": {"of": "order"}, "name": name}
            assert http.post("/assistants", json=body).status_code == 200
        wanted = {"metadata": {"of": "order"}, "sort_by": "name", "limit": 100}
        orders = [{**wanted, "sort_order": order} for order in ("asc", "desc")]
        found = [http.post("/assistants/search", json=order).json() for order in orders]
        return [[each["name"] for each in one] for one in found]

    assert alike(both, ask) == [sorted(names), sorted(names, reverse=True)]


def test_what_has_no_value_comes_before_what_has_one(both: list[Running]) -> None:
    ends = [None, "2030-01-01T00:00:00Z", "2031-01-01T00:00:00+05:30", None]

    def ask(http: httpx.Client) -> Any:
        for day, end in enumerate(ends, 1):
            body = {"assistant_id": "chat", "schedule": f"0 0 {day} 1 *", "metadata": {"day": day}}
            assert http.post("/runs/crons", json={**body, "end_time": end}).status_code == 200
        found = []
        for order in ("asc", "desc"):
            wanted = {"sort_by": "end_time", "sort_order": order}
            crons = http.post("/runs/crons/search", json=wanted).json()
            found.append([cron["metadata"]["day"] for cron in crons])
        return [found[0][2:], found[1][:2], sorted(found[0][:2])]

    assert alike(both, ask) == [[2, 3], [3, 2], [1, 4]]


def test_numbers_of_metadata_are_found_and_read_as_they_were(both: list[Running]) -> None:
    numbers = {
        "a": 2**63 - 1,
        "b": 2**64 - 1,
        "c": 1e300,
        "d": 1e-300,
        "e": 1.0,
        "f": [1, "1", 1.5],
    }

    def ask(http: httpx.Client) -> Any:
        made = http.post("/threads", json={"metadata": numbers}).json()["thread_id"]
        searches = [
            http.post("/threads/search", json={"metadata": {k: v}}) for k, v in numbers.items()
        ]
        found = [[each["thread_id"] for each in search.json()] == [made] for search in searches]
        return http.get(f"/threads/{made}").json()["metadata"], found

    assert alike(both, ask) == (numbers, [True] * len(numbers))


def test_times_are_in_utc_whatever_zone_a_database_has(both: list[Running]) -> None:
    for server in both:
        began = datetime.now(timezone.utc) - timedelta(seconds=1)
        item = {"namespace": ["times"], "key": "k", "value": {"n": 1}}
        server.http.put("/store/items", json=item)
        kept = server.http.get("/store/items", params={"namespace": "times", "key": "k"}).json()
        thread = server.http.post("/threads", json={}).json()
        for given in (kept["created_at"], kept["updated_at"], thread["created_at"]):
            assert given.endswith("+00:00")
            # A file's clock has whole seconds.
            time = datetime.fromisoformat(given)
            assert began.replace(microsecond=0) <= time <= datetime.now(timezone.utc)


def test_transactions_are_what_they_were_thought_of_for(both: list[Running]) -> None:
    def isolation(connection: Connection) -> Any:
        return connection.scalar(text("SHOW transaction_isolation"))

    _, other = both
    assert asyncio.run(other.service.db.write(isolation)) == "read committed"
    assert asyncio.run(other.service.db.read(isolation)) == "repeatable read"


def test_many_change_the_same_at_once(both: list[Running]) -> None:
    async def ask(url: str) -> Any:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            at = (await http.post("/threads", json={})).json()["thread_id"]
            path = f"/threads/{at}"
            patches = (http.patch(path, json={"metadata": {str(n): n}}) for n in range(20))
            codes = {answer.status_code for answer in await asyncio.gather(*patches)}
            return codes, (await http.get(path)).json()["metadata"]

    for server in both:
        assert asyncio.run(ask(server.url)) == ({200}, {str(n): n for n in range(20)})
