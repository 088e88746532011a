"""Callers that are known already: who is asked about again, and who is not."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langgraph_sdk import Auth
from starlette.requests import HTTPConnection

from millstream.server.auth.cache import UserCache
from millstream.server.auth.handlers import HandlerGuard
from millstream.server.auth.user import as_user
from millstream.server.config import AuthCacheConfig
from millstream.server.errors import ApiError, ConfigError
from millstream.testing.clock import FakeClock


def connection(path: str = "/threads", query: str = "", **headers: str) -> HTTPConnection:
    named = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "path_params": {}}
    return HTTPConnection({**scope, "query_string": query.encode(), "headers": named})


def guarded(*, body: bool = False, path: bool = False, **options: Any) -> tuple[HandlerGuard, Any]:
    """Return a guard that keeps callers, and a list of those that its handler was asked about."""
    auth, asked = Auth(), []

    def told(authorization: str | None) -> str:
        asked.append(authorization)
        if authorization is None or authorization.startswith("bad"):
            raise Auth.exceptions.HTTPException(401, "nobody")
        return authorization

    async def by_header(authorization: str | None) -> Any:
        return told(authorization)

    async def by_body(authorization: str | None, body: Any) -> Any:
        return told(authorization)

    async def by_path(authorization: str | None, path: str) -> Any:
        return told(authorization)

    auth.authenticate(by_body if body else by_path if path else by_header)
    return HandlerGuard(auth, AuthCacheConfig(**options)), asked


def who(guard: HandlerGuard, *connections: HTTPConnection) -> list[str]:
    async def main() -> list[str]:
        found = []
        for one in connections:
            try:
                user = await guard.authenticate(one)
            except ApiError as error:
                found.append(str(error.status))
            else:
                assert user is not None
                found.append(user.identity)
        return found

    return asyncio.run(main())


def test_who_was_let_in_is_not_asked_about_again_and_others_are() -> None:
    guard, asked = guarded(cache_keys=("X-Tenant",))
    ada, ben = connection(authorization="ada"), connection(authorization="ben")
    tenant = connection(authorization="ada", x_tenant="1")
    joined = connection(authorization="ad", x_tenant="a1")

    found = who(guard, ada, ben, ada, ben, tenant, tenant, joined, connection(), connection())

    assert found == ["ada", "ben", "ada", "ben", "ada", "ada", "ad", "401", "401"]
    assert asked == ["ada", "ben", "ada", "ad", None, None]


def test_what_a_request_adds_to_its_caller_is_not_for_the_next() -> None:
    guard, _ = guarded()
    lock = threading.Lock()

    async def main() -> list[Any]:
        found = []
        for _ in range(3):
            user = await guard.authenticate(connection(authorization="ada"))
            assert user is not None
            found.append((list(user.permissions), sorted(user)))
            user["permissions"].append("admin")
            user["lock"] = lock
        return found

    known = [], ["display_name", "identity", "is_authenticated", "permissions"]
    assert asyncio.run(main()) == [known] * 3


def test_a_caller_that_cannot_be_copied_is_kept_as_well() -> None:
    cache = UserCache(AuthCacheConfig(), ["authorization"])
    lock = threading.Lock()
    cache.put(b"key", as_user({"identity": "ada", "lock": lock}))

    found = cache.get(b"key")

    assert found is not None
    assert found["lock"] is lock


def test_who_was_refused_is_asked_about_again() -> None:
    guard, asked = guarded()
    bad = connection(authorization="bad")

    assert who(guard, bad, bad) == ["401", "401"]
    assert asked == ["bad", "bad"]


def test_what_a_handler_has_besides_headers_counts() -> None:
    guard, asked = guarded(path=True)
    here, there = connection("/threads", authorization="a"), connection("/runs", authorization="a")

    assert who(guard, here, there, here, there) == ["a"] * 4
    assert asked == ["a", "a"]


def test_a_handler_that_may_be_told_by_the_body_is_asked_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guard, asked = guarded(body=True)
    ada = connection(authorization="ada")

    assert who(guard, ada, ada) == ["ada", "ada"]
    assert asked == ["ada", "ada"]
    assert "the authenticate handler" in caplog.text
    assert "has body" in caplog.text


def test_callers_are_kept_for_a_time_and_so_many_of_them() -> None:
    clock = FakeClock()
    cache = UserCache(AuthCacheConfig(ttl_seconds=10, max_size=2), (), clock.read)
    keys = [cache.key_of(connection(cookie=name)) for name in "abc"]

    cache.put(keys[0], as_user("a"))
    clock.sleep(9)
    kept = cache.get(keys[0])
    # What is done to what was given is nobody else's.
    assert kept is not None
    kept["identity"] = "eve"
    assert cache.get(keys[0]) == as_user("a")
    clock.sleep(1)
    assert cache.get(keys[0]) is None
    for key, name in zip(keys, "abc", strict=True):
        cache.put(key, as_user(name))
    assert [cache.get(key) is not None for key in keys] == [False, True, True]
    assert cache.get(None) is None


@pytest.mark.parametrize("options", [{"ttl_seconds": 0}, {"max_size": 0}])
def test_a_cache_that_keeps_nobody_is_refused(options: Any) -> None:
    with pytest.raises(ConfigError, match=r"auth\.cache\..* is a number above 0"):
        AuthCacheConfig(**options)
