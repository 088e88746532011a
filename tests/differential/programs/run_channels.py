"""Run streams: channels, alone, in a mux driven by hand, and with a bound in a run.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio

from differential.kit import Log, wire
from differential.programs.run_mux import Bench, event, transformer
from differential.programs.run_transformers import counting, three
from differential.watching import caught, shown, watched


@watched("run.mux.unbound_channel", rows=("6.4:channel",))
async def unbound_channel(e, reader):
    channel = e.stream.StreamChannel
    made = channel("n", maxlen=3)
    found = [made.name, channel().name, await caught(lambda: iter(channel()).__next__())]
    found.append(await caught(lambda: channel().__aiter__().__anext__()))
    found.append(await caught(lambda: channel().tee(2)))
    found.append(await caught(lambda: channel().atee(2)))
    for bound in (0, -1):
        found.append(await caught(lambda bound=bound: channel(maxlen=bound)))
    found += [made.maxlen if hasattr(made, "maxlen") else None]
    return [
        *found[:-1],
        await caught(lambda: channel().push(1)),
        await caught(lambda: channel().close()),
    ]


@watched("run.mux.channel_after_close", rows=("6.4:channel",))
async def channel_after_close(e, reader):
    """Pushing to a closed channel is an error if somebody reads it."""
    found = []
    for is_read in (False, True):
        way = transformer(e, "items")()
        bench = Bench(e, reader, [way])
        channel = bench.mux.extensions["items"]
        items = reader.iterator(channel) if is_read else None
        channel.push(1)
        await bench.close()
        found.append(await caught(lambda channel=channel: channel.push(2)))
        found.append(await reader.all(items or channel))
    return found


@watched(
    "run.mux.channel_by_hand", rows=("6.4:channel", "6.4:tee"), differs="error-for-every-reader"
)
async def channel_by_hand(e, reader):
    """Channels closed and failed by their transformer."""
    found = []
    for action in ("close", "fail"):
        way = transformer(e, "items", "others")()
        bench = Bench(e, reader, [way])
        items, others = (bench.mux.extensions[key] for key in ("items", "others"))
        branches = reader.tee(items, 2)
        iterator = reader.iterator(others)
        for channel in (items, others):
            channel.push(1)
            channel.push(2)
            channel.close() if action == "close" else channel.fail(ValueError("no"))
        found += [await reader.all(branches[0]), await reader.all(iterator)]
        found += [await bench.close(), await reader.all(iterator)]
    return found


@watched("run.mux.wrong_driver", rows=("6.4:channel",))
async def wrong_driver(e, reader):
    way = transformer(e, "items")()
    bench = Bench(e, reader, [way])
    channel = bench.mux.extensions["items"]
    if reader.is_async:
        return [
            await caught(lambda: iter(channel)),
            await caught(lambda: channel.tee(2)),
            await caught(lambda: bench.mux.bind_pump(lambda: False)),
        ]
    return [await caught(channel.__aiter__), await caught(lambda: channel.atee(2))]


@watched("run.mux.waiting", rows=("6.4:channel",), drivers=("async",))
async def waiting(e, reader):
    """Readers wait for what is pushed, without a pump."""
    bench = Bench(e, reader, [transformer(e, "items")()])
    gate = asyncio.Event()

    async def amore():
        await gate.wait()
        gate.clear()
        return True

    bench.mux.bind_apump(amore)
    reading = asyncio.ensure_future(reader.all(bench.mux.extensions["items"]))
    for number in range(3):
        await asyncio.sleep(0)
        await bench.push(event("values", number))
        gate.set()
    await asyncio.sleep(0)
    await bench.close()
    gate.set()
    return await asyncio.wait_for(reading, 5)


@watched("run.transformers.maxlen_alone", rows=("6.5:hooks", "6.4:maxlen"))
async def maxlen_alone(e, reader):
    """A bound is no matter for the only reader, nor where nobody reads."""

    class Bounded(counting(e)):
        def init(self):
            self.channel = e.stream.StreamChannel(maxlen=1)
            return {"counts": self.channel}

    run = await reader.open(three(e), {"x": 1}, transformers=[Bounded])
    other = await reader.open(three(e), {"x": 1}, transformers=[Bounded])
    return [await reader.all(run.extensions["counts"]), await reader.output(other)]


@watched("run.transformers.maxlen_together", rows=("6.5:hooks", "6.4:maxlen"), drivers=("async",))
async def maxlen_together(e, reader):
    """Somebody else reads what is not bounded."""

    class Bounded(counting(e)):
        def init(self):
            self.channel = e.stream.StreamChannel(maxlen=1)
            return {"counts": self.channel}

    run = await reader.open(three(e), {"x": 1}, transformers=[Bounded])
    reading = reader.all(run.extensions["counts"]), reader.all(run.values, shown), run.output()
    return list(await asyncio.gather(*reading))


@watched("run.transformers.maxlen", rows=("6.4:maxlen",), drivers=("async",), differs="maxlen")
async def maxlen(e, reader):
    """How far a run goes while the reader of a bounded channel does nothing."""

    class Bounded(counting(e)):
        def init(self):
            self.channel = e.stream.StreamChannel(maxlen=1)
            return {"counts": self.channel}

    ran = []

    def noting(name):
        async def node(state):
            ran.append(name)
            return {"log": [name]}

        return node

    nodes = {name: noting(name) for name in "abcd"}
    graph = wire(e, Log, "START a b c d END", **nodes).compile()
    run = await reader.open(graph, {"x": 1}, transformers=[Bounded])
    counts = reader.iterator(run.extensions["counts"])
    driving = asyncio.ensure_future(run.output())
    # A run that nobody holds back needs far fewer turns.
    for _ in range(500):
        await asyncio.sleep(0)
    found = [list(ran), driving.done()]
    found.append(await reader.all(counts))
    return [*found, shown(await driving), list(ran)]
