"""What using saved state asks of the outside.

The decisions are generators: they yield requests and are sent the answers. How a request waits is
the affair of `Waits`, so that sync and async methods differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from langchain_core.runnables.config import var_child_runnable_config

from millstream.drivers.context import TaskContext
from millstream.drivers.task_execution import write_result
from millstream.errors import InvalidUpdateError, ParentCommand
from millstream.saving.delta_history import modern, names_to_rebuild, with_values
from millstream.saving.recorder import PutCheckpoint, PutWrites

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

    from millstream.core.spec import GraphSpec
    from millstream.core.tasks import Task
    from millstream.drivers.run_scope import UpdateScope
    from millstream.drivers.waits import Waits

ResultT = TypeVar("ResultT")

UPDATE_RUN: Final = "LangGraphUpdateState"
"""What callback handlers are told runs while the state is updated."""


@dataclass(frozen=True, slots=True)
class LoadCheckpoint:
    """Ask for the checkpoint of a config; answered by a `CheckpointTuple` or None."""

    config: Mapping[str, Any]
    spec: GraphSpec | None = None
    """The graph whose delta channels are to have their values, None if nobody looks at them."""
    before: Mapping[str, Any] | None = None
    """Names a checkpoint: the newest one of `config` that is older is meant."""

    async def carry_out(
        self, saver: BaseCheckpointSaver[Any], waits: Waits
    ) -> CheckpointTuple | None:
        """Ask for it."""
        config, before = cast("Any", self.config), cast("Any", self.before)
        saved: CheckpointTuple | None
        try:
            if before is None:
                saved = await waits.ask_saver(saver, "get_tuple", config)
            else:
                found = await waits.list_saved(saver, config, before=before, limit=1)
                saved = next(iter(found), None)
        except NotImplementedError as error:
            if error.args or not waits.is_async:
                raise
            raise NotImplementedError(
                f"{type(saver).__name__} has no async methods (aget_tuple, alist, aput, "
                "aput_writes): call the graph's sync methods, or give it a saver that has them"
            ) from error
        if saved is None or self.spec is None:
            return saved
        return await completed(saver, saved, self.spec, waits)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Ask for the writes of a result, and of the node's conditional edges, in the task."""

    scope: UpdateScope
    task: Task
    result: Any

    async def carry_out(self, _: BaseCheckpointSaver[Any], waits: Waits) -> None:
        """Call what there is to call."""
        scope, context = self.scope, TaskContext(self.scope, self.task)
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
    """Let the code below see the task's config; there is no graph above it to send commands to."""
    token = var_child_runnable_config.set(cast("RunnableConfig", context.ambient_config))
    try:
        yield
    except ParentCommand:
        raise InvalidUpdateError("There is no parent graph") from None
    finally:
        var_child_runnable_config.reset(token)


Request: TypeAlias = LoadCheckpoint | WriteResult | PutCheckpoint | PutWrites
SaverGen: TypeAlias = Generator[Request, Any, ResultT]


async def carry_out(
    steps: SaverGen[ResultT], saver: BaseCheckpointSaver[Any], waits: Waits
) -> ResultT:
    """Answer every request and return the outcome."""
    answer: Any = None
    while True:
        try:
            request = steps.send(answer)
        except StopIteration as end:
            outcome: ResultT = end.value
            return outcome
        if isinstance(request, (PutCheckpoint, PutWrites)):
            answer = await waits.store(request, saver)
        else:
            answer = await request.carry_out(saver, waits)


async def completed(
    saver: BaseCheckpointSaver[Any], saved: CheckpointTuple, spec: GraphSpec, waits: Waits
) -> CheckpointTuple:
    """Return a loaded checkpoint in today's format, with the values of its delta channels."""
    saved = modern(saved, spec)
    names = names_to_rebuild(saved, spec)
    if not names:
        return saved
    ask = "get_delta_channel_history"
    history = await waits.ask_saver(saver, ask, config=saved.config, channels=names)
    return with_values(saved, spec, history)
