"""Auth handlers of servers in tests."""

from __future__ import annotations

import threading
from typing import Any

from langgraph_sdk import Auth

TOKENS = {"Bearer alice": "alice", "Bearer bob": "bob"}

recorded = Auth()
"""As on the recorded server: everybody has what is theirs, and nobody deletes threads."""


@recorded.authenticate
async def who(authorization: str | None) -> dict[str, Any]:
    name = TOKENS.get(authorization or "")
    if name is None:
        raise Auth.exceptions.HTTPException(status_code=401, detail="no token")
    return {"identity": name, "display_name": "n", "permissions": ["a:b"], "org": "acme"}


@recorded.on
async def own(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, Any]:
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@recorded.on.threads.delete
async def keep(ctx: Auth.types.AuthContext, value: Any) -> bool:
    return False


@recorded.on.store
async def own_namespace(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
    value["namespace"] = (ctx.user.identity, *(value.get("namespace") or ()))


owners = Auth()
"""Everybody has what is theirs, and may do anything with it."""
owners.authenticate(who)
owners.on(own)
owners.on.store(own_namespace)

patient = Auth()
"""Nobody but Alice is in a hurry, and nobody is in no hurry at all."""
patient.authenticate(who)


@patient.on.threads.create_run
async def be_patient(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> bool:
    if ctx.user.identity != "alice":
        value["priority"] = max(value["priority"], 1)
    return value["priority"] < 4


denying = Auth()
"""It is known who calls, and nobody may do anything."""
denying.authenticate(who)


@denying.on
async def deny(ctx: Auth.types.AuthContext, value: Any) -> bool:
    return False


faulty = Auth()
"""Fails in every way."""


@faulty.authenticate
async def fail(headers: dict[bytes, bytes]) -> Any:
    wanted = headers.get(b"x-test", b"").decode()
    if wanted == "assert":
        raise AssertionError
    if wanted == "teapot":
        raise Auth.exceptions.HTTPException(418, "short", headers={"x-spout": "1"})
    if wanted == "secret":
        raise RuntimeError("the password is 123")
    return None if wanted == "nobody" else wanted


@faulty.on
async def fail_later(ctx: Auth.types.AuthContext, value: Any) -> Any:
    if ctx.user.identity == "asserts":
        raise AssertionError("not you")
    if ctx.user.identity == "breaks":
        raise RuntimeError("the password is 123")
    return {"owner": {"$near": "x"}} if ctx.user.identity == "filters" else 5


asked: list[dict[str, Any]] = []
curious = Auth()
"""Writes down what it is asked."""


@curious.authenticate
def note(
    request: Any,
    body: Any,
    path: str,
    method: str,
    path_params: dict[str, str],
    query_params: dict[str, str],
    headers: dict[bytes, bytes],
    authorization: str | None,
    more: int = 0,
) -> str:
    asked.append(
        {
            "url": request.url.path,
            "body": body,
            "path": path,
            "method": method,
            "path_params": path_params,
            "query_params": query_params,
            "host": headers.get(b"host"),
            "authorization": authorization,
            "thread": threading.current_thread().name,
        }
    )
    return "carol"


@curious.on
async def note_value(ctx: Auth.types.AuthContext, value: Any) -> None:
    asked.append({"resource": ctx.resource, "action": ctx.action, "value": dict(value)})
