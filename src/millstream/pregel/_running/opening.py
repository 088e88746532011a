"""Opening a run: everything a call and its graph say, put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.utils.uuid import uuid7

from millstream._base.clock import current
from millstream._base.state_classes import class_of
from millstream._types.advice import with_advice
from millstream.constants import CONFIG_KEY_THREAD_ID
from millstream.core.protocol import RunLimits
from millstream.drivers import tracing
from millstream.drivers.current_strand import strand_of, text_of
from millstream.drivers.loading import former_ns
from millstream.drivers.run_request import ROOT, Nesting, RunRequest
from millstream.errors import MissingThreadError
from millstream.modes.encoders import encoder
from millstream.modes.names import CUSTOM, MESSAGES, TOOLS, UPDATES, VALUES
from millstream.modes.parts import (
    VERSION_OF_EVENTS,
    RunStreamMode,
    as_modes,
    check_modes,
    check_version,
)
from millstream.modes.projectors import state_reader
from millstream.modes.subscription import Subscription
from millstream.outbox.backpressure import check_limit
from millstream.pregel._running.request import (
    Caller,
    identify_caller,
    max_concurrency_of,
    named_checkpoints,
    nested_ns,
    recursion_limit_of,
    server_info_of,
    starter,
)
from millstream.pregel._running.results import RESULT
from millstream.pregel._saved_state.locations import saver_of
from millstream.pregel._structure.declared import breakpoint_names
from millstream.runtime import RunControl
from millstream.typing import ConfigLike
from millstream.warnings import LangGraphDeprecatedSinceV10, warn_caller

if TYPE_CHECKING:
    from millstream.core.spec import GraphSpec
    from millstream.drivers.context import TaskContext
    from millstream.modes.parts import Part
    from millstream.outbox.write_ahead import WriteAheadLog
    from millstream.pregel._structure.definition import GraphDefinition
    from millstream.recording.recording import RecordTo

DURABILITIES: Final = ("sync", "async", "exit")
NO_MODES: frozenset[str] = frozenset()
DEBUGGED: Final = (UPDATES, VALUES)
"""What a run prints that is debugged."""
LIVE_MODES: Final = (CUSTOM, MESSAGES, TOOLS)
"""What code of a running node emits."""


@dataclass(slots=True)
class CallOptions:
    """The keyword arguments of `stream` and `invoke`.

    Made by position: by name, making it costs as much as the checks it is made for.
    """

    context: Any = None
    stream_mode: str | Collection[str] | None = None
    print_mode: str | Collection[str] = ()
    output_keys: str | Sequence[str] | None = None
    interrupt_before: str | Sequence[str] | None = None
    interrupt_after: str | Sequence[str] | None = None
    durability: str | None = None
    control: RunControl | None = None
    subgraphs: bool = False
    debug: bool | None = None
    version: str = "v1"
    max_buffered: int | None = None
    record: RecordTo | None = None
    unknown: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_result_wanted: bool = False
    """Only the final state is wanted: nothing is streamed to the caller."""

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> CallOptions:
        """Make options of keyword arguments that may be those of `stream`, or unknown."""
        known = {key: value for key, value in arguments.items() if key in STREAM_ARGUMENTS}
        unknown = {key: value for key, value in arguments.items() if key not in known}
        return cls(**known, unknown=unknown)


STREAM_ARGUMENTS: Final = frozenset(
    field.name
    for field in dataclasses.fields(CallOptions)
    if field.name not in ("unknown", "is_result_wanted")
)


def open_call(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    options: CallOptions,
) -> RunRequest:
    """Return the run that a call of `stream` or `invoke` asks for."""
    check_version(options.version)
    return open_run(graph, input, config, options)


def open_run(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    options: CallOptions,
) -> RunRequest:
    """Check a call and return the run it asks for; nothing of it has happened yet."""
    request = _open_run(graph, input, config, options)
    return request if options.record is None else _recorded(request, graph, options)


def _recorded(
    request: RunRequest, graph: GraphDefinition[Any, Any, Any, Any], options: CallOptions
) -> RunRequest:
    # Few runs are recorded.
    from millstream.pregel._running.recorded import tape_of

    subscription = request.subscription
    if options.is_result_wanted:
        # What is recorded is what a stream would show.
        seen = dataclasses.replace(options, stream_mode=(), is_result_wanted=False)
        subscription = _subscription(graph, request.spec, seen, is_explicit=False)
    tape = tape_of(options.record, graph, request)
    return request._replace(subscription=subscription, recording=tape)


def _open_run(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    options: CallOptions,
) -> RunRequest:
    if options.max_buffered is not None:
        check_limit(options.max_buffered)
    is_told = options.durability is not None or options.unknown
    durability = _durability(options) if is_told else None
    caller = identify_caller(config, graph.config)
    limit = recursion_limit_of(caller.config)
    saver = _saver(graph, caller)
    if durability is not None and saver is None:
        warn_caller("`durability` has no effect when no checkpointer is present.")
    parent, spec, name = caller.parent, graph.spec, graph.get_name()
    subscription = _subscription(graph, spec, options, is_explicit=caller.is_explicit)
    control = options.control or (RunControl() if parent is None else parent.run.control)
    limits = _limits(graph, options, limit, control)
    max_concurrency = max_concurrency_of(caller.config)
    context, store, server_info = _given(graph, options, caller)
    callbacks = None if caller.callbacks is None else tracing.without_taps(caller.callbacks)
    nesting, is_resumed = ROOT, False
    if parent is not None:
        nesting, is_resumed = nest(parent, name, input, is_stateful=graph.checkpointer is True)
        # A nested run is stored as the one around it, whose end decides what of it is needed.
        durability = durability or parent.run.request.durability
    elif caller.configurable and (named := named_checkpoints(caller.configurable)):
        nesting = Nesting(named_checkpoints=named)
    start = starter(
        input, graph.input_channels, spec, has_saver=saver is not None, is_resumed=is_resumed
    )
    return RunRequest(
        spec,
        name,
        graph.shape,
        limits,
        control,
        subscription,
        subscription,
        caller.config,
        caller.configurable,
        caller.metadata,
        nesting,
        saver,
        None if parent is None and graph.cache is None else _cache(graph, parent),
        graph.step_timeout,
        max_concurrency,
        subscription.is_live or (graph.stream_eager and not options.is_result_wanted),
        tracing.is_observed(callbacks),
        caller.heartbeats if parent is None else parent.heartbeats,
        input,
        start,
        context,
        store,
        server_info,
        durability or "async",
        graph.retry_policy,
        graph.cache_policy,
        options.max_buffered,
        callbacks,
        None,
        current() if parent is None else parent.run.clock,
        None if parent is None else parent.run.request.ahead,
    )


def _limits(
    graph: GraphDefinition[Any, Any, Any, Any],
    options: CallOptions,
    steps: int,
    control: RunControl,
) -> RunLimits:
    """Return what may stop a run: breakpoints of the call go before those of the graph."""
    before, after = graph.interrupt_before_nodes, graph.interrupt_after_nodes
    if options.interrupt_before is not None:
        before = breakpoint_names(options.interrupt_before) or before
    if options.interrupt_after is not None:
        after = breakpoint_names(options.interrupt_after) or after
    return RunLimits(steps, before, after, control)


def _cache(graph: GraphDefinition[Any, Any, Any, Any], parent: TaskContext | None) -> Any:
    """Return the cache of a run: its graph's, or that of the run around it."""
    if graph.cache is not None:
        from millstream.wire import wired

        return wired(graph.cache)
    return None if parent is None else parent.run.cache


def _given(
    graph: GraphDefinition[Any, Any, Any, Any], options: CallOptions, caller: Caller
) -> tuple[Any, Any, Any]:
    """Return the context, the store and the server's info: what the caller says, or has."""
    context, store, server = options.context, graph.store, server_info_of(caller.configurable)
    if context is not None:
        context = _as_schema(graph, context)
    # What the caller puts into the runtime of its task goes before what the task has.
    for given in (caller.runtime, caller.parent and caller.parent.run.request):
        if given is not None:
            context = getattr(given, "context", None) if context is None else context
            store = getattr(given, "store", None) if store is None else store
            server = getattr(given, "server_info", None) if server is None else server
    return context, store, server


def nest(parent: TaskContext, name: str, input: Any, *, is_stateful: bool) -> tuple[Nesting, bool]:
    """Return where in a task a run is, and whether the task was called before."""
    around, place, former = parent.run, "", ""
    if around.saver is not None:
        place = strand_of(parent).place(partial(text_of, (name, input)))
    number, is_new = parent.count_nested_run(place)
    ns = nested_ns(parent, number, is_stateful=is_stateful)
    named, replay = around.named_checkpoints, around.replay
    # In a past that is run again, a nested graph is called like the first time.
    is_resumed = around.is_resuming_step
    if is_resumed:
        if named and ns not in named:
            former = former_ns(parent, number)
        is_resumed = replay is None or bool(named.get(ns) or named.get(former))
    new_number = number if place and is_new else None
    limits = parent.run.inner_limits
    return Nesting(parent, ns, named, replay, limits, place, new_number, former), is_resumed


def open_events(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    options: CallOptions,
    wanted: Mapping[str, Any],
) -> RunRequest:
    """Open a run whose consumer receives events, those that the arguments `wanted` choose."""
    # Imported with the first stream of events: slow to import.
    from millstream.modes.event_listener import EVENTS, EventFilter, EventListener

    if options.max_buffered is not None:
        raise TypeError("astream_events has no max_buffered: events are kept until they are read")
    listener = EventListener(EventFilter(**wanted), input)
    full = ensure_config(cast("RunnableConfig", config))
    # Made here, so that the events can be told from those of other runs with the same handler.
    if "run_id" not in full:
        full["run_id"] = uuid7()
    callbacks = full.get("callbacks")
    if callbacks is None or isinstance(callbacks, list):
        full["callbacks"] = [*(callbacks or ()), listener]
    elif isinstance(callbacks, BaseCallbackManager):
        # The manager is the caller's.
        full["callbacks"] = callbacks = callbacks.copy()
        callbacks.add_handler(listener)
    else:
        raise ValueError(
            f"Unexpected type for callbacks: {callbacks}."
            "Expected None, list or AsyncCallbackManager."
        )
    request = open_run(graph, input, full, options)
    shown = request.subscription
    encode = listener.encoder(shown.encode)
    if request.recording is not None:
        encode = request.recording.hear_events(encode)
    subscription = dataclasses.replace(shown, encode=encode, yielded=shown.yielded | {EVENTS})
    return request._replace(subscription=subscription, listener=listener)


def open_logged(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    options: CallOptions,
    ahead: WriteAheadLog | None = None,
) -> RunRequest:
    """Open a run whose consumer receives the parts as they are, and wants the final state too.

    With a log `ahead` it is that which receives them, as the run tells them.
    """
    request = open_run(graph, input, config, options)
    wants_result = dataclasses.replace(
        options, stream_mode=RESULT, print_mode=(), debug=False, is_result_wanted=True
    )
    return request._replace(
        subscription=dataclasses.replace(request.subscription, encode=_as_it_is),
        result=_subscription(graph, request.spec, wants_result, is_explicit=False),
        ahead=ahead if request.nesting.parent is None else request.ahead,
    )


def _as_it_is(part: Part) -> Part:
    return part


def _durability(options: CallOptions) -> str | None:
    """Return the durability asked for, and complain about arguments nobody knows."""
    during = options.unknown.get("checkpoint_during")
    if unknown := [name for name in options.unknown if name != "checkpoint_during"]:
        names = ", ".join(sorted(unknown))
        warn_caller(f"Ignoring unknown keyword arguments of stream/invoke: {names}")
    if during is None:
        if options.durability not in (None, *DURABILITIES):
            raise ValueError(
                f"Unknown durability {options.durability!r}; use one of {', '.join(DURABILITIES)}"
            )
        return options.durability
    warn_caller(
        "`checkpoint_during` is deprecated and will be removed. Please use `durability` instead.",
        LangGraphDeprecatedSinceV10,
    )
    if options.durability is not None:
        raise ValueError(
            "Cannot use both `checkpoint_during` and `durability` parameters. "
            "Please use `durability` instead."
        )
    return "async" if during else "exit"


def _saver(graph: GraphDefinition[Any, Any, Any, Any], caller: Caller) -> Any:
    """Return the saver of the run, None without one; a root run that saves needs a thread."""
    saver = saver_of(graph, caller.configurable, caller.parent)
    if saver is None or caller.parent is not None:
        return saver
    if not caller.configurable:
        raise with_advice(
            ValueError(
                "Checkpointer requires one or more of the following 'configurable' keys: "
                "thread_id, checkpoint_ns, checkpoint_id"
            ),
            "Say which thread is meant, as in invoke(..., {'configurable': {'thread_id': '1'}})",
        )
    if caller.configurable.get(CONFIG_KEY_THREAD_ID) is None:
        raise MissingThreadError(CONFIG_KEY_THREAD_ID)
    return saver


def _as_schema(graph: GraphDefinition[Any, Any, Any, Any], context: Any) -> Any:
    """Return the context, an instance of the graph's context schema where that is a class."""
    schema = graph.context_schema
    if schema is not None and isinstance(context, dict):
        cls = class_of(schema)
        if dataclasses.is_dataclass(cls) or hasattr(cls, "model_fields"):
            # As in LangGraph: nodes that ask for a class are given one, whatever the caller wrote.
            return cls(**context)
    return context


def _subscription(
    graph: GraphDefinition[Any, Any, Any, Any],
    spec: GraphSpec,
    options: CallOptions,
    *,
    is_explicit: bool,
) -> Subscription:
    """Return what the consumer wants to see, in which shape."""
    mode = options.stream_mode
    if mode is None:
        mode = VALUES if is_explicit else graph.stream_mode
    is_debugged = options.debug or (options.debug is None and graph.debug)
    printed = DEBUGGED if is_debugged else options.print_mode
    asked = (
        spec,
        mode if isinstance(mode, str) else tuple(mode),
        printed if isinstance(printed, str) else tuple(printed),
        _output_keys(graph, spec, options),
        options.version,
        bool(options.subgraphs),
        options.is_result_wanted,
    )
    try:
        # Worked out once for all calls that ask alike.
        subscription = graph.subscriptions.get(asked)
    except TypeError:  # something in it is unhashable: let it be refused by name
        return _make_subscription(*asked)
    if subscription is None:
        subscription = graph.subscriptions[asked] = _make_subscription(*asked)
    return subscription


def _make_subscription(
    spec: GraphSpec,
    mode: str | tuple[str, ...],
    printed: str | tuple[str, ...],
    keys: str | tuple[str, ...],
    version: str,
    has_subgraphs: bool,
    is_result_wanted: bool,
) -> Subscription:
    wanted, shown = as_modes(mode), frozenset(as_modes(printed))
    check_modes((*wanted, *as_modes(printed)))
    yielded = NO_MODES if is_result_wanted else frozenset(wanted)
    return Subscription(
        modes=yielded | shown,
        encode=encoder(version, is_labelled=not isinstance(mode, str), has_subgraphs=has_subgraphs),
        output_keys=keys,
        watched=frozenset((keys,) if isinstance(keys, str) else keys),
        read=state_reader(spec, keys),
        printed=shown,
        yielded=yielded,
        has_subgraphs=has_subgraphs,
        is_result_wanted=is_result_wanted,
        is_live=not (yielded | shown).isdisjoint(LIVE_MODES)
        or (has_subgraphs and not is_result_wanted),
        has_blocks=version == VERSION_OF_EVENTS or any(type(m) is RunStreamMode for m in wanted),
    )


def _output_keys(
    graph: GraphDefinition[Any, Any, Any, Any], spec: GraphSpec, options: CallOptions
) -> str | tuple[str, ...]:
    keys = options.output_keys
    if keys is None:
        # `invoke` returns what the output class declares; streams show the whole state.
        return spec.output_keys if options.is_result_wanted else spec.stream_keys
    for key in (keys,) if isinstance(keys, str) else keys:
        if key not in graph.channels:
            raise ValueError(f"Key {key} not in channels")
    return keys if isinstance(keys, str) else tuple(keys)
