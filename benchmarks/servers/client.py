"""A client that costs little: it shares the machine with the servers that it measures.

A request is written to a connection of its own, and what comes back is read until it is closed and
looked at afterwards.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

BUFFER: Final = 1 << 20


@dataclass(frozen=True)
class Answer:
    """What came back; times are seconds since the request was begun."""

    status: int
    data: bytes
    first: float
    """When the first bytes came that had the mark that was waited for; nan if they never did."""
    whole: float

    def count(self, mark: bytes) -> int:
        """Return how often a mark is in it."""
        return self.data.count(mark)


def request(port: int, method: str, path: str, body: Any = None) -> bytes:
    """Return a request as it goes over a connection that is closed after the answer."""
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def ask(
    port: int, method: str, path: str, body: Any = None, *, mark: bytes = b"HTTP/1.1 "
) -> Answer:
    """Send a request with a JSON body and read the answer to its end."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=BUFFER)
    try:
        writer.write(request(port, method, path, body))
        parts: list[bytes] = []
        first = float("nan")
        while part := await reader.read(BUFFER):
            parts.append(part)
            if first != first and mark in (part if len(parts) == 1 else parts[-2] + part):
                first = time.perf_counter() - began
        whole = time.perf_counter() - began
    finally:
        writer.close()
    data = b"".join(parts)
    return Answer(int(data[9:12] or b"0"), data, first, whole)


async def ask_well(port: int, method: str, path: str, body: Any = None) -> Any:
    """Send a request that has to succeed, and return the JSON that comes back."""
    answer = await ask(port, method, path, body)
    if not 200 <= answer.status < 300:
        raise RuntimeError(f"{method} {path}: {answer.data[-500:].decode(errors='replace')}")
    head, _, content = answer.data.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        content = b"".join(_unchunked(content))
    return json.loads(content) if content else None


def _unchunked(content: bytes) -> list[bytes]:
    chunks = []
    while content:
        size, _, content = content.partition(b"\r\n")
        length = int(size, 16)
        chunks.append(content[:length])
        content = content[length + 2 :]
    return chunks


async def tick(port: int, count: int, delay: float = 0) -> Answer:
    """Run `ticks` on a new thread and read its stream; every event has to be there, in order."""
    mark = b"event: custom"
    body = {
        "assistant_id": "ticks",
        "input": {"count": count, "delay": delay},
        "stream_mode": ["custom"],
        "if_not_exists": "create",
    }
    answer = await ask(port, "POST", f"/threads/{uuid4()}/runs/stream", body, mark=mark)
    if answer.count(mark) != count or answer.count(b"event: error"):
        raise RuntimeError(f"{answer.count(mark)} of {count} events: {answer.data[-500:]!r}")
    return answer
