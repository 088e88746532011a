"""What is known of calling a node: its function, what results write, where conditional edges lead.

Compiled once per node. What is done with it is in `task_execution`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableSequence

from millstream._base.runnable import RunnableCallable, missing_sync_function
from millstream._base.texts import safe_str
from millstream._types.command import JoinedUpdates
from millstream.channels.last_value import LastValue
from millstream.core.retry import decide_retry
from millstream.core.tasks import preview
from millstream.drivers import taps
from millstream.drivers.routes import unmapped_route
from millstream.errors import ParentCommand
from millstream.types import Command, Send

if TYPE_CHECKING:
    from millstream.core.protocol import Write
    from millstream.core.spec import GraphSpec
    from millstream.drivers.context import TaskContext
    from millstream.drivers.executor import Executor
    from millstream.drivers.routes import Routes
    from millstream.types import CachePolicy, RetryPolicy, TimeoutPolicy, TracePolicy

logger = logging.getLogger(__name__)

PLAIN_RESULTS = (dict, type(None))


class Call:
    """How a function or runnable is called with a value inside a task."""

    __slots__ = (
        "_afunc",
        "_ainjected",
        "_func",
        "_injected",
        "_is_graph",
        "_is_runnable",
        "asimple",
        "has_async",
        "is_traced",
        "may_block",
        "name",
        "recurse",
        "simple",
        "steps",
    )

    def __init__(self, bound: Runnable[Any, Any], name: str, *, is_path: bool = False) -> None:
        self.name = name
        self.steps: tuple[Runnable[Any, Any], ...] = ()
        """The runnables it consists of; none for a function, which is no run of its own."""
        self.is_traced = getattr(bound, "trace", True)
        """Whether the path of a conditional edge has a run."""
        self._func: Callable[..., Any] | None
        self._afunc: Callable[..., Any] | None
        self.may_block = getattr(bound, "may_block", False)
        """Whether the sync function may be called in a thread of its own."""
        # A function: called as it is, without the runnable around it, which would make a config for
        # it.
        if type(bound) is RunnableCallable and not bound.kwargs and not bound.explode_args:
            self._func, self._injected = bound.func, bound.injected
            self._afunc, self._ainjected = bound.afunc, bound.ainjected
            self._is_runnable = self._is_graph = False
            self.recurse = bound.recurse
            if bound.trace and not is_path:
                self.steps = (bound,)
        else:
            self._func, self._injected = bound.invoke, ()
            self._afunc, self._ainjected = bound.ainvoke, ()
            self._is_runnable = True
            self._is_graph = _is_graph(bound)
            self.recurse = False
            # Each step of a sequence has a run in the node's own, as in LangGraph.
            self.steps = tuple(bound.steps) if type(bound) is RunnableSequence else (bound,)
        self.has_async = self._afunc is not None
        is_simple = not self._is_runnable and not self._injected
        self.simple = self._func if is_simple else None
        """The sync function, if it is given the value and nothing else."""
        is_simple = not self._is_runnable and not self._ainjected
        self.asimple = self._afunc if is_simple else None
        """The same of the async one."""

    @property
    def functions(self) -> tuple[Callable[..., Any] | None, Callable[..., Any] | None]:
        """The sync and the async function."""
        return self._func, self._afunc

    @property
    def target(self) -> Callable[..., Any]:
        """The function behind the call."""
        func = self._func or self._afunc
        assert func is not None
        return func

    def call(self, value: Any, context: TaskContext) -> Any:
        """Call it in this thread; see `returned`."""
        if self._func is None:
            raise missing_sync_function(self.name)
        return self._begin(self._func, self._injected, value, context)

    def acall(self, value: Any, context: TaskContext) -> Awaitable[Any]:
        """Return what is to be awaited; see `returned`."""
        assert self._afunc is not None
        result: Awaitable[Any] = self._begin(self._afunc, self._ainjected, value, context)
        return result

    def config(self, context: TaskContext) -> dict[str, Any]:
        """Return what the runnable is given as its config.

        A graph of ours only wants to know which task calls it.
        """
        return context.ambient_config if self._is_graph else context.config

    def _begin(
        self, func: Callable[..., Any], names: Sequence[str], value: Any, context: TaskContext
    ) -> Any:
        if self._is_runnable:
            return func(value, context.ambient_config if self._is_graph else context.config)
        if names:
            return func(value, **{name: context.injected(name) for name in names})
        return func(value)

    def returned(self, result: Any) -> Runnable[Any, Any] | None:
        """Return the runnable that a function has returned, to be called with the same value."""
        # The types first: to ask whether a dict is a `Runnable`, an abstract class, costs more than
        # the call of a small node.
        if type(result) not in PLAIN_RESULTS and self.recurse and isinstance(result, Runnable):
            return result
        return None


def _is_graph(bound: Runnable[Any, Any]) -> bool:
    """Say whether a runnable is a graph whose `invoke` and `ainvoke` are the engine's own."""
    cls: Any = type(bound)
    return (
        hasattr(cls, "_own_invoke")
        and cls.invoke is cls._own_invoke
        and cls.ainvoke is cls._own_ainvoke
        and vars(bound).keys().isdisjoint(("invoke", "ainvoke"))
    )


async def call_in(context: TaskContext, call: Call, value: Any) -> Any:
    """Call code of a task, and what it returns if that is a runnable."""
    waits = context.run.waits
    result = await waits.call(call, value, context)
    if type(result) is not dict and (runnable := call.returned(result)) is not None:
        return await waits.invoke(runnable, value, context.config)
    return result


@dataclass(slots=True, eq=False)
class BranchCall:
    """A conditional edge: what its path function is given, and what its answer writes."""

    call: Call
    read: Callable[[dict[str, Any]], Any]
    """Turn the state, the task's own writes included, into the path's input."""
    ends: Mapping[Any, str] | None
    is_passthrough: bool
    """Keys of the node's raw result that are not in the state are given to the path too."""
    routes: Routes
    source: str
    """The node after which it is, or START."""
    place: int = 0
    """Which step after the node's own it is, as tags of runs number them."""
    run_name: str | None = None
    """The name of the path's own run, None for a function without a name."""

    def input(self, context: TaskContext, result: Any) -> Any:
        """Return what the path function is called with."""
        task = context.task
        return self.given(preview(task.machine, task.writes), result)

    def given(self, state: dict[str, Any], result: Any) -> Any:
        """Return the same, given the state with the task's own writes."""
        value = self.read(state)
        if self.is_passthrough and isinstance(value, dict) and isinstance(result, dict):
            return {**result, **value}
        return value

    def writes(self, answer: Any) -> list[Write]:
        """Return the writes that send the run where the path function said."""
        # One or several, of names or Sends.
        answers = answer if isinstance(answer, (list, tuple)) else (answer,)
        targets = answers if self.ends is None else self._mapped(answers, self.ends)
        return self.routes.writes(targets, self.source, self.call.name)

    def _mapped(self, answers: Iterable[Any], ends: Mapping[Any, str]) -> list[Any]:
        targets: list[Any] = []
        answer = None
        try:
            for answer in answers:
                targets.append(answer if isinstance(answer, Send) else ends[answer])
        except (KeyError, TypeError):  # not there, or not to be looked up
            raise unmapped_route(answer, ends, self.source, self.call.name) from None
        return targets


@dataclass(slots=True, eq=False)
class NodeCall:
    """Everything a driver needs to run one node."""

    call: Call
    to_writes: Callable[[Any], list[Write]]
    """Turn the node's result into writes; raises for results a node must not return."""
    branches: Sequence[BranchCall] = ()
    retry: Sequence[RetryPolicy] = ()
    timeout: TimeoutPolicy | None = None
    cache: CachePolicy[Any] | None = None
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] | None = None
    is_traced: bool = True
    trace_policy: TracePolicy | None = None
    first_writes: Callable[[Sequence[Write]], list[Write]] | None = None
    """What becomes of the writes if they are those of a thread's first input."""
    outputs: tuple[Any, ...] = ()
    """What tells apart `to_writes` that make different writes of one result; for caches."""
    executor: Executor | None = None
    """Where the function runs, None for where the driver is."""
    runnable: Runnable[Any, Any] | None = None
    """What an executor is given of it."""
    outputs_digest: str | None = field(init=False, default=None)
    """What caches make of `outputs`, edges and branches."""
    has_policies: bool = field(init=False)
    """Whether there is more to running the node than one attempt without a limit."""
    is_direct: bool = field(init=False)
    """Whether there is only one attempt, and nothing to keep of it."""

    def __post_init__(self) -> None:
        self.has_policies = bool(self.retry) or self.timeout is not None
        self.is_direct = not self.has_policies and self.cache is None and self.executor is None

    @property
    def is_relay(self) -> bool:
        """Say whether the node does nothing but write its input, once and for all."""
        return not (self.is_traced or self.retry or self.cache or self.first_writes)

    def own_writes(self, context: TaskContext, result: Any) -> Sequence[Write]:
        """Return what the node's result writes, without its conditional edges."""
        writes = self.to_writes(result)
        # The superstep 0 of a thread takes its first input in, and with it the first values of
        # keys.
        if self.first_writes is not None and context.run.machine.step <= 0:
            return self.first_writes(writes)
        return writes

    def take_command(self, context: TaskContext, signal: ParentCommand) -> bool:
        """Apply a command that a nested graph sent to this task's graph; say whether it was one.

        A command for "the parent" is first given the namespace of the task it is for, so that it
        passes graphs in between unharmed.
        """
        if context.run.tool_taps:
            taps.emit_command(context, signal)
        command: Command[Any] = signal.args[0]
        if command.graph == Command.PARENT:
            parent = context.parent
            signal.args = (replace(command, graph="" if parent is None else parent.ns),)
            return False
        if command.graph not in (context.ns, context.task.name):
            return False
        # What the node wrote so far is replaced by what the command says.
        context.task.writes.clear()
        signal.args = (replace(command, graph=None),)
        return True

    def commanded(self, context: TaskContext, signal: ParentCommand) -> Command[Any]:
        """Return the command that was taken, as if the node had returned it."""
        return _one_value_each(signal.args[0], context.task.machine.spec)

    def retry_delay(self, context: TaskContext, error: BaseException) -> float | None:
        """Return the seconds before the next attempt, None when this was the last."""
        if not self.retry:
            return None
        delay = decide_retry(self.retry, error, context.attempt, context.run.clock.draw)
        if delay is not None:
            logger.info(
                "Retrying task %s after %.2f seconds (attempt %d) after %s %s",
                context.task.name,
                delay,
                context.attempt,
                type(error).__name__,
                safe_str(error),
                exc_info=error,
                extra={"checkpoint_ns": context.ns},
            )
        return delay


def _one_value_each(command: Command[Any], spec: GraphSpec) -> Command[Any]:
    """Return a command without what others that joined it write to the same keys after it."""
    if not isinstance(command.update, JoinedUpdates):
        return command
    # Of several writes to a key that takes one, the last; to others all, in order.
    update = [(key, value) for key, value in command.update if not _takes_one(spec, key)]
    update += {k: value for k, value in command.update if _takes_one(spec, k)}.items()
    return replace(command, update=update)


def _takes_one(spec: GraphSpec, key: str) -> bool:
    channel = spec.channels.get(key)
    return isinstance(channel, LastValue) or getattr(channel, "guard", False)


def sync_timeout_error(name: str) -> ValueError:
    """Return the error for a timeout where nothing can be cancelled."""
    return ValueError(
        "Node timeouts are only supported for async nodes because sync Python execution "
        f"cannot be safely cancelled in-process. Node '{name}' is sync."
    )
