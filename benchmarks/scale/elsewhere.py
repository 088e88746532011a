"""What it costs to ask one replica about a run that another one carries out.

`scripts/services.sh run -- .venv/bin/python -m benchmarks.scale.elsewhere`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import httpx

from benchmarks.scale.serving import serving

DELAY: Final = 0.1
"""Seconds between two events of a run."""


async def arrivals(client: httpx.AsyncClient, path: str) -> list[float]:
    """Return when each event of a stream has come."""
    async with client.stream("GET", path) as response:
        lines = response.aiter_lines()
        return [time.perf_counter() async for line in lines if line == "event: custom"]


async def begin(client: httpx.AsyncClient, count: int, *, is_resumable: bool) -> str:
    """Have a run begin that says something now and then, and return its path."""
    thread = f"/threads/{uuid4()}/runs"
    body = {
        "assistant_id": "speak",
        "input": {"count": count, "delay": DELAY},
        "stream_mode": ["custom"],
        "stream_resumable": is_resumable,
        "if_not_exists": "create",
    }
    response = await client.post(thread, json=body)
    return f"{thread}/{response.json()['run_id']}"


async def lateness(
    here: httpx.AsyncClient, there: httpx.AsyncClient, *, is_resumable: bool
) -> list[float]:
    """Return by how much later the events of a run come there than where it is carried out."""
    path = await begin(here, 10, is_resumable=is_resumable)
    came = await asyncio.gather(*(arrivals(each, f"{path}/stream") for each in (here, there)))
    # Both read to the end; who came later has fewer.
    pairs = zip(reversed(came[0]), reversed(came[1]), strict=False)
    return [other - own for own, other in pairs]


async def first(here: httpx.AsyncClient, there: httpx.AsyncClient) -> float:
    """Return how long after it is asked for a run its first event is read there."""
    began = time.perf_counter()
    path = await begin(here, 1, is_resumable=True)
    headers = {"last-event-id": "-1"}
    async with there.stream("GET", f"{path}/stream", headers=headers) as response:
        async for line in response.aiter_lines():
            if line == "event: custom":
                return time.perf_counter() - began - DELAY
    raise RuntimeError(f"nothing was said in {path}")


async def cancel(here: httpx.AsyncClient, there: httpx.AsyncClient) -> float:
    """Return how long it takes to have a run stopped."""
    path = await begin(here, 1000, is_resumable=False)
    await asyncio.sleep(3 * DELAY)
    began = time.perf_counter()
    response = await there.post(f"{path}/cancel", params={"wait": 1})
    took = time.perf_counter() - began
    if response.json() != {}:
        raise RuntimeError(response.text)
    return took


def figures(seconds: Sequence[float]) -> dict[str, Any]:
    """Return what is told of times."""
    known = sorted(seconds)
    places = {"p50": len(known) // 2, "p99": len(known) * 99 // 100}
    told = {f"{name} ms": round(known[place] * 1000, 1) for name, place in places.items()}
    return {**told, "count": len(known)}


async def measure(ports: Sequence[int], rounds: int) -> None:
    """Measure, and print JSON, a line for each figure."""
    limits = httpx.Limits(max_keepalive_connections=20)
    clients = [
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits)
        for port in ports[:2]
    ]
    async with clients[0] as here, clients[1] as there:
        for _ in range(5):
            await first(here, there)
        for is_resumable in (False, True):
            late = [
                each
                for _ in range(rounds)
                for each in await lateness(here, there, is_resumable=is_resumable)
            ]
            what = "later than where it is carried out"
            print(json.dumps({what: figures(late), "resumable": is_resumable}), flush=True)
        for name, reader in (("elsewhere", there), ("here", here)):
            said = [await first(here, reader) for _ in range(10 * rounds)]
            print(json.dumps({f"first event, read {name}": figures(said)}), flush=True)
            ended = [await cancel(here, reader) for _ in range(10 * rounds)]
            print(json.dumps({f"cancelled {name}": figures(ended)}), flush=True)


def main() -> None:
    """Measure with two servers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with serving(2) as replicas:
        asyncio.run(measure(replicas.ports, options.rounds))


if __name__ == "__main__":
    main()
