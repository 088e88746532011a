"""What the code of a graph does when saved state is updated: the conditional edges of a node.

No run goes on. The edges are asked as if the node had returned what the update gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from langchain_core.runnables.config import var_child_runnable_config

from millstream._base.texts import safe_repr
from millstream.drivers import tracing
from millstream.drivers.node_context import NodeContext
from millstream.drivers.run_scope import RunScope
from millstream.drivers.task_execution import write_result
from millstream.drivers.waits import BLOCKING
from millstream.errors import GraphInterrupt, InvalidUpdateError, ParentCommand

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream._base.run_trees import NodeRun
    from millstream.core.machine import RunMachine
    from millstream.core.spec import NodeSpec
    from millstream.core.tasks import Task
    from millstream.drivers.context import TaskContext
    from millstream.drivers.run_request import RunRequest
    from millstream.drivers.waits import Waits

UPDATE_RUN: Final = "LangGraphUpdateState"
"""What callback handlers are told runs while the state is updated."""


class UpdateScope(RunScope):
    """What the conditional edges of a node run in whose result an update of saved state gives."""

    __slots__ = ()

    def __init__(self, request: RunRequest, machine: RunMachine, enclosing: dict[str, str]) -> None:
        super().__init__(request, BLOCKING)
        self.call = refuse_call
        self.machine = machine
        self._enclosing = enclosing

    async def begin(self, waits: Waits, name: str, result: Any) -> NodeRun | None:
        """Say how it waits, and tell callback handlers that the update starts."""
        self.waits = waits
        # LangGraph tells of it as of a run.
        if self.is_traced:
            self.callbacks = await tracing.start_graph(self, name, result)
        return self.callbacks


def refuse_call(caller: TaskContext, node: NodeSpec, *_: Any) -> NoReturn:
    """Refuse a call of a task: there is no superstep that it could be part of."""
    raise RuntimeError(
        f"Task '{node.name}' is called by a conditional edge of node '{caller.task.name}', which "
        "update_state has asked where to go: tasks run in runs only. Decide in a plain function, "
        f"or have node '{caller.task.name}' call the task and leave in the state what it returned"
    )


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Ask for the writes of a result, and of the node's conditional edges, in the task."""

    scope: UpdateScope
    task: Task
    result: Any

    async def carry_out(self, _: BaseCheckpointSaver[Any], waits: Waits) -> None:
        """Call what there is to call."""
        scope, context = self.scope, NodeContext(self.scope, self.task)
        callbacks = await scope.begin(waits, UPDATE_RUN, self.result)
        if callbacks is not None:
            context.callbacks = scope.node_callbacks(self.task.step)
        try:
            with _ambient(context):
                await write_result(context, self.result)
        except BaseException as error:
            if callbacks is not None:
                await waits.notified(callbacks.on_chain_error(error))
            raise
        if callbacks is not None:
            await waits.notified(callbacks.on_chain_end(self.result))


@contextmanager
def _ambient(context: TaskContext) -> Iterator[None]:
    """Let the code below see the task's config; no graph above it takes commands or questions."""
    token = var_child_runnable_config.set(cast("RunnableConfig", context.ambient_config))
    try:
        yield
    except ParentCommand:
        raise InvalidUpdateError("There is no parent graph") from None
    except GraphInterrupt as asked:
        # Not passed on: where a node of another graph makes the update, it would be the node's.
        raise InvalidUpdateError(
            f"A conditional edge of node '{context.task.name}' asks {_asked(asked)}, and while the "
            "state is updated nobody is there to answer: have the node ask, or give update_state "
            "another as_node"
        ) from None
    finally:
        var_child_runnable_config.reset(token)


def _asked(interrupt: GraphInterrupt) -> str:
    """Return what is asked, as text."""
    questions = interrupt.args[0] if interrupt.args else ()
    return ", ".join(safe_repr(question.value) for question in questions) or "a question"
