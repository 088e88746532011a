"""An application of a user's around the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

happened: list[str] = []


class Marks:
    """Middleware that marks what it has seen."""

    def __init__(self, app: Any, mark: str) -> None:
        self._app = app
        self._mark = mark.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-mark", self._mark)]
            await send(message)

        await self._app(scope, receive, marked)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    happened.append("started")
    yield {"held": "something"}
    happened.append("ended")


async def hello(request: Request) -> JSONResponse:
    user = request.scope.get("user")
    return JSONResponse(
        {"held": request.state.held, "user": None if user is None else user.identity}
    )


async def info(request: Request) -> PlainTextResponse:
    return PlainTextResponse("mine")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hi")
    await websocket.close()


async def broken(request: Request) -> None:
    raise RuntimeError("the password is 123")


app = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/info", info),
        Route("/broken", broken),
        # Of the same path as one of the API, for another method.
        Route("/threads", info, methods=["GET"]),
        WebSocketRoute("/socket", socket),
    ],
    lifespan=lifespan,
    middleware=[Middleware(Marks, mark="m")],
)
