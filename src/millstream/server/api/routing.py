"""Operations of the API: each is registered once, with all that is known of it.

Routes, validation and `/openapi.json` are made of the registry. A handler is given the `Call`; what
its parameters `body` and `query` are annotated with is what the request has to have there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from reprlib import Repr
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, get_type_hints
from uuid import UUID

import orjson
from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from millstream._base.collecting import no_collecting
from millstream.server.api.asking import ask
from millstream.server.api.bodies.base import Asked, Query
from millstream.server.auth.guard import admit
from millstream.server.auth.user import User
from millstream.server.encoding import dumps
from millstream.server.encryption.context import enter_context
from millstream.server.errors import ApiError
from millstream.server.headers import request_id_of
from millstream.server.log_lines import PROBES, log_request
from millstream.server.storage.containment import Filters

if TYPE_CHECKING:
    from millstream.server.service import Service

logger = logging.getLogger("millstream.server")

Handler = Callable[..., Awaitable[Response]]
Auth: TypeAlias = tuple[str, str] | Callable[[Any], tuple[str, str]] | None
"""Resource and action, or what tells them by the body."""
HandlerT = TypeVar("HandlerT", bound=Handler)

MAX_DEPTH: Final = 100
"""How deep JSON of a request may be: what is deeper is no state, and cannot be given back."""
_LONG: Final = ("/stream", "/stream/events", "/wait", "/join")
_MOST_PROBLEMS: Final = 20
"""How many of a body's mistakes a client is told."""
_BODY: Final = "millstream.body"
"""Where the scope of a request has its body, once that has been read: handlers may want it."""
_short: Final = Repr()
_short.maxstring = _short.maxother = 100
_short.maxlist = _short.maxdict = 10
_IDS: Final = {
    "assistant_id": "assistant",
    "thread_id": "thread",
    "run_id": "run",
    "cron_id": "cron",
    "checkpoint_id": "",
}


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    auth: Auth
    """Resource and action that an auth handler is asked about; None if everybody may."""
    status: int
    """What a success is answered with."""
    takes_names: bool
    """Ids in the path are looked at by the handler: an assistant may be named by its graph."""
    tag: str
    gives: Sequence[str] = ()
    """The ids in its answer, that of what it makes last."""
    body: TypeAdapter[Any] | None = None
    query: type[Query] | None = None
    asked: Callable[[Any], Asked] | None = None
    """What makes of the body what an auth handler is asked."""
    streams: bool = False
    """It answers with a stream, whatever its path."""
    refuse: Callable[[int, str], Any] | None = None
    """What the body of an error is, in a protocol that has a form for it."""

    @property
    def is_long(self) -> bool:
        """Whether it may be answered for as long as a run takes."""
        return self.streams or self.path.endswith(_LONG)

    @property
    def summary(self) -> str:
        """Return what it does, in a sentence."""
        return (self.handler.__doc__ or "").strip().partition("\n")[0].rstrip(".")

    def schema_of(self, name: str) -> dict[str, Any]:
        """Return what a parameter of the path is, as JSON Schema."""
        if self.takes_names or not _IDS.get(name):
            return {"type": "string"}
        return {"type": "string", "format": "uuid"}


OPERATIONS: Final[list[Operation]] = []


@dataclass
class Call:
    """A request on its way: what handlers are given."""

    request: Request
    service: Service
    operation: Operation
    ids: Mapping[str, str]
    """The parameters of the path; ids in their usual form."""
    filters: Filters | None = None
    """What the caller may see, as auth handlers say."""
    user: User | None = None
    """Who calls."""
    marks: dict[str, Any] = field(default_factory=dict)
    """The metadata that auth handlers have given to what is made."""
    parts: list[Call] = field(default_factory=list)
    """Where the body is a list: the call that each item of it would be."""

    def __getitem__(self, name: str) -> str:
        """Return a parameter of the path."""
        return self.ids[name]

    async def ask(self, resource: str, action: str, value: dict[str, Any]) -> Filters | None:
        """Ask whether the caller may do something else too, and return what they may see."""
        return await self.service.guard.authorize(self.user, resource, action, value)

    @property
    def root_path(self) -> str:
        """Return what stands before every path where the application is mounted."""
        return str(self.request.scope.get("root_path", ""))


def operation(
    method: str,
    path: str,
    *,
    auth: Auth,
    asked: Callable[[Any], Asked] | None = None,
    status: int = 200,
    takes_names: bool = False,
    streams: bool = False,
    refuse: Callable[[int, str], Any] | None = None,
    gives: Sequence[str] = (),
) -> Callable[[HandlerT], HandlerT]:
    """Register a handler for a method of a path."""

    def register(handler: HandlerT) -> HandlerT:
        hints = get_type_hints(handler)
        OPERATIONS.append(
            Operation(
                method=method,
                path=path,
                handler=handler,
                auth=auth,
                status=status,
                takes_names=takes_names,
                streams=streams,
                refuse=refuse,
                tag=handler.__module__.rpartition(".")[2],
                gives=gives,
                body=TypeAdapter(hints["body"]) if "body" in hints else None,
                query=hints.get("query"),
                asked=asked,
            )
        )
        return handler

    return register


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return Response(dumps(value), status, headers, "application/json")


def empty(status: int = 204, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with nothing."""
    return Response(None, status, headers)


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with an error, in the one form that errors have."""
    return reply({"detail": detail}, status, headers)


def routes(disabled: frozenset[str] = frozenset()) -> list[Route]:
    """Return the routes of all operations, but for those of the resources that are disabled."""
    by_path: dict[str, dict[str, Operation]] = {}
    for known in OPERATIONS:
        if known.tag in disabled and known.path not in PROBES:
            continue
        by_path.setdefault(known.path, {})[known.method] = known
    # Paths with fewer parameters first: `/threads/search` is no thread.
    paths = sorted(by_path, key=lambda path: (path.count("{"), path))
    return [Route(path, _Endpoint(by_path[path])) for path in paths]


def needs_caller(routes: Sequence[BaseRoute], scope: Any) -> bool:
    """Return whether it has to be known who calls what the scope of a request asks for."""
    for route in routes:
        found, inner = route.matches(scope)
        if found is Match.FULL:
            operations = getattr(inner.get("endpoint"), "operations", {})
            known = operations.get(scope.get("method", "GET"))
            return known is None or known.auth is not None
    return False


class _Endpoint:
    """The ASGI application of a path."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self.operations = dict(operations)
        if "GET" in operations:
            self.operations.setdefault("HEAD", operations["GET"])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        began = monotonic()
        request = Request(scope, receive, send)
        found = self.operations.get(request.method)
        if found is None:
            allowed = ", ".join(self.operations)
            response = reply({"detail": "Method Not Allowed"}, 405, {"allow": allowed})
        else:
            response = await _answer(found, request)
        service: Service = scope["app"].state.service
        # What is counted has no names that clients make up.
        method, path = ("", "") if found is None else (request.method, found.path)
        service.metrics.requests[method, path, response.status_code] += 1
        is_long = found is not None and found.is_long
        service.metrics.streams += is_long
        try:
            await response(scope, receive, send)
        finally:
            service.metrics.streams -= is_long
            service.limits.end(scope)
            log_request(request, response.status_code, began, service.logging_headers)


async def _answer(found: Operation, request: Request) -> Response:
    try:
        call = Call(request, request.app.state.service, found, {})
        if found.auth is not None:
            # Before anything else is said, of what is asked for or how.
            limits = call.service.limits
            limits.check_headers(request.scope)
            call.user = await admit(call.service.guard, request, partial(_read_json, call))
            limits.count(request, call.user)
            if found.is_long:
                limits.open_stream(request, call.user)
            await enter_sealing(call)
        call.ids = _ids(found, request.path_params)
        given: dict[str, Any] = {}
        if found.query is not None:
            given["query"] = _valid_query(found.query, request)
        if found.body is not None:
            given["body"] = _valid_body(found.body, await _read_json(call))
        if not call.service.guard.is_open:
            await ask(call, given.get("query"), given.get("body"))
        return await found.handler(call, **given)
    except ApiError as error:
        if found.refuse is not None:
            body = found.refuse(error.status, error.detail)
            return reply(body, error.status, error.headers)
        return refusal(error.status, error.detail, error.headers)
    except ClientDisconnect:
        # Nobody reads the answer.
        return refusal(499, "Client Closed Request")
    except Exception:
        told = request.app.state.service.logging_headers.of(request.headers)
        fields = {"request_id": request_id_of(request), **told}
        logger.exception("%s %s failed", request.method, request.url.path, extra={"fields": fields})
        return refusal(500, "Internal Server Error")


async def enter_sealing(call: Call) -> None:
    """Have what a request leads to sealed in its context, where anything is sealed."""
    sealer = call.service.sealer
    if sealer is not None:
        enter_context(await sealer.context_of(call.request, call.user))


def _ids(found: Operation, given: Mapping[str, str]) -> dict[str, str]:
    ids = dict(given)
    for name, text in given.items():
        what = _IDS.get(name)
        if what and not found.takes_names:
            ids[name] = uuid_of(text, what)
    return ids


def uuid_of(text: str, what: str) -> str:
    """Return an id in its usual form, or refuse it."""
    try:
        return str(UUID(text))
    except (ValueError, AttributeError, TypeError):
        raise ApiError(422, f"Invalid {what} ID: must be a UUID") from None


def _valid_query(query: type[Query], request: Request) -> Query:
    try:
        return query.model_validate(query.of(request.query_params.multi_items()))
    except ValidationError as error:
        raise ApiError(422, _explain(error)) from None


def _valid_body(body: TypeAdapter[Any], given: Any) -> Any:
    try:
        return body.validate_python(given)
    except ValidationError as error:
        raise ApiError(422, _explain(error)) from None


def _explain(error: ValidationError) -> str:
    if error.error_count() > _MOST_PROBLEMS:
        return f"{error.title}: {error.error_count()} of its values are not what they should be"
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        place = ".".join(map(str, problem["loc"])) or "the request"
        # Long values are of no help, and may be somebody's secret.
        given = _short.repr(problem["input"])[:100]
        lines.append(f"{place[:200]}: {problem['msg']}, not {given}")
    return "\n".join(lines)


async def _read_json(call: Call) -> Any:
    text = await read_body(call)
    return parse_json(text) if text.strip() else {}


def parse_json(text: bytes) -> Any:
    """Return what a client has sent; `ApiError` if it is no JSON, or nested too deeply."""
    too_deep = ApiError(422, f"JSON in the request body is nested deeper than {MAX_DEPTH}")
    try:
        # A million lists that are all in use: to look through them again and again takes longest.
        with no_collecting():
            value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "depth" in error.msg:  # of the depth that orjson itself reads
            raise too_deep from None
        raise ApiError(422, "Invalid JSON in request body") from None
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and _is_deep([value]):
        raise too_deep
    return value


async def read_body(call: Call) -> bytes:
    """Return the body of the request, as it came."""
    return await _read(call.request, call.service.config.max_request_bytes)


async def _read(request: Request, limit: int) -> bytes:
    if _BODY in request.scope:
        known: bytes = request.scope[_BODY]
        return known
    chunks = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise ApiError(413, f"The request body is larger than {limit} bytes")
        chunks.append(chunk)
    text = request.scope[_BODY] = b"".join(chunks)
    return text


def _is_deep(value: Any) -> bool:
    """Say whether lists and objects are nested too deeply."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner = [
            each
            for outer in level
            for each in (outer.values() if type(outer) is dict else outer)
            if type(each) is dict or type(each) is list
        ]
        if not inner:
            return False
        level = inner
    return True
