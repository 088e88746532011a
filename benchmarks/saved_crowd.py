"""Many threads in one file: `-m benchmarks.saved_crowd PEER SAVER THREADS STEPS` prints JSON.

`steps/s` is what the runs of all threads do together, async, with what `durability="async"` waits
for at their end.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys

from benchmarks import savers
from benchmarks.chain import build
from benchmarks.crowd import WARM_UP, crowd
from benchmarks.peers import load
from benchmarks.saving import aconsume, threads


async def main(root: str, kind: str, runs: int, steps: int) -> dict[str, float]:
    """Measure one crowd."""
    (saver,) = (each for each in (savers.SQLITE, savers.SQLITE_JOURNAL) if each.name == kind)
    configs = threads()
    async with saver.aopen() as opened:
        graph = build(load(root), steps, is_async=True, checkpointer=opened)

        async def run() -> None:
            await aconsume(graph, next(configs), steps, durability="async")

        await crowd(run, WARM_UP)
        gc.collect()
        gc.freeze()
        seconds, _ = await crowd(run, runs)
    return {"steps/s": runs * steps / seconds}


if __name__ == "__main__":
    root, kind, runs, steps = sys.argv[1:]
    print(json.dumps(asyncio.run(main(root, kind, int(runs), int(steps)))))
