"""Run streams: a mux and channels driven by hand, and the conversion of parts.

No `from __future__ import annotations` here: schemas are read at run time.
"""

from differential.kit import Log, thread, wire
from differential.render import render
from differential.watching import caught, watched


def names(e):
    """Return the module that has the names of a run stream."""
    return e.module("stream.run_stream")


def event(method, data, *namespace, **params):
    """Return an event that has not entered a log."""
    known = {"namespace": list(namespace), "timestamp": 1, "data": data, **params}
    return {"type": "event", "method": method, "params": known}


class Bench:
    """A mux with its driver: what is said to it, and what comes out."""

    def __init__(self, e, reader, transformers=None, **kwargs):
        self.reader = reader
        self.mux = names(e).StreamMux(transformers, is_async=reader.is_async, **kwargs)

    async def push(self, *events):
        """Push events; return what each push returns, or raises."""
        name = "apush" if self.reader.is_async else "push"
        return [await caught(lambda e=e: getattr(self.mux, name)(e)) for e in events]

    async def close(self):
        """Close the mux."""
        return await caught(self.mux.aclose if self.reader.is_async else self.mux.close)

    async def fail(self, error):
        """Fail the mux."""
        name = "afail" if self.reader.is_async else "fail"
        return await caught(lambda: getattr(self.mux, name)(error))


def transformer(e, *keys, named=None, notes=None, result=True):
    """Return a transformer with a channel under each key, which push what values say."""

    class Pushing(e.stream.StreamTransformer):
        def init(self):
            self.channels = {key: e.stream.StreamChannel(named) for key in keys}
            return dict(self.channels)

        def process(self, event):
            if event["method"] == "values":
                for channel in self.channels.values():
                    channel.push(event["params"]["data"])
            return result

        def finalize(self):
            if notes is not None:
                notes.append("finalize")

        def fail(self, error):
            if notes is not None:
                notes.append(error)

    return Pushing


def told(event):
    """Return what an event says and its number, without time and id."""
    event = dict(event)
    event.pop("event_id", None)
    event["params"] = {k: v for k, v in event["params"].items() if k != "timestamp"}
    return render(event)


@watched("run.mux.by_hand", rows=("6.3:push", "6.3:close"))
async def by_hand(e, reader):
    """What is pushed comes out of channels, with nothing that drives."""
    bench = Bench(e, reader, [transformer(e, "items")()])
    items = reader.iterator(bench.mux.extensions["items"])
    found = [list(bench.mux.extensions), bench.mux.is_async, bench.mux.scope]
    found += await bench.push(event("values", 1), event("other", 2), event("values", 3))
    found += [await reader.some(items, 2), await bench.close()]
    found += [await reader.all(items), await bench.close()]
    return [*found, *await bench.push(event("values", 4)), await bench.close()]


@watched("run.mux.numbers", rows=("6.3:push", "6.2:event"))
async def numbers(e, reader):
    """The mux of a run numbers the events of its log, that of a child does not."""
    found = []
    for kwargs in ({}, {"_assign_seq": False}):
        bench = Bench(e, reader, [transformer(e, "items")()], **kwargs)
        log = reader.iterator(bench.mux._events)
        events = [event("values", n) for n in range(3)]
        await bench.push(*events)
        await bench.close()
        found += [await reader.all(log, told), [kept.get("seq") for kept in events]]
    return found


@watched("run.mux.kept_out", rows=("6.3:push",))
async def kept_out(e, reader):
    """Numbers are those of the log: what is kept out has none."""
    odd = transformer(e, "odd", result=False)

    class Half(odd):
        def process(self, event):
            super().process(event)
            return event["params"]["data"] % 2 == 0

    bench = Bench(e, reader, [Half(), transformer(e, "all")()])
    log = reader.iterator(bench.mux._events)
    every = reader.iterator(bench.mux.extensions["all"])
    await bench.push(*[event("values", n) for n in range(4)])
    await bench.close()
    return [await reader.all(log, told), await reader.all(every)]


@watched("run.mux.forwarding", rows=("6.3:push", "6.4:channel"))
async def forwarding(e, reader):
    """What is pushed to a named channel is in the log, whether the channel is read or not."""
    found = []
    for native in (False, True):
        way = transformer(e, "items", named="mine")
        way._native = native
        bench = Bench(e, reader, [way()], scope=("a:1",))
        log = reader.iterator(bench.mux._events)
        found += [sorted(bench.mux.native_keys), bench.mux.scope]
        await bench.push(event("values", 1, "a:1"), event("values", 2, "a:1", "b:2"))
        await bench.close()
        found += sorted(await reader.all(log, lambda one: [one["method"], one["params"]["data"]]))
    return found


@watched("run.mux.forwarding_between", rows=("6.3:push", "6.4:channel"))
async def forwarding_between(e, reader):
    """What is pushed between two events is numbered between them."""
    way = transformer(e, "items", named="mine")()
    bench = Bench(e, reader, [way])
    log = reader.iterator(bench.mux._events)
    way.channels["items"].push("before")
    await bench.push(event("other", 1))
    way.channels["items"].push("between")
    await bench.push(event("other", 2))
    await bench.close()
    found = [await caught(lambda: way.channels["items"].push("after"))]
    return [*found, *await reader.all(log, told)]


@watched("run.mux.fail", rows=("6.3:close", "6.7:errors"), differs="error-for-every-reader")
async def failing(e, reader):
    notes = []
    bench = Bench(e, reader, [transformer(e, "items", notes=notes)()])
    items = reader.iterator(bench.mux.extensions["items"])
    await bench.push(event("values", 1))
    found = [await bench.fail(ValueError("no")), await reader.all(items)]
    found += [await reader.all(bench.mux._events), await bench.fail(ValueError("again"))]
    return [*found, await reader.all(items), notes[:1]]


@watched("run.mux.registration", rows=("6.3:registration",))
async def registration(e, reader):
    def made(*transformers, **kwargs):
        mux = names(e).StreamMux(list(transformers), is_async=reader.is_async, **kwargs)
        return [list(mux.extensions), sorted(mux.native_keys), mux.scope, mux.is_async]

    class Wrong(e.stream.StreamTransformer):
        result = None

        def init(self):
            return self.result

        def process(self, event):
            return True

    def wrong(result):
        transformer = Wrong()
        transformer.result = result
        return transformer

    one, two = transformer(e, "a", "b"), transformer(e, "b", "c")
    native = transformer(e, "n")
    native._native = True
    first = transformer(e, "first")
    first.before_builtins = True
    stream = e.stream
    found = [await caught(lambda: made()), await caught(lambda: made(one()))]
    found += [await caught(lambda: made(one(), two())), await caught(lambda: made(one(), one()))]
    for result in ([], None, 5, (), "x"):
        found.append(await caught(lambda result=result: made(wrong(result))))
    found += [await caught(lambda: made(native(), one())), await caught(lambda: made(wrong({})))]
    found.append(await caught(lambda: made(one(), first())))
    factories = [one, native, first, stream.UpdatesTransformer, stream.CustomTransformer]
    found.append(await caught(lambda: made(factories=factories)))
    found.append(
        await caught(lambda: made(transformer(e, "x")(), first(), factories=[one, native]))
    )
    return [*found, await caught(lambda: made(factories=[one], scope=("s:1",)))]


@watched("run.mux.by_key", rows=("6.3:registration",))
async def by_key(e, reader):
    one = transformer(e, "a", "b")()
    mux = names(e).StreamMux([one], is_async=reader.is_async)
    return [mux.transformer_by_key("a") is one, mux.transformer_by_key("b") is one,
            mux.transformer_by_key("c")]  # fmt: skip


@watched("run.mux.children", rows=("6.3:children",))
async def children(e, reader):
    scopes = []

    def make(scope):
        scopes.append(scope)
        return transformer(e, "items")(scope)

    mux = names(e).StreamMux(factories=[make], is_async=reader.is_async)
    child = mux._make_child(("a:1",))
    grandchild = child._make_child(("a:1", "b:2"))
    found = [type(child).__name__, child.scope, grandchild.scope, child.is_async, scopes]
    found += [list(child.extensions), child.extensions["items"] is mux.extensions["items"]]
    by_instance = names(e).StreamMux([transformer(e, "items")()], is_async=reader.is_async)
    found.append(await caught(lambda: by_instance._make_child(("a:1",))))
    both = names(e).StreamMux(
        [transformer(e, "more")()], factories=[make], is_async=reader.is_async
    )
    return [*found, await caught(lambda: list(both._make_child(("a:1",)).extensions))]


@watched("run.mux.child_by_hand", rows=("6.3:children", "6.2:event"))
async def child_by_hand(e, reader):
    """A child has a log of its own, in which nothing is numbered."""
    bench = Bench(e, reader, factories=[transformer(e, "items", named="mine")])
    child = Bench(e, reader)
    child.mux = bench.mux._make_child(("a:1",))
    log, parent = reader.iterator(child.mux._events), reader.iterator(bench.mux._events)
    await child.push(event("other", 1, "a:1"), event("other", 2, "a:1"))
    await bench.push(event("other", 3))
    await child.close()
    await bench.close()
    return [await reader.all(log, told), await reader.all(parent, told)]


@watched("run.mux.pump", rows=("6.3:push", "6.4:channel"))
async def pump(e, reader):
    """A channel that has nothing asks for more until there is no more."""
    bench = Bench(e, reader, [transformer(e, "items")()])
    asked = []

    def more():
        asked.append(len(asked))
        if len(asked) > 5:
            bench.mux.close()
            return False
        if len(asked) % 2:
            bench.mux.push(event("values", len(asked)))
        return True

    async def amore():
        asked.append(len(asked))
        if len(asked) > 5:
            await bench.mux.aclose()
            return False
        if len(asked) % 2:
            await bench.mux.apush(event("values", len(asked)))
        return True

    if reader.is_async:
        bench.mux.bind_apump(amore)
    else:
        bench.mux.bind_pump(more)
    return [await reader.all(bench.mux.extensions["items"]), asked]


@watched("run.mux.pump_ends", rows=("6.3:push", "6.4:channel"))
async def pump_ends(e, reader):
    """A pump that has no more ends who waits, closed or not."""
    bench = Bench(e, reader, [transformer(e, "items")()])
    events = [event("values", n) for n in range(3)]

    def more():
        if not events:
            return False
        bench.mux.push(events.pop(0))
        return True

    async def amore():
        if not events:
            return False
        await bench.mux.apush(events.pop(0))
        return True

    if reader.is_async:
        bench.mux.bind_apump(amore)
    else:
        bench.mux.bind_pump(more)
    return await reader.all(bench.mux.extensions["items"])


@watched("run.mux.process_fails", rows=("6.3:push", "6.7:errors"))
async def process_fails(e, reader):
    class Failing(transformer(e, "items")):
        def process(self, event):
            raise KeyError("proc")

    bench = Bench(e, reader, [Failing(), transformer(e, "others")()])
    others = reader.iterator(bench.mux.extensions["others"])
    found = await bench.push(event("values", 1))
    return [*found, await bench.close(), await reader.all(others)]


@watched("run.mux.finalize_fails", rows=("6.3:close",), differs="finalize-errors")
async def finalize_fails(e, reader):
    notes = []

    class Failing(transformer(e, "items")):
        def finalize(self):
            raise KeyError("fin")

    bench = Bench(e, reader, [Failing(), transformer(e, "others", notes=notes)()])
    others = reader.iterator(bench.mux.extensions["others"])
    await bench.push(event("values", 1))
    return [
        await bench.close(),
        notes,
        await reader.all(others),
        await reader.all(bench.mux._events),
    ]


@watched("run.mux.convert", rows=("6.2:convert",))
async def convert(e, reader):
    """Parts of v2 become events; nothing else is added."""
    convert = names(e).convert_to_protocol_event
    question = e.types.Interrupt("q?", id="i")
    parts = [
        {"type": "values", "ns": (), "data": {"x": 1}, "interrupts": ()},
        {"type": "values", "ns": ("a:1",), "data": {"x": 1}, "interrupts": (question,)},
        {"type": "updates", "ns": ("a:1", "b:2"), "data": {"n": None}},
        {"type": "custom", "ns": (), "data": "text"},
        {"type": "messages", "ns": (), "data": ({"event": "message-start"}, {"m": 1})},
        {"type": "other", "ns": (), "data": None},
    ]
    found = []
    for part in parts:
        converted = convert(part)
        kinds = [type(converted["params"]["timestamp"]), type(converted["params"]["namespace"])]
        found += [told(converted), *kinds, sorted(converted), sorted(converted["params"])]
        found.append(converted["params"]["data"] is part["data"])
    return found


@watched("run.mux.convert_a_stream", rows=("6.2:convert",))
async def convert_a_stream(e, reader):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    modes = ["values", "updates", "tasks", "checkpoints", "debug"]
    convert = names(e).convert_to_protocol_event
    options = {"stream_mode": modes, "version": "v2", "subgraphs": True}
    if reader.is_async:
        parts = graph.astream({"x": 1}, thread(), **options)
    else:
        parts = graph.stream({"x": 1}, thread(), **options)
    return await reader.all(parts, lambda part: told(convert(part)))


@watched("run.mux.subgraph_stream_by_hand", rows=("6.9:handles", "6.3:children"))
async def subgraph_stream_by_hand(e, reader):
    """A handle made by hand, as LangChain's agents make theirs."""
    module = names(e)
    kind = module.AsyncSubgraphRunStream if reader.is_async else module.SubgraphRunStream
    values = e.module("stream.transformers").ValuesTransformer
    mux = module.StreamMux(factories=[values], is_async=reader.is_async)
    child = mux._make_child(("a:1",))
    handle = kind(child, path=("a:1",), graph_name="a", trigger_call_id="t")
    found = [handle.path, handle.graph_name, handle.trigger_call_id, handle.status, handle.error]
    bench = Bench(e, reader)
    bench.mux = child
    iterator = reader.iterator(handle.values)
    for pushed in (event("values", {"x": 1}, "a:1", interrupts=()),
                   event("values", {"x": 2}, "b:2", interrupts=())):  # fmt: skip
        handle._observe_event(pushed)
        await bench.push(pushed)
    await bench.close()
    found += [await reader.all(iterator), list(handle.extensions)]
    handle.status, handle.error = "failed", "because"
    return [*found, handle.status, handle.error, *await reader.end(handle)]


@watched("run.mux.lifecycle_by_hand", rows=("6.6:lifecycle", "6.3:push"))
async def lifecycle_by_hand(e, reader):
    """Somebody else runs the graph and pushes its parts, as servers do."""
    inner = wire(e, Log, "START i END", i=...).compile()
    graph = wire(e, Log, "START a sub b END", a=..., sub=inner, b=...).compile()
    module, stream = names(e), e.stream
    ways = [stream.LifecycleTransformer, stream.SubgraphTransformer]
    bench = Bench(e, reader, factories=ways)
    modes = {mode for way in ways for mode in way.required_stream_modes} - {"graphs"}
    options = {"stream_mode": sorted({*modes, "values", "tasks"}), "version": "v2"}
    options["subgraphs"] = True
    parts = graph.astream({"x": 1}, **options) if reader.is_async else graph.stream(
        {"x": 1}, **options
    )  # fmt: skip
    lifecycle = reader.iterator(bench.mux.extensions["lifecycle"])
    handles = reader.iterator(bench.mux.extensions["subgraphs"])
    async for part in reader.each(parts):
        await bench.push(module.convert_to_protocol_event(part))
    await bench.close()
    found = await reader.all(lifecycle)
    return [*found, *await reader.all(handles, lambda h: [h.path, h.graph_name, h.status])]
