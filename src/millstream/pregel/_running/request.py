"""From the arguments of a call to a run: merge configs, check arguments, map the input.

Everything a caller can get wrong is refused here, before anything has happened.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from langchain_core.runnables.config import CONFIG_KEYS, var_child_runnable_config

from millstream._base.state_classes import by_name
from millstream._base.texts import safe_repr
from millstream.config import AmbientConfig, replaced_runtime, task_context_of
from millstream.constants import (
    CONF,
    CONFIG_KEY_CHECKPOINT_ID,
    CONFIG_KEY_CHECKPOINT_MAP,
    CONFIG_KEY_CHECKPOINT_NS,
    END,
    ENGINE_PREFIX,
    NS_END,
    NS_SEP,
    SIGNAL_PREFIX,
    START,
    TASKS,
)
from millstream.core.answers import Answers
from millstream.drivers.context import TaskContext
from millstream.drivers.metadata import PLACE_KEYS, as_text
from millstream.drivers.routes import invalid_route
from millstream.drivers.run_request import RunStart
from millstream.errors import EmptyInputError, InvalidUpdateError
from millstream.modes.parts import split_ns
from millstream.runtime import Runtime, ServerInfo
from millstream.saving.message_ids import with_message_ids
from millstream.types import Command, Send
from millstream.typing import ConfigLike

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from millstream.core.machine import RunMachine
    from millstream.core.protocol import Write
    from millstream.core.spec import GraphSpec
    from millstream.drivers.heartbeats import Heartbeats
    from millstream.pregel._structure.definition import GraphDefinition

logger = logging.getLogger(__name__)

DEFAULT_RECURSION_LIMIT: Final = int(os.environ.get("LANGGRAPH_DEFAULT_RECURSION_LIMIT", "10007"))
"""Supersteps a run may take unless its config says otherwise."""

RUN_KEYS: Final = ("run_id", "run_name")
"""Config keys that name one run, and not those nested in it."""

SIMPLE_KEYS: Final = frozenset(CONFIG_KEYS) - {CONF, "metadata", "tags"}
"""Config keys whose values are taken as they are."""

METADATA_KEYS: Final = (
    "thread_id",
    "checkpoint_id",
    "checkpoint_ns",
    "task_id",
    "run_id",
    "graph_id",
    "assistant_id",
)
"""Keys of `configurable` that are shown as metadata."""

SERVER_KEYS: Final = frozenset(("assistant_id", "graph_id", "langgraph_auth_user"))
"""Keys of `configurable` in which a server says something about itself."""


@dataclass(slots=True)
class Caller:
    """Who calls a graph, and with what config."""

    config: dict[str, Any]
    """Without callbacks, metadata and configurable."""
    callbacks: Any
    metadata: dict[str, Any] | None
    """None if they are those of the calling task, with whose config the graph is called."""
    configurable: dict[str, Any]
    parent: TaskContext | None
    """The task that calls, None for a root run."""
    is_explicit: bool
    """The caller passed the config of its task explicitly."""
    runtime: Runtime[Any] | None = None
    """What the caller put into the config in place of its task's runtime."""
    heartbeats: Heartbeats | None = None
    """Who watches a task that calls a graph on a thread of its own."""


def identify_caller(config: ConfigLike | None, bound: RunnableConfig | None) -> Caller:
    """Merge the ambient config, the graph's own and the call's, and find the calling task.

    A call from inside a task belongs to that task's run, unless it names another thread: then it
    is a root run of its own that shares callbacks, tags and metadata.
    """
    if config is not None and not hasattr(config, "keys"):
        raise TypeError(
            "config is a dict such as {'configurable': {'thread_id': '1'}}, got "
            f"{type(config).__name__} {safe_repr(config):.200}"
        )
    ambient = var_child_runnable_config.get()
    own = ambient if config is None else config
    # The config of a task that nobody has looked at: there is nothing in it to be merged, and to
    # look would make it.
    if type(own) is AmbientConfig and not own.is_filled and not bound:
        return _called_by_task(own.context, is_explicit=config is not None)
    # Outside of any run, with nothing that has to be merged or looked for.
    if ambient is None and not bound and (not config or config.keys() <= SIMPLE_KEYS):
        return _called_simply(config or {})
    layers: list[Mapping[str, Any]] = []
    # In the order in which they count: what surrounds the call, what the graph has, what is given.
    if ambient is not None and ambient is not config:
        layers.append(ambient)
    if bound:
        layers.append(bound)
    if config:
        layers.append(config)
    parent = task_context_of(layers[0]) if layers else None
    if config is not None and (context := task_context_of(config)) is not None:
        parent = context
        if type(config) is AmbientConfig or config is context.made_config:
            # It has all that the ambient config has, and has not been changed.
            layers = [*([bound] if bound else ()), config]
    merged = merge_configs(layers)
    given: Mapping[str, Any] = (config or {}).get(CONF) or {}
    heartbeats = None
    thread = given.get("thread_id")
    # Another thread: a run of its own. Nothing but the call itself says where it is.
    if parent is not None and thread is not None and as_text(thread) != parent.run.thread_id:
        merged[CONF] = dict(given)
        heartbeats, parent = parent.heartbeats, None
    runtime = replaced_runtime(merged)
    configurable = merged.pop(CONF, {})
    metadata = merged.pop("metadata", {})
    add_named(metadata, configurable)
    if parent is not None:
        configurable = {
            key: value
            for key, value in configurable.items()
            # What is the calling task's own is not the nested graph's; the rest a program has put
            # there.
            if not key.startswith(ENGINE_PREFIX) and key not in PLACE_KEYS
        }
        metadata.setdefault(CONFIG_KEY_CHECKPOINT_NS, parent.ns)
    return Caller(
        config=merged,
        callbacks=merged.pop("callbacks", None),
        metadata=metadata,
        configurable=configurable,
        parent=parent,
        is_explicit=config is not None and task_context_of(config) is not None,
        runtime=runtime,
        heartbeats=heartbeats,
    )


def _called_simply(config: Mapping[str, Any]) -> Caller:
    """Return the caller whose config says nothing of where it is or what it belongs to."""
    if not config:
        return Caller({}, None, {}, {}, None, False)
    given = {key: value for key, value in config.items() if value is not None}
    return Caller(given, given.pop("callbacks", None), {}, {}, None, False)


def _called_by_task(parent: TaskContext, *, is_explicit: bool) -> Caller:
    """Return the caller when a task's config was passed on as it is, without reading it."""
    run = parent.run
    config = {key: value for key, value in run.config.items() if key not in RUN_KEYS}
    return Caller(config, parent.callbacks, None, run.configurable, parent, is_explicit)


def add_named(metadata: dict[str, Any], configurable: Mapping[str, Any]) -> None:
    """Add to metadata what `configurable` says of the thread and the run."""
    for key in METADATA_KEYS:
        value = configurable.get(key)
        if value and key not in metadata:
            metadata[key] = value


def merge_configs(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge configs: tags are joined, metadata and configurable merged, the last of others wins."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            # LangChain leaves out what is None, too.
            if value is None:
                continue
            if key == "tags":
                known = merged.get("tags", [])
                merged["tags"] = [*known, *(tag for tag in value if tag not in known)]
            elif key in ("metadata", CONF):
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "callbacks":
                merged[key] = merge_callbacks(merged.get(key), value)
            elif key in CONFIG_KEYS:
                merged[key] = value
            else:
                # A key that nobody knows is a program's own, as in LangChain.
                merged[CONF] = {**merged.get(CONF, {}), key: value}
    return merged


def merge_callbacks(first: Any, second: Any) -> Any:
    """Return callbacks that hear everything both would: lists of handlers, or managers."""
    if first is None or first is second:
        return second
    if isinstance(first, list) and isinstance(second, list):
        return first + [handler for handler in second if handler not in first]
    if isinstance(first, list):
        # The list is added to a copy of the manager, which is somebody else's.
        first, second = second, first
        manager = first.copy()
        for handler in second:
            manager.add_handler(handler, inherit=True)
        return manager
    if isinstance(second, list):
        manager = first.copy()
        for handler in second:
            manager.add_handler(handler, inherit=True)
        return manager
    return first.merge(second)


def nested_ns(parent: TaskContext, number: int, *, is_stateful: bool) -> str:
    """Return the namespace of a graph the task calls, by the number of the call.

    The first one has the task's own namespace, the next ones a number more. A graph that keeps
    its state between calls is named by nodes only, because task ids change.
    """
    ns = parent.ns
    if is_stateful:
        ns = NS_SEP.join(
            segment.split(NS_END, 1)[0] for segment in split_ns(ns) if not segment.isdigit()
        )
    return f"{ns}{NS_SEP}{number}" if number else ns


def scope_of(
    graph: GraphDefinition[Any, Any, Any, Any], config: ConfigLike | None
) -> tuple[str, ...]:
    """Return the namespace that a run of the graph will have when it is opened."""
    parent = identify_caller(config, graph.config).parent
    if parent is None:
        return ()
    return split_ns(nested_ns(parent, parent.nested_runs, is_stateful=graph.checkpointer is True))


def recursion_limit_of(config: Mapping[str, Any]) -> int:
    """Return the number of supersteps the run may take."""
    limit: int = config.get("recursion_limit", DEFAULT_RECURSION_LIMIT)
    if not limit >= 1:  # which NaN is not either
        raise ValueError("recursion_limit must be at least 1")
    return limit


def max_concurrency_of(config: Mapping[str, Any]) -> int | None:
    """Return how many tasks may run at once, None for no limit."""
    limit: int | None = config.get("max_concurrency")
    if limit is not None and not limit >= 1:  # which NaN is not either
        raise ValueError("max_concurrency must be at least 1")
    return limit


def starter(
    input: Any,
    input_channels: str | Sequence[str],
    spec: GraphSpec,
    *,
    has_saver: bool,
    is_resumed: bool,
) -> Callable[[RunMachine, bool], RunStart]:
    """Return the function that turns the input into what the machine starts with."""
    commanded = None
    if isinstance(input, Command):
        input, commanded = _checked(input, spec, has_saver=has_saver)
    # Not a closure, which would be four objects more for each run.
    return partial(_start, input, commanded, input_channels, is_resumed)


def _start(
    input: Any,
    commanded: Sequence[Write] | None,
    input_channels: str | Sequence[str],
    is_resumed: bool,
    machine: RunMachine,
    is_known: bool,
) -> RunStart:
    resume = None if commanded is None else input.resume
    if is_known and commanded is not None:
        answers = None if resume is None else Answers(resume)
        spec = machine.spec
        writes = with_message_ids([*by_name(commanded, spec.aliases)], spec.deltas)
        return RunStart(writes, True, answers)
    # None goes on. So does a nested graph whose task was interrupted: its input was taken in
    # before.
    if is_known and (is_resumed or input is None):
        return RunStart([], True)
    if resume is not None:
        raise EmptyInputError(
            "There is nothing to resume: the thread has no checkpoint. Check its thread_id, "
            "or start it with an input"
        )
    writes = with_message_ids(map_input(input, input_channels), machine.spec.deltas)
    if not writes:
        raise EmptyInputError(f"Received no input for {input_channels}")
    return RunStart(writes, False)


def _checked(
    command: Command[Any], spec: GraphSpec, *, has_saver: bool
) -> tuple[Command[Any], list[Write]]:
    """Return the command with no more than its true targets, and what it writes.

    Raises for what is wrong with it.
    """
    # Whoever gives a command as input is outside of all graphs.
    if command.graph == Command.PARENT:
        raise InvalidUpdateError("There is no parent graph")
    if command.resume is not None and not has_saver:
        raise RuntimeError("Cannot use Command(resume=...) without checkpointer")
    # Checked before anything of the command is applied; to make it anew costs, and most have no
    # goto.
    checked = replace(command, goto=_targets(command.goto, spec)) if command.goto != () else command
    writes = command_writes(checked)
    if command.update is None and command.resume is None and not command.goto:
        raise EmptyInputError(
            "Received empty Command input: give it an update, a goto or a resume value. To answer "
            "a question with None, name it: Command(resume={id: None})"
        )
    return checked, writes


def _targets(goto: Any, spec: GraphSpec) -> Sequence[Any]:
    """Return where a command given as input goes; None, no text and END are nowhere."""
    if goto is None or goto == "":
        # Servers fill in every field that their caller left out.
        return ()
    targets = goto if isinstance(goto, (list, tuple)) else (goto,)
    for target in targets:
        if isinstance(target, Send):
            is_known = target.node in spec.nodes
        else:
            is_known = isinstance(target, str) and (
                target == END or SIGNAL_PREFIX + target in spec.channels
            )
        if not is_known:
            signals = [name for name in spec.channels if name.startswith(SIGNAL_PREFIX)]
            raise invalid_route(target, [name[len(SIGNAL_PREFIX) :] for name in signals], START)
    return [target for target in targets if target != END]


def named_checkpoints(configurable: Mapping[str, Any]) -> dict[str, str]:
    """Return the checkpoints that a caller wants to go on from, by namespace."""
    enclosing: Mapping[str, Any] = configurable.get(CONFIG_KEY_CHECKPOINT_MAP) or {}
    named = {as_text(ns): as_text(checkpoint_id) for ns, checkpoint_id in enclosing.items()}
    checkpoint_id = configurable.get(CONFIG_KEY_CHECKPOINT_ID)
    if checkpoint_id:
        named[as_text(configurable.get(CONFIG_KEY_CHECKPOINT_NS) or "")] = as_text(checkpoint_id)
    return named


def command_writes(command: Command[Any]) -> list[Write]:
    """Return what a checked command writes."""
    goto: Any = command.goto
    writes: list[Write] = [
        (TASKS, target) if isinstance(target, Send) else (SIGNAL_PREFIX + target, START)
        for target in goto
    ]
    if command.update is not None:
        writes += command._update_as_tuples()
    return writes


def map_input(input: Any, channels: str | Sequence[str]) -> list[Write]:
    """Return the writes for a graph's input: one bare value, or a dict by channel."""
    if input is None:
        return []
    if isinstance(channels, str):
        return [(channels, input)]
    if not isinstance(input, dict):
        raise TypeError(f"Expected chunk to be a dict, got {type(input).__name__}")
    writes = []
    for key, value in input.items():
        if key in channels:
            writes.append((key, value))
        else:
            logger.warning("Input channel %s not found in %s", key, channels)
    return writes


def server_info_of(configurable: Mapping[str, Any]) -> ServerInfo | None:
    """Return what a server said about itself in `configurable`, None if nothing."""
    if SERVER_KEYS.isdisjoint(configurable):
        return None
    return ServerInfo(
        assistant_id=configurable.get("assistant_id", ""),
        graph_id=configurable.get("graph_id", ""),
        user=configurable.get("langgraph_auth_user"),
    )
