"""The chat of `chat.py` for front ends: three protocols, each a route of a web application.

`.venv/bin/python examples/front_ends.py` serves them on http://127.0.0.1:8000:

- `/api/chat` for pages that are made with the AI SDK (`useChat`),
- `/v1/chat/completions` for clients of OpenAI's API,
- `/agent` for clients of AG-UI.

It keeps threads in memory, and lets everybody use them: a program of yours asks who calls. The
server of millstream has all of this, and streams that go on when a page is loaded anew.
"""

from __future__ import annotations

import sys
import uuid

import uvicorn
from langchain_core.runnables import RunnableConfig
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import chat
from millstream.protocols import agui, aisdk, openai

GRAPH = chat.graph()


def of_thread(thread_id: str | None) -> RunnableConfig:
    """Return the config of a thread, of a new one if none is named."""
    return {"configurable": {"thread_id": thread_id or str(uuid.uuid4())}}


async def answer_page(request: Request) -> Response:
    """Answer a page that is made with the AI SDK."""
    try:
        asked = aisdk.read(await request.json())
    except ValueError as error:
        return JSONResponse({"error": str(error)}, 422)
    encoder = aisdk.Encoder.of(asked)
    lines = aisdk.astream(GRAPH, asked.input, of_thread(asked.chat_id), encoder=encoder)
    return StreamingResponse(lines, headers=dict(aisdk.HEADERS))


async def complete(request: Request) -> Response:
    """Answer a client of OpenAI's API, with a stream or with all of it."""
    try:
        asked = openai.read_chat(await request.json())
    except ValueError as error:
        return JSONResponse({"error": {"message": str(error)}}, 422)
    encoder = openai.ChatEncoder.of(asked)
    given = asked.whole_input if asked.thread_id is None else asked.input
    lines = openai.astream_chat(GRAPH, given, of_thread(asked.thread_id), encoder=encoder)
    if asked.is_streamed:
        return StreamingResponse(lines, headers=dict(openai.HEADERS))
    async for _ in lines:
        pass
    result = encoder.result()
    return JSONResponse(result, 500 if "error" in result else 200)


async def run_agent(request: Request) -> Response:
    """Answer a client of AG-UI."""
    try:
        asked = agui.read(await request.json())
    except ValueError as error:
        return JSONResponse({"error": str(error)}, 422)
    encoder = agui.Encoder.of(asked)
    lines = agui.astream(GRAPH, asked.input, of_thread(asked.thread_id), encoder=encoder)
    return StreamingResponse(lines, headers=dict(agui.HEADERS))


app = Starlette(
    routes=[
        Route("/api/chat", answer_page, methods=["POST"]),
        Route("/v1/chat/completions", complete, methods=["POST"]),
        Route("/agent", run_agent, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    uvicorn.run(app, host="127.0.0.1", port=port)
