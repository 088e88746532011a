"""Run streams: transformers of one's own, where they come from and what they are told.

No `from __future__ import annotations` here: schemas are read at run time.
"""

from differential.kit import Log, wire
from differential.programs.run_events_nested import calling, leaf
from differential.watching import caught, later, opt_in, shown, watched

ROWS = ("6.5:hooks",)


def three(e, **options):
    """Return a, b and c in a row."""
    return wire(e, Log, "START a b c END", a=..., b=..., c=...).compile(**options)


def kind(event):
    """Return what an event is and where it comes from, without ids."""
    return [event["method"], [part.split(":")[0] for part in event["params"]["namespace"]]]


def counting(e, notes=None, **attributes):
    """Return a transformer that pushes how many events it has seen to a channel.

    `attributes` are those of the class, `name` is that of its channel.
    """
    name = attributes.pop("name", None)

    class Counting(e.stream.StreamTransformer):
        required_stream_modes = ("updates",)

        def __init__(self, scope=()):
            super().__init__(scope)
            self.seen = 0
            if notes is not None:
                notes.append(["made for", [part.split(":")[0] for part in scope]])

        def init(self):
            self.channel = e.stream.StreamChannel(name)
            return {"counts": self.channel}

        def process(self, event):
            if event["method"] == "updates":
                self.seen += 1
                self.channel.push(self.seen)
            return True

        def finalize(self):
            if notes is not None:
                notes.append(["finalize", self.seen])

        def fail(self, error):
            if notes is not None:
                notes.append(["fail", self.seen, type(error).__name__, str(error)])

    for key, value in attributes.items():
        setattr(Counting, key, value)
    return Counting


@watched("run.transformers.unnamed_channel", rows=(*ROWS, "6.5:extensions", "6.4:channel"))
async def unnamed_channel(e, reader):
    """The items of a channel without a name are not in the log."""
    run = await reader.open(three(e), {"x": 1}, transformers=[counting(e)])
    logged = await reader.open(three(e), {"x": 1}, transformers=[counting(e)])
    found = [list(run.extensions), await reader.all(run.extensions["counts"])]
    found.append(await caught(lambda: run.counts))
    return [*found, await reader.log(logged)]


@watched("run.transformers.native", rows=(*ROWS, "6.5:extensions"))
async def native(e, reader):
    """What is native is an attribute too."""
    way = counting(e, _native=True)
    run = await reader.open(three(e), {"x": 1}, transformers=[way])
    other = await reader.open(three(e), {"x": 1}, transformers=[counting(e, _native=False)])
    found = [await reader.all(run.counts), run.counts is run.extensions["counts"]]
    return [*found, hasattr(other, "counts"), list(other.extensions)]


@watched("run.transformers.named_channel", rows=(*ROWS, "6.4:channel"))
async def named_channel(e, reader):
    """The items of a named channel, and the events that caused them."""
    found = []
    for native in (False, True):
        way = counting(e, name="counts", _native=native)
        run = await reader.open(three(e), {"x": 1}, transformers=[way])
        events = [event async for event in reader.each(run)]
        mine = [event for event in events if "counts" in event["method"]]
        others = [kind(event) for event in events if "counts" not in event["method"]]
        found += [others, *([*kind(event), event["params"]["data"]] for event in mine)]
        found += [[sorted(event.keys() - {"event_id"}), sorted(event["params"])] for event in mine]
        run = await reader.open(three(e), {"x": 1}, transformers=[way])
        found.append(await reader.all(run.extensions["counts"]))
    return found


@watched("run.transformers.named_channel_order", rows=(*ROWS, "6.3:push"), differs="caused-after")
async def named_channel_order(e, reader):
    way = counting(e, name="counts")
    return await reader.log(await reader.open(three(e), {"x": 1}, transformers=[way]))


@watched("run.transformers.both_readers", rows=(*ROWS, "6.4:channel"))
async def both_readers(e, reader):
    """The log and the projection of a named channel are read side by side."""
    run = await reader.open(three(e), {"x": 1}, transformers=[counting(e, name="counts")])
    counts = reader.iterator(run.extensions["counts"])
    events = await reader.all(run, lambda event: event["method"])
    return [sorted(events), await reader.all(counts)]


@watched("run.transformers.in_children", rows=(*ROWS, "6.5:scope", "6.3:children"))
async def in_children(e, reader):
    """Each nested graph has its own, and is told of all that is below it."""
    notes = []
    middle = leaf(e, "m", low=leaf(e, "l"))
    graph = wire(e, Log, "START a mid b END", a=..., mid=middle, b=...).compile()
    run = await reader.open(graph, {"x": 1}, transformers=[counting(e, notes)])
    counts = reader.iterator(run.extensions["counts"])
    found = []
    async for handle in reader.each(run.subgraphs):
        found += [list(handle.extensions), await reader.all(handle.extensions["counts"])]
    found.append(await reader.all(counts))
    return [*found, *notes]


@watched("run.transformers.scope", rows=(*ROWS, "6.5:scope"))
async def scope(e, reader):
    """A transformer sees every event of its graph and what is below; its scope tells which."""
    seen = []

    class Own(e.stream.StreamTransformer):
        required_stream_modes = ("updates", "custom")

        def init(self):
            return {}

        def process(self, event):
            own = event["params"]["namespace"] == list(self.scope)
            seen.append([[part.split(":")[0] for part in self.scope], own, *kind(event)])
            return True

    graph = wire(e, Log, "START a sub END", a=..., sub=leaf(e, "i")).compile()
    await reader.output(await reader.open(graph, {"x": 1}, transformers=[Own]))
    # Of children only what comes after their first task is told to everybody.
    return [line for line in seen if line[2] == "updates"]


@watched("run.transformers.all_events", rows=(*ROWS, "6.2:event"))
async def all_events(e, reader):
    """Which events a transformer is told of, those that others keep out of the log as well."""
    seen = []

    class Spy(e.stream.StreamTransformer):
        def init(self):
            return {}

        def process(self, event):
            seen.append([*kind(event), sorted(event.keys() - {"event_id"})])
            return True

    graph = wire(e, Log, "START a b END", a=..., b=...).compile()
    run = await reader.open(graph, {"x": 1}, transformers=[Spy])
    return [await reader.log(run), *seen]


@watched("run.transformers.at_compile_time", rows=(*ROWS, "6.1:transformers"))
async def at_compile_time(e, reader):
    notes = []

    def noting(label):
        class Noting(counting(e)):
            def init(self):
                notes.append(label)
                return {label: e.stream.StreamChannel()}

            def process(self, event):
                return True

        return Noting

    graph = three(e, transformers=[noting("compiled"), noting("second")])
    found = [len(graph.stream_transformers)]
    run = await reader.open(graph, {"x": 1}, transformers=[noting("called")])
    found += [list(run.extensions), list(notes), shown(await reader.output(run))]
    other = await reader.open(graph, {"x": 1})
    found += [list(other.extensions), await reader.output(other)]
    found.append(await reader.invoke(graph, {"x": 1}))
    copy = graph.with_config(tags=["t"])
    return [*found, list((await reader.open(copy, {"x": 1})).extensions), len(notes)]


@watched("run.transformers.factory", rows=(*ROWS, "6.1:transformers"))
async def factory(e, reader):
    """Anything that can be called with a scope makes transformers."""
    scopes = []

    def make(scope):
        scopes.append([part.split(":")[0] for part in scope])
        return counting(e)(scope)

    graph = wire(e, Log, "START a sub END", a=..., sub=leaf(e, "i")).compile()
    run = await reader.open(graph, {"x": 1}, transformers=[make])
    return [await reader.all(run.extensions["counts"]), scopes]


@watched("run.transformers.before_builtins", rows=(*ROWS, "6.3:registration"))
async def before_builtins(e, reader):
    way = counting(e, before_builtins=True)
    run = await reader.open(three(e), {"x": 1}, transformers=[counting_other(e), way])
    return [list(run.extensions), await reader.all(run.extensions["counts"])]


def counting_other(e):
    """Return another transformer, with another key."""

    class Other(e.stream.StreamTransformer):
        def init(self):
            return {"other": 5}

        def process(self, event):
            return True

    return Other


@watched(
    "run.transformers.before_builtins_changes",
    rows=(*ROWS, "6.3:registration"),
    differs="output-as-shown",
)
async def before_builtins_changes(e, reader):
    """What comes first sees and can change an event before the others do."""
    found = []
    for first in (False, True):

        class Rewriting(e.stream.StreamTransformer):
            before_builtins = first

            def init(self):
                return {}

            def process(self, event):
                if event["method"] == "values":
                    event["params"]["data"] = {"instead": len(event["params"]["data"]["log"])}
                return True

        run = await reader.open(three(e), {"x": 1}, transformers=[Rewriting])
        events = reader.iterator(run)
        found += [await reader.all(run.values, shown), shown(await reader.output(run))]
        found.append(await reader.all(events, lambda event: shown(event["params"]["data"])))
    return found


@watched("run.transformers.keeping_out", rows=(*ROWS, "6.3:push"))
async def keeping_out(e, reader):
    """False keeps an event out of the log; everybody else is told of it all the same."""
    told = []

    def keeping(method):
        class Keeping(e.stream.StreamTransformer):
            def init(self):
                return {}

            def process(self, event):
                if event["method"] != "tasks":
                    told.append([method, event["method"]])
                return event["method"] != method

        return Keeping

    ways = [keeping("values"), keeping("updates"), *opt_in(e, "updates")]
    run = await reader.open(three(e), {"x": 1}, transformers=ways)
    values = reader.iterator(run.values)
    updates = reader.iterator(run.updates)
    found = [await reader.log(run), await reader.all(values), await reader.all(updates)]
    return [*found, shown(await reader.output(run)), told]


@watched("run.transformers.other_results", rows=(*ROWS, "6.3:push"))
async def other_results(e, reader):
    """What `process` returns, if it is no bool."""
    found = []
    for result in (None, 0, 1, "", "yes"):

        class Odd(e.stream.StreamTransformer):
            def init(self):
                return {}

            def process(self, event, result=result):
                return result

        run = await reader.open(three(e), {"x": 1}, transformers=[Odd])
        found.append([result, *await reader.log(run)])
    return found


@watched("run.transformers.scalars", rows=(*ROWS, "6.5:extensions"))
async def scalars(e, reader):
    """Projections can be anything; what is no channel is shown as it is."""
    made = []

    class Scalars(e.stream.StreamTransformer):
        def init(self):
            made.append({"number": 5, "list": [], "nothing": None})
            return made[0]

        def process(self, event):
            if event["method"] == "values":
                made[0]["list"].append(len(event["params"]["data"]["log"]))
            return True

    run = await reader.open(three(e), {"x": 1}, transformers=[Scalars])
    await reader.output(run)
    kept = {name: run.extensions[name] for name in ("number", "list", "nothing")}
    return [kept, hasattr(run, "number")]


@watched("run.transformers.shared_channel", rows=(*ROWS, "6.4:channel"))
async def shared_channel(e, reader):
    """Several channels of one transformer."""

    class Pair(e.stream.StreamTransformer):
        required_stream_modes = ("updates",)

        def init(self):
            self.odd, self.even = e.stream.StreamChannel(), e.stream.StreamChannel("even")
            self.count = 0
            return {"odd": self.odd, "even": self.even}

        def process(self, event):
            if event["method"] == "updates":
                self.count += 1
                (self.odd if self.count % 2 else self.even).push(self.count)
            return True

    run = await reader.open(three(e), {"x": 1}, transformers=[Pair])
    even = reader.iterator(run.extensions["even"])
    found = [await reader.all(run.extensions["odd"]), await reader.all(even)]
    if reader.is_async:
        return found
    run = await reader.open(three(e), {"x": 1}, transformers=[Pair])
    return [*found, await reader.all(run.interleave("odd", "values", "even"), shown)]


@watched("run.transformers.on_register", rows=(*ROWS, "6.3:registration"))
async def on_register(e, reader):
    """The mux is shown to who wants to know it."""
    notes = []

    class Registered(counting(e)):
        def _on_register(self, mux):
            notes.append([type(mux).__name__, mux.is_async, list(mux.scope), list(mux.extensions)])
            notes.append([sorted(mux.native_keys), mux.transformer_by_key("counts") is self])
            notes.append(mux.transformer_by_key("nope"))

        def _bind_pump(self, pump):
            notes.append(["pump", callable(pump)])

        def _bind_apump(self, pump):
            notes.append(["apump", callable(pump)])

    run = await reader.open(three(e), {"x": 1}, transformers=[Registered])
    return [await reader.all(run.extensions["counts"]), notes]


@watched("run.transformers.builtins_by_key", rows=("6.6:builtins", "6.3:registration"))
async def builtins_by_key(e, reader):
    notes = []

    class Looking(counting(e)):
        def _on_register(self, mux):
            for key in ("values", "messages", "lifecycle", "subgraphs"):
                found = mux.transformer_by_key(key)
                notes.append([key, type(found).__name__, list(found.required_stream_modes)])
                notes.append([found._native, found.before_builtins, found.requires_async])

    await reader.open(three(e), {"x": 1}, transformers=[Looking])
    return notes


@watched("run.transformers.in_inner_run", rows=("6.5:scope", "6.1:entry"))
async def in_inner_run(e, reader):
    """The root of a run that a node opens is the node."""
    scopes = []

    def make(scope):
        scopes.append([part.split(":")[0] for part in scope])
        return counting(e)(scope)

    inner = leaf(e, "i", "j")

    def node(state, config):
        run = inner.stream_events({"x": 5}, config, version="v3", transformers=[make])
        values = iter(run.values)
        return {"log": [list(run.extensions["counts"]), len(list(values))]}

    async def anode(state, config):
        run = await inner.astream_events({"x": 5}, config, version="v3", transformers=[make])
        values = run.values.__aiter__()
        counts = [count async for count in run.extensions["counts"]]
        return {"log": [counts, len([value async for value in values])]}

    graph = wire(e, Log, "START watch END", watch=anode if reader.is_async else node).compile()
    return [shown(await reader.output(await reader.open(graph, {"x": 1}))), scopes]


@watched("run.transformers.lifecycle_subclass", rows=("6.6:lifecycle", "6.5:hooks"))
async def lifecycle_subclass(e, reader):
    """What LangChain's agents build on: the base of those that follow children."""
    notes = []
    base = e.module("stream.transformers")._TasksLifecycleBase

    class Following(base):
        def init(self):
            self.channel = e.stream.StreamChannel()
            return {"followed": self.channel}

        def _should_track(self, namespace):
            return len(namespace) == 1

        def _on_started(self, namespace, graph_name, trigger_call_id, **known):
            name = [part.split(":")[0] for part in namespace]
            self.channel.push(["started", name, graph_name, trigger_call_id is not None])

        def _on_terminal(self, namespace, status, error=None, **known):
            self.channel.push([status, [part.split(":")[0] for part in namespace]])
            notes.append(error and str(error))

    graph = wire(e, Log, "START a sub call END", a=..., sub=leaf(e, "i"),
                 call=calling(reader, leaf(e, "j"))).compile()  # fmt: skip
    run = await reader.open(graph, {"x": 1}, transformers=[Following])
    return [await reader.all(run.extensions["followed"]), notes]


@watched("run.transformers.child_snapshots", rows=("6.5:scope", "6.9:snapshots"))
async def child_snapshots(e, reader):
    """The transformer of a child is told of the child's values."""
    told = []

    class Telling(e.stream.StreamTransformer):
        def init(self):
            return {}

        def process(self, event):
            if self.scope and event["method"] == "values":
                told.append(shown(event["params"]["data"]))
            return True

    graph = wire(e, Log, "START a sub END", a=..., sub=leaf(e, "i", "j")).compile()
    await reader.output(await reader.open(graph, {"x": 1}, transformers=[Telling]))
    return later(e, told)
