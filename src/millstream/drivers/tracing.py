"""LangChain callbacks: one run for the graph and one for each task.

Everything here is skipped when nobody listens, which is worked out once per run.
"""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from uuid import NAMESPACE_OID, UUID, uuid5

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForChainRun,
    CallbackManager,
)
from langchain_core.globals import get_debug
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.utils.env import env_var_is_set
from langchain_core.utils.uuid import uuid7
from langsmith.utils import get_env_var, tracing_is_enabled

from millstream._base.run_trees import NodeRun, inside
from millstream._base.runnable import added
from millstream.drivers.nodecall import call_in
from millstream.drivers.waits import carried
from millstream.outbox.abandoned import as_traced

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        BaseCallbackHandler,
        BaseCallbackManager,
        BaseRunManager,
    )
    from langchain_core.runnables import Runnable, RunnableConfig

    from millstream.drivers.context import TaskContext
    from millstream.drivers.nodecall import BranchCall, Call, NodeCall
    from millstream.drivers.run_scope import RunScope
    from millstream.modes.event_listener import EventListener
    from millstream.types import TracePolicy

M = TypeVar("M", bound="BaseCallbackManager | BaseRunManager")
logger = logging.getLogger(__name__)

OF_MANAGERS: Final = vars(sys.modules["langchain_core.callbacks.base"])
"""The names of the module that has the class of all callback managers."""
OFF: Final = frozenset((None, "", "0", "false", "False"))
"""What the environment variables that switch tracing on are when they do not."""


def is_observed(callbacks: Any) -> bool:
    """Say whether any callback handler would hear about a run with these callbacks."""
    return (
        bool(getattr(callbacks, "handlers", callbacks))
        or get_debug()
        or managers_are_wrapped()
        or _is_traced()
    )


def managers_are_wrapped() -> bool:
    """Say whether somebody has replaced how LangChain's callback managers are made.

    Instrumentations do, to put their handler into every manager: they hear of a run only if it has
    one. This is what a function says of itself that no wrapper copies, because they may have come
    before this module.
    """
    init: Any = CallbackManager.__init__
    ainit: Any = AsyncCallbackManager.__init__
    is_own = (
        type(init) is FunctionType
        and init.__globals__ is OF_MANAGERS
        and type(ainit) is FunctionType
        and ainit.__globals__ is OF_MANAGERS
    )
    return not is_own


def without_taps(callbacks: Any) -> Any:
    """Return a graph's inherited callbacks without the taps of runs above it.

    Those are not for graphs but for chat models, and the engine passes them on by itself.
    """
    handlers = getattr(callbacks, "handlers", callbacks)
    if not handlers or not any(map(_is_tap, handlers)):
        return callbacks
    if isinstance(callbacks, list):
        return [handler for handler in callbacks if not _is_tap(handler)]
    # A manager is its owner's; only the copy is changed.
    kept = callbacks.copy()
    kept.handlers = [handler for handler in kept.handlers if not _is_tap(handler)]
    kept.inheritable_handlers = [h for h in kept.inheritable_handlers if not _is_tap(h)]
    return kept


def _is_tap(handler: Any) -> bool:
    return getattr(handler, "is_tap", False) is True


def task_callbacks(context: TaskContext, metadata: dict[str, Any]) -> BaseCallbackManager:
    """Return the callbacks for what a task runs.

    Never none: `dispatch_custom_event` refuses to work without a run above it.
    """
    run = context.run
    taps: list[BaseCallbackHandler] = [*run.ears, *run.tool_taps]
    if (heartbeats := context.heartbeats) is not None:
        taps.append(heartbeats.handler)
    if context.callbacks is None:
        # With the task's id as run, so that events are of the task though nobody traces it.
        manager: BaseCallbackManager = run.waits.managers(
            taps, inheritable_handlers=taps, parent_run_id=_run_id(context.task.id)
        )
        if taps:
            # A call may replace the tags and metadata of the config, but not what is inherited.
            tags = [*(run.config.get("tags") or ()), *context.task.node.body.tags]
            manager.add_tags(tags)
            manager.add_metadata(metadata)
        return manager
    for tap in taps:
        context.callbacks.add_handler(tap)
    return context.callbacks


def _run_id(task_id: str) -> UUID:
    """Return what a task's id is among the ids of runs; updates may come with one of their own."""
    try:
        return UUID(task_id)
    except ValueError:
        return uuid5(NAMESPACE_OID, task_id)


def _is_traced() -> bool:
    """Say whether a tracer is switched on for the whole process or this context.

    LangChain's tracer module is slow to import and needed only when something in it is in use: as
    long as nobody has imported it, no hook can have been registered there. The same holds for that
    of LangSmith which switches tracing on for a context. The variables are read once in a process,
    and it is LangSmith that remembers them.
    """
    tracers = sys.modules.get("langchain_core.tracers.context")
    # Without hooks another thread is about to import it, and it is there for nobody yet.
    if tracers is None or not hasattr(tracers, "_configure_hooks"):
        if _is_asked_for():
            return True
        if "langsmith.run_helpers" in sys.modules:
            return _is_langsmith_on()
        shared = sys.modules.get("langsmith._internal._context")
        return bool(getattr(shared, "_GLOBAL_TRACING_ENABLED", None))
    if tracers.tracing_v2_callback_var.get() is not None or _is_langsmith_on():
        return True
    for var, _, _, name in tracers._configure_hooks:
        if var.get() is not None or (name is not None and env_var_is_set(name)):
            return True
    return False


def _is_asked_for() -> bool:
    return get_env_var("TRACING_V2") not in OFF or get_env_var("TRACING") not in OFF


def _is_langsmith_on() -> bool:
    """Say what LangSmith says, which is not asked where nobody has told it anything.

    To ask would take a twentieth of a small run: it imports, and collects much else.
    """
    shared: Any = sys.modules.get("langsmith._internal._context")
    try:
        is_told = (
            shared._TRACING_ENABLED.get() is not None
            or shared._PARENT_RUN_TREE_REF.get() is not None
            or shared._GLOBAL_TRACING_ENABLED is not None
        )
    except AttributeError:
        is_told = True  # another version has them in another place: it has to be asked
    return (is_told or _is_asked_for()) and bool(tracing_is_enabled())


async def start_graph(run: RunScope, name: str, input: Any) -> NodeRun | None:
    """Tell the handlers that a graph starts; None when there are none."""
    config = run.traced_config()
    manager = run.waits.manager_for(_for_graph(config))
    if not manager.handlers:
        return None
    graph_run: NodeRun = await run.waits.notified(
        manager.on_chain_start(
            None, input, name=config.get("run_name") or name, run_id=config.get("run_id")
        )
    )
    return graph_run


async def start_node(context: TaskContext, node: NodeCall) -> NodeRun:
    """Tell the handlers that a task starts, and hand the node its own callbacks."""
    run, inherited = context.run, context.inherited_callbacks()
    given, name = context.traced_input, context.task.name
    if run.listener is not None and inherited is not None:
        # Where one listener alone hears, LangChain's way of telling it would double the cost of a
        # node.
        manager = _manager_for(context, node, inherited)
        node_run: NodeRun = _notify_start(run.listener, manager, given, name)
        _enter_run(context, node_run)
        if len(run.machine.tasks) > 1:
            await run.waits.give_turn()  # the nodes of a superstep start before any goes on
        return node_run
    told, manager = run.waits.notified, _configured(context, node, inherited)
    shown = _policy_of(node, manager)
    if shown is None:
        node_run = await told(manager.on_chain_start(None, given, name=name))
    else:
        # Told apart, because only tracers are shown what the policy makes of it.
        tracers, others = _divided(manager)
        node_run = await told(others.on_chain_start(None, given, name=name))
        given = _processed(shown.process_inputs, given)
        await told(tracers.on_chain_start(None, given, name=name, run_id=node_run.run_id))
        node_run.handlers = manager.handlers
    _enter_run(context, node_run)
    return node_run


def _enter_run(context: TaskContext, node_run: NodeRun) -> None:
    context.node_run = node_run
    context.callbacks = node_run.get_child("seq:step:1")


async def end_node(context: TaskContext, node_run: NodeRun, node: NodeCall, result: Any) -> None:
    """Tell the handlers what a node returned, those that follow streams first."""
    listener, waits = context.run.listener, context.run.waits
    if listener is not None:
        listener.emit_chunk(node_run.run_id, result)
        listener.on_chain_end(result, run_id=node_run.run_id)
        return
    for handler in node_run.handlers if waits.is_async else ():
        # They are told of chunks, and what a node returned is the only one.
        if _follows_streams(handler):
            tap: Any = handler
            async for _ in tap.tap_output_aiter(node_run.run_id, _once(result)):
                pass
    shown = _policy_of(node, node_run)
    if shown is None:
        await waits.notified(node_run.on_chain_end(result))
    else:
        tracers, others = _divided(node_run)
        await waits.notified(others.on_chain_end(result))
        await waits.notified(tracers.on_chain_end(_processed(shown.process_outputs, result)))


async def call_steps(call: Call, context: TaskContext) -> Any:
    """Call a node, each runnable of a sequence as a step of the node's run.

    Where a handler follows streams, runnables of an async run are streamed, and it hears their
    chunks; those of a nested graph are that graph's own affair.
    """
    value, waits, node_run = context.task.input, context.run.waits, context.node_run
    if not call.steps:
        return await call_in(context, call, value)
    assert node_run is not None
    is_streamed = waits.is_async and any(map(_follows_streams, node_run.handlers))
    if is_streamed and not hasattr(call.steps[0], "get_subgraphs"):
        return await _stream_steps(call.steps, value, context)
    # The run of a single runnable is in the node's own, without a step between.
    if len(call.steps) == 1:
        return await waits.invoke(call.steps[0], value, call.config(context))
    for index, step in enumerate(call.steps, 1):
        _enter_step(context, index)
        value = await waits.invoke(step, value, context.config)
    return value


async def _stream_steps(
    steps: Sequence[Runnable[Any, Any]], value: Any, context: TaskContext
) -> Any:
    # Made at once: nothing of the streams runs before they are read, when all steps are entered.
    stream = steps[0].astream(value, cast("RunnableConfig", context.config.copy()))
    for index, step in enumerate(steps[1:], 2):
        _enter_step(context, index)
        stream = step.atransform(stream, cast("RunnableConfig", context.config.copy()))
    total: Any = None
    async with aclosing(cast("AsyncGenerator[Any, None]", stream)) as chunks:
        async for chunk in chunks:
            # The result of a node that is streamed is the sum of its chunks, as in LangChain's
            # sequences.
            total = added(total, chunk)
    return total


async def _once(value: Any) -> AsyncIterator[Any]:
    yield value


def _follows_streams(handler: Any) -> bool:
    return hasattr(handler, "tap_output_aiter") and not _is_tap(handler)


def _enter_step(context: TaskContext, index: int) -> None:
    """Hand the task the callbacks of a step of its node's run."""
    if context.node_run is not None:
        context.callbacks = context.node_run.get_child(f"seq:step:{index}")
        context.renew_config()


async def call_path(node: NodeCall, branch: BranchCall, given: Any, context: TaskContext) -> Any:
    """Call the path of a conditional edge in a run of its own; a runnable makes one by itself."""
    _enter_step(context, (len(node.call.steps) or 1) + branch.place)
    # A runnable tells of itself.
    if branch.call.steps or not branch.call.is_traced:
        return await call_in(context, branch.call, given)
    told = context.run.waits.notified
    config = context.config.copy()  # made first: it adds the taps to the task's callbacks
    has_node = context.node_run is not None
    manager = _configured(
        context, node, context.callbacks if has_node else context.inherited_callbacks()
    )
    path_run = await told(manager.on_chain_start(None, given, name=_path_name(context, branch)))
    config["callbacks"] = path_run.get_child()
    token = var_child_runnable_config.set(cast("RunnableConfig", config))
    try:
        with inside(path_run):
            answer = await call_in(context, branch.call, given)
    except BaseException as error:
        await told(path_run.on_chain_error(as_traced(carried(error))))
        raise
    finally:
        var_child_runnable_config.reset(token)
    await told(path_run.on_chain_end(answer))
    return answer


def _path_name(context: TaskContext, branch: BranchCall) -> str | None:
    """Return the name of a path's run; one that follows a nested graph's command has the task's.

    A function without a name has that of what calls it, in sync runs alone.
    """
    name = branch.run_name if context.node_run is not None else context.task.name
    return name if name or context.run.waits.is_async else "RunnableCallable"


def _policy_of(node: NodeCall, manager: Any) -> TracePolicy | None:
    """Return what tracers are to be shown instead, None when there is nothing to do."""
    policy = node.trace_policy
    if policy is None:
        return None
    from langchain_core.tracers.base import BaseTracer

    return policy if any(isinstance(h, BaseTracer) for h in manager.handlers) else None


def _divided(manager: M) -> tuple[M, M]:
    """Return copies for the tracers among the handlers, and for the others."""
    from langchain_core.tracers.base import BaseTracer

    tracers, others = copy.copy(manager), copy.copy(manager)
    tracers.handlers = [h for h in manager.handlers if isinstance(h, BaseTracer)]
    others.handlers = [h for h in manager.handlers if not isinstance(h, BaseTracer)]
    return tracers, others


def _processed(process: Callable[[Any], Any] | None, value: Any) -> Any:
    """Return what a trace shows of a value; a trace policy that fails must not fail the run."""
    if process is None:
        return value
    try:
        return process(value)
    except Exception:
        logger.exception("A trace policy failed: the trace shows the value as it is")
        return value


def _for_graph(config: RunnableConfig) -> RunnableConfig:
    metadata: Mapping[str, Any] = config.get("metadata") or {}
    return {**config, "metadata": {"ls_integration": "langgraph", **metadata}}


def _configured(context: TaskContext, node: NodeCall, callbacks: BaseCallbackManager | None) -> Any:
    """Return a callback manager for a task, or for what is called in it."""
    return context.run.waits.managers.configure(**_for_task(context, node, callbacks))


def _manager_for(
    context: TaskContext, node: NodeCall, inherited: BaseCallbackManager
) -> BaseCallbackManager:
    """Return what configuring does for a task, unless LangChain's own tracing is switched on."""
    config = _for_task(context, node, inherited)
    manager: BaseCallbackManager = inherited.copy()
    manager.add_tags(config["inheritable_tags"])
    manager.add_metadata(config["inheritable_metadata"])
    return manager


def _notify_start(
    listener: EventListener, manager: BaseCallbackManager, given: Any, name: str | None
) -> AsyncCallbackManagerForChainRun:
    """Tell the only listener that a run starts: what a manager does to tell many costs more."""
    run_id = uuid7()
    listener.on_chain_start(
        None,
        given,
        name=name,
        run_id=run_id,
        parent_run_id=manager.parent_run_id,
        tags=manager.tags,
        metadata=manager.metadata,
    )
    return AsyncCallbackManagerForChainRun(
        run_id=run_id,
        handlers=manager.handlers,
        inheritable_handlers=manager.inheritable_handlers,
        parent_run_id=manager.parent_run_id,
        tags=manager.tags,
        inheritable_tags=manager.inheritable_tags,
        metadata=manager.metadata,
        inheritable_metadata=manager.inheritable_metadata,
    )


def _for_task(
    context: TaskContext, node: NodeCall, callbacks: BaseCallbackManager | None
) -> dict[str, Any]:
    # Again, though they are inherited: that puts them behind the tag of the superstep.
    tags = [*(context.run.config.get("tags") or ()), *node.tags]
    return {
        "inheritable_callbacks": callbacks,
        "inheritable_tags": tags,
        "inheritable_metadata": context.metadata(),
    }
