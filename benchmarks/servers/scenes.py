"""What is measured. A scene is given a server that runs, and returns numbers by the row's name."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import uuid4

from benchmarks.servers import resources
from benchmarks.servers.client import Answer, ask, ask_well, request, tick
from benchmarks.servers.launching import Running

Numbers: TypeAlias = dict[str, float]
Scene: TypeAlias = Callable[[Running, "Size"], Awaitable[Numbers]]


@dataclass(frozen=True)
class Size:
    """How much of everything; a tenth of it for a quick look."""

    few_runs: int = 200
    events: int = 10_000
    rounds: int = 5
    clients: int = 200
    runs: int = 10_000
    threads: int = 10_000
    thread_bytes: int = 10_000
    listeners: int = 100
    idle: float = 10.0
    """Seconds of doing nothing."""


FULL: Final = Size()
QUICK: Final = Size(
    few_runs=30, events=2_000, rounds=2, clients=50, runs=1_000, threads=500, idle=3
)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of the values is."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def start(server: Running, size: Size) -> Numbers:
    """How soon it answers, and what it takes before anybody asked for anything."""
    return {"start": server.start, "memory at start": resources.memory(server.pid)}


async def first_event(server: Running, size: Size) -> Numbers:
    """One run at a time, of one event."""
    for _ in range(10):
        await tick(server.port, 1)
    answers = [await tick(server.port, 1) for _ in range(size.few_runs)]
    firsts, wholes = [a.first * 1e3 for a in answers], [a.whole * 1e3 for a in answers]
    return {
        "first event": statistics.median(firsts),
        "first event, p99": percentile(firsts, 0.99),
        "run of one event": statistics.median(wholes),
    }


async def one_stream(server: Running, size: Size) -> Numbers:
    """One run that emits much."""
    rates = []
    for _ in range(size.rounds):
        answer = await tick(server.port, size.events)
        rates.append(size.events / answer.whole)
    return {"events of one stream": statistics.median(rates)}


async def many_clients(server: Running, size: Size) -> Numbers:
    """Many runs at once, each of a hundred events as fast as they can."""
    each, rates, wholes = 100, [], []
    for _ in range(size.rounds):
        answers, took = await _at_once(server, size.clients, each)
        rates.append(size.clients * each / took)
        wholes.append(percentile([answer.whole for answer in answers], 0.99))
    return {"events of many": statistics.median(rates), "many, p99": statistics.median(wholes)}


async def paced(server: Running, size: Size) -> Numbers:
    """Many runs at once, each of fifty events at a model's pace."""
    _, took = await _at_once(server, size.clients, 50, 0.05)
    return {"paced": took}


async def _at_once(
    server: Running, clients: int, count: int, delay: float = 0
) -> tuple[list[Answer], float]:
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(tick(server.port, count, delay) for _ in range(clients)))
    return answers, asyncio.get_running_loop().time() - began


async def token_size(server: Running, size: Size) -> Numbers:
    """What is sent for one token of a model, besides its text."""
    mark = b"event: messages"
    body = {
        "assistant_id": "tokens",
        "input": {"messages": [{"role": "human", "content": "hi"}]},
        "stream_mode": ["messages-tuple"],
    }
    answer = await ask(server.port, "POST", "/runs/stream", body, mark=mark)
    frames = [f for f in answer.data.split(mark)[1:] if b'"token "' in f]
    sizes = [len(mark) + len(frame) - len(b"token ") for frame in frames]
    metadata = [_metadata_size(frame) for frame in frames]
    return {
        "bytes of a token": statistics.median(sizes),
        "metadata of a token": statistics.median(metadata),
    }


def _metadata_size(frame: bytes) -> int:
    """Return the bytes of the second part of a token's event, [message, metadata]."""
    data = frame.partition(b"data: ")[2]
    value, _ = json.JSONDecoder().raw_decode(data.decode())
    return len(json.dumps(value[1], separators=(",", ":")))


async def memory(server: Running, size: Size) -> Numbers:
    """How much more it takes after ten times as many runs, each on a thread of its own."""
    few = size.runs // 10
    await _run(server, few)
    before = resources.memory(server.pid)
    began = asyncio.get_running_loop().time()
    await _run(server, size.runs - few)
    took = asyncio.get_running_loop().time() - began
    after = resources.memory(server.pid)
    return {
        "memory after a tenth": before,
        "memory after all": after,
        "growth": after / before,
        "runs": (size.runs - few) / took,
    }


async def _run(server: Running, count: int) -> None:
    body = {"assistant_id": "ticks", "input": {"count": 1}, "if_not_exists": "create"}
    await _each(
        count,
        lambda _: ask_well(server.port, "POST", f"/threads/{uuid4()}/runs/wait", body),
    )


async def _each(count: int, call: Callable[[int], Awaitable[Any]], at_once: int = 16) -> None:
    """Call with the numbers below `count`, a few at a time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(work() for _ in range(at_once)))


async def threads(server: Running, size: Size) -> Numbers:
    """Find and copy among many threads of some size each."""
    post = partial(ask_well, server.port, "POST")
    ids = [str(uuid4()) for _ in range(size.threads)]
    values = {"values": {"text": "x" * size.thread_bytes}}

    async def make(number: int) -> None:
        metadata = {"number": number, "graph_id": "ticks"}
        await post("/threads", {"thread_id": ids[number], "metadata": metadata})
        await post(f"/threads/{ids[number]}/state", values)

    await _each(size.threads, make)
    wanted = {"metadata": {"number": size.threads // 2}, "limit": 10}
    found = await _timed(20, lambda: post("/threads/search", wanted))
    listed = await _timed(20, lambda: post("/threads/search", {"limit": 100}))
    idle = {"status": "idle", "select": ["thread_id"], "limit": 10}
    by_status = await _timed(20, lambda: post("/threads/search", idle))
    told = f"/threads/{ids[0]}/storage"
    stored = await _timed(20, lambda: ask_well(server.port, "GET", told))
    copied = await _timed(20, lambda: post(f"/threads/{ids[0]}/copy", {}))
    return {
        "search": found,
        "list": listed,
        "by status": by_status,
        "storage": stored,
        "copy": copied,
    }


async def _timed(times: int, call: Callable[[], Awaitable[Any]]) -> float:
    """Return the median of the milliseconds of a call."""
    clock, taken = asyncio.get_running_loop().time, []
    for _ in range(times):
        began = clock()
        await call()
        taken.append((clock() - began) * 1e3)
    return statistics.median(taken)


async def idle(server: Running, size: Size) -> Numbers:
    """What it costs while nobody is there, and while clients listen and nothing happens."""
    await tick(server.port, 1)
    await asyncio.sleep(2)
    alone, alone_woken = await _spent(server, size)
    listening = []
    for _ in range(size.listeners):
        thread = await ask_well(server.port, "POST", "/threads", {})
        path = f"/threads/{thread['thread_id']}/stream"
        listening.append(asyncio.ensure_future(ask(server.port, "GET", path)))
    await asyncio.sleep(2)
    spent, woken = await _spent(server, size)
    for client in listening:
        client.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    return {
        "idle": alone,
        "wake-ups": alone_woken,
        "idle with listeners": spent,
        "wake-ups with listeners": woken,
    }


async def _spent(server: Running, size: Size) -> tuple[float, float]:
    """Return milliseconds of processor time, and wake-ups, in a second."""
    spent, woken = resources.processor_time(server.pid), resources.wake_ups(server.pid)
    await asyncio.sleep(size.idle)
    spent = resources.processor_time(server.pid) - spent
    return spent / size.idle * 1e3, (resources.wake_ups(server.pid) - woken) / size.idle


async def slow_reader(server: Running, size: Size) -> Numbers:
    """How much more it takes while a client does not read what a run says."""
    await tick(server.port, 1)
    before = resources.memory(server.pid)
    thread = str(uuid4())
    body = {"count": size.events, "size": 10_000}
    _, writer = await _begin(server, thread, body)
    try:
        await _until_idle(server, thread)
        return {"memory for a slow reader": max(0.0, resources.memory(server.pid) - before)}
    finally:
        writer.close()


async def _begin(
    server: Running, thread: str, graph_input: Any
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin a run whose stream nobody reads, on a new thread."""
    body = {"assistant_id": "ticks", "input": graph_input, "stream_mode": ["custom"]}
    path = f"/threads/{thread}/runs/stream"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(request(server.port, "POST", path, {**body, "if_not_exists": "create"}))
    await reader.readline()
    return reader, writer


async def _until_idle(server: Running, thread: str) -> None:
    path = f"/threads/{thread}"
    while (await ask_well(server.port, "GET", path))["status"] == "busy":  # noqa: ASYNC110
        await asyncio.sleep(0.1)


async def blocked(server: Running, size: Size) -> Numbers:
    """How soon it answers while a node blocks its event loop."""
    await tick(server.port, 1)
    thread = str(uuid4())
    _, writer = await _begin(server, thread, {"block": 2.0})
    loop = asyncio.get_running_loop()
    end, taken = loop.time() + 1.5, []
    while loop.time() < end:
        began = loop.time()
        await ask(server.port, "GET", "/ok")
        taken.append((loop.time() - began) * 1e3)
        await asyncio.sleep(0.01)
    writer.close()
    await _until_idle(server, thread)
    return {"answer while a node blocks": percentile(taken, 0.99)}


SCENES: Final[dict[str, Scene]] = {
    "start": start,
    "first": first_event,
    "stream": one_stream,
    "many": many_clients,
    "paced": paced,
    "tokens": token_size,
    "threads": threads,
    "idle": idle,
    "slow": slow_reader,
    "blocked": blocked,
    # Last: what came before does not count.
    "memory": memory,
}
