"""`examples/front_ends.py`: a web application speaks three protocols."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
HI = {"role": "user", "content": "What is 12 * (3 + 4)?"}


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give the application, with the model that answers by rules."""
    for name in ("CHAT_MODEL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield import_module("front_ends").app
    sys.modules.pop("front_ends")


def post(app: Any, path: str, body: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post(path, json=body)

    return asyncio.run(ask())


def test_each_route_answers_in_its_protocol(app: Any) -> None:
    page = {"id": "u", "role": "user", "parts": [{"type": "text", "text": HI["content"]}]}
    said = post(app, "/api/chat", {"id": "page", "messages": [page]})
    whole = post(app, "/v1/chat/completions", {"model": "chat", "messages": [HI]})
    streamed = post(
        app, "/v1/chat/completions", {"model": "chat", "messages": [HI], "stream": True}
    )
    body = {"threadId": "agent", "runId": "r", "messages": [{**HI, "id": "u"}]}
    run = post(app, "/agent", body)

    assert said.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert '"type":"tool-output-available"' in said.text
    assert said.text.endswith("data: [DONE]\n\n")
    assert "84" in whole.json()["choices"][0]["message"]["content"]
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert '"type":"RUN_FINISHED"' in run.text


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/agent"])
def test_what_is_no_request_is_refused(app: Any, path: str) -> None:
    assert post(app, path, {}).status_code == 422
