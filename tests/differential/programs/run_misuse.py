"""Run streams: what is refused, and how; differences that have no other program.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio
import warnings
from pathlib import Path

from differential.kit import Log, wire
from differential.registry import probe
from differential.watching import caught, shown, watched
from forked_python import run_python


def two(e, **options):
    """Return a and b in a row."""
    return wire(e, Log, "START a b END", a=..., b=...).compile(**options)


async def opened(reader, graph, **kwargs):
    """Return what opening a run gives or raises, and what its first reading does."""
    run = await caught(lambda: reader.open(graph, {"x": 1}, **kwargs))
    if isinstance(run, Exception):
        return ["refused", run]
    return ["opened", *await reader.all(run.values, shown)]


@watched("run.misuse.arguments", rows=("6.1:errors", "6.1:arguments"))
async def arguments(e, reader):
    found = []
    for kwargs in (
        {"stream_mode": "values"},
        {"stream_mode": None},
        {"subgraphs": True},
        {"subgraphs": False, "stream_mode": ["values"]},
        {"interrupt_before": ["a"]},
        {"output_keys": "nope"},
        {"output_keys": ["x", "nope"]},
        {"print_mode": ()},
        {"transformers": ()},
        {"transformers": None},
        {"debug": False},
        {"context": {"a": 1}},
        {"control": None},
    ):
        found += [kwargs, await opened(reader, two(e), **kwargs)]
    return found


@watched("run.misuse.unknown_keyword", rows=("6.1:errors",), differs="unknown-keyword", warns=True)
async def unknown_keyword(e, reader):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = await opened(reader, two(e), nonsense=1)
    mine = [warning for warning in seen if "nonsense" in str(warning.message)]
    return [*found, [str(warning.message) for warning in mine]]


@watched("run.misuse.transformers", rows=("6.1:errors", "6.1:transformers"))
async def transformers(e, reader):
    updates = e.stream.UpdatesTransformer

    class Listing(updates):
        def init(self):
            return []

    class Nothing(updates):
        def init(self):
            return None

    def no_scope():
        return updates()

    found = []
    for ways in (
        [updates()],
        [5],
        ["updates"],
        [None],
        [updates, updates],
        [updates, Listing],
        [Nothing],
        [no_scope],
        [e.module("stream.transformers").ValuesTransformer],
        (updates,),
        iter([updates]),
    ):
        found.append(await opened(reader, two(e), transformers=ways))
    return found


@watched("run.misuse.transformers_at_compile_time", rows=("6.1:errors", "6.1:transformers"))
async def transformers_at_compile_time(e, reader):
    updates = e.stream.UpdatesTransformer
    found = []
    for ways in ([updates()], [5], [updates, updates], (updates,), None, []):
        graph = await caught(lambda ways=ways: two(e, transformers=ways))
        if isinstance(graph, Exception):
            found.append(["not compiled", graph])
        else:
            found.append(await opened(reader, graph))
    graph = two(e, transformers=[updates])
    return [*found, await opened(reader, graph, transformers=[updates])]


@watched("run.misuse.names", rows=("6.1:entry",))
async def exported(e, reader):
    """The names that can be imported, and that they are the same ones."""
    run_stream, stream = e.module("stream.run_stream"), e.stream
    transformers = e.module("stream.transformers")
    shared = "ProtocolEvent GraphRunStream AsyncGraphRunStream SubgraphRunStream"
    found = [getattr(run_stream, name) is getattr(stream, name) for name in shared.split()]
    public = [
        "StreamChannel",
        "StreamTransformer",
        "ProtocolEvent",
        "GraphRunStream",
        "AsyncGraphRunStream",
        "SubgraphRunStream",
        "AsyncSubgraphRunStream",
        "LifecyclePayload",
        "SubgraphStatus",
        "LifecycleTransformer",
        "SubgraphTransformer",
        "UpdatesTransformer",
        "CustomTransformer",
        "CheckpointsTransformer",
        "TasksTransformer",
        "DebugTransformer",
    ]
    found += [hasattr(stream, name) for name in public]
    found += [set(public) <= set(stream.__all__)]
    found += [issubclass(stream.SubgraphRunStream, stream.GraphRunStream)]
    found += [issubclass(stream.AsyncSubgraphRunStream, stream.AsyncGraphRunStream)]
    for name in ("ValuesTransformer", "MessagesTransformer"):
        found.append(issubclass(getattr(transformers, name), stream.StreamTransformer))
    channel = e.module("stream.stream_channel").StreamChannel
    return [*found, channel is stream.StreamChannel, hasattr(run_stream, "StreamMux")]


@watched("run.misuse.annotations", rows=("6.2:event", "6.6:lifecycle"))
async def annotations(e, reader):
    """The keys of the typed dicts, and the statuses."""
    stream = e.stream
    found = [sorted(stream.ProtocolEvent.__annotations__)]
    found.append(sorted(stream.LifecyclePayload.__annotations__))
    return [*found, sorted(stream.SubgraphStatus.__args__)]


@watched("run.misuse.event_ids", rows=("6.2:event_id",), differs="event-ids")
async def event_ids(e, reader):
    """Ids of events are all different, and the same for everybody."""
    seen = []

    class Spy(e.stream.StreamTransformer):
        def init(self):
            return {}

        def process(self, event):
            seen.append(event)
            return True

    run = await reader.open(two(e), {"x": 1}, transformers=[Spy])
    logged = [event async for event in reader.each(run)]
    ids = [event.get("event_id") for event in logged]
    kept = [event.get("event_id") for event in seen if event["method"] == "values"]
    return [[type(id) for id in ids], len(set(ids)), kept == ids]


FRESH = """
import sys, warnings
from differential.engines import engine
from differential.kit import Log, wire
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    graph = wire(engine(sys.argv[1]), Log, "START a END", a=...).compile()
    graph.stream_events({"x": 1}, version="v3").output
print(sorted({type(warning.message).__name__ for warning in seen}))
"""


@probe("run.misuse.beta", rows=("6.1:warning",), drivers=("sync",), differs="beta-warning")
def beta(e, driver):
    """The reference warns once, so that only a new process can tell."""
    tests = str(Path(__file__).parents[2])
    return run_python("-c", FRESH, e.root, cwd=tests).stdout


@watched("run.misuse.never_read", rows=("6.1:laziness", "6.7:abort"))
async def never_read(e, reader):
    """A run that is opened and forgotten runs nothing."""
    ran = []
    graph = wire(e, Log, "START n END", n=lambda state: ran.append(1)).compile()
    await reader.open(graph, {"x": 1})
    if reader.is_async:
        await asyncio.sleep(0)
    return ran


@watched("run.misuse.async_call_in_sync", rows=("6.1:errors",), drivers=("sync",))
async def async_nodes_in_sync(e, reader):
    """A graph with async nodes cannot be driven by the sync stream."""

    async def node(state):
        return {"log": ["n"]}

    graph = wire(e, Log, "START n END", n=node).compile()
    return await opened(reader, graph)


@watched("run.misuse.same_graph_twice", rows=("6.7:readers",))
async def same_graph_twice(e, reader):
    """Two runs of one graph at the same time know nothing of each other."""
    graph = two(e)
    first, second = [await reader.open(graph, {"x": n}) for n in (1, 2)]
    one, other = reader.iterator(first.values), reader.iterator(second.values)
    found = []
    for _ in range(3):
        found += [await reader.some(one, 1), await reader.some(other, 1)]
    return [*found, await reader.all(one), await reader.all(other)]


@watched("run.misuse.left_in_the_middle", rows=("6.7:readers", "6.4:channel"))
async def left_in_the_middle(e, reader):
    """A loop that is left can be gone on with by its own iterator."""
    run = await reader.open(two(e), {"x": 1})
    values = reader.iterator(run.values)
    found = []
    async for value in reader.each(values):
        found.append(shown(value))
        break
    found.append(await reader.all(values, shown))
    return [*found, await reader.all(run.values)]
