"""The nodes of `@task` calls, which are in no graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from millstream.constants import PUSH, RETURN
from millstream.core.spec import NodeSpec
from millstream.drivers.function_calls import FunctionCall
from millstream.drivers.nodecall import NodeCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from millstream.core.protocol import Write
    from millstream.core.strands import Strand
    from millstream.drivers.context import TaskContext
    from millstream.drivers.executor import Executor
    from millstream.drivers.run_scope import RunScope
    from millstream.types import CachePolicy, RetryPolicy, TimeoutPolicy


class Called(Protocol):
    """What a program calls, and has its node."""

    @property
    def node(self) -> NodeSpec:
        """The node of its calls."""


class CallNode(NodeSpec):
    """What a run needs to run calls of a function; it is in no graph.

    In another process it is that of the function's declaration there.
    """

    __slots__ = ("owner",)

    owner: Called | None

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return how another process finds it: at what declares the function, if there is that."""
        if self.owner is None:
            return super().__reduce_ex__(protocol)
        return _node_of, (self.owner,)


def _node_of(owner: Called) -> NodeSpec:
    return owner.node


def call_node(
    func: Callable[..., Any],
    name: str,
    *,
    retry: tuple[RetryPolicy, ...],
    cache: CachePolicy[Any] | None,
    timeout: TimeoutPolicy | None,
    executor: Executor | None = None,
    owner: Called | None = None,
) -> NodeSpec:
    """Return what a run needs to run calls of a function, which its owner declares."""
    call: Any = FunctionCall(func)  # the same shape as that of a node's call
    if executor is not None and executor.is_inline:
        executor = None
    body = NodeCall(
        call=call,
        to_writes=_returned,
        retry=retry,
        cache=cache,
        timeout=timeout,
        executor=executor,
        runnable=None if executor is None else call,
    )
    node = CallNode(name=name, triggers=(PUSH,), read=_nothing, body=body)
    node.owner = owner
    return node


def _returned(result: Any) -> list[Write]:
    return [(RETURN, result)]


def _nothing(_state: object, _scratchpad: object) -> None:
    return None


def with_defaults(run: RunScope, node: NodeSpec) -> NodeSpec:
    """Return the node with the policies of the graph where it has none of its own."""
    body: NodeCall = node.body
    retry, cache = body.retry or run.request.retry, body.cache or run.request.cache_policy
    if retry is body.retry and cache is body.cache:
        return node
    return replace_body(node, replace(body, retry=retry, cache=cache))


def replace_body(node: NodeSpec, body: NodeCall) -> NodeSpec:
    """Return a node that is the same but for how it is called."""
    # Without an owner: it is no longer what the function's declaration says.
    return NodeSpec(name=node.name, triggers=node.triggers, read=node.read, body=body)


def late_call_error(node: NodeSpec, caller: TaskContext) -> RuntimeError:
    """Return the error for a call by code that has outlived its task."""
    return RuntimeError(
        f"Task '{node.name}' was called after '{caller.task.name}', the task that calls it, had "
        "ended: wait for threads and background tasks that call tasks"
    )


def call_too_late(
    caller: TaskContext, node: NodeSpec, _: Any, __: Strand | None = None
) -> NoReturn:
    """Refuse a call by code that has outlived the run."""
    raise late_call_error(node, caller)
