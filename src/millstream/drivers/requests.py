"""What using saved state asks of the outside.

The decisions are generators: they yield requests and are sent the answers. How a request waits is
the affair of `Waits`, so that sync and async methods differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

from millstream.saving.delta_history import modern, names_to_rebuild, with_values
from millstream.saving.operations import PutCheckpoint, PutWrites

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

    from millstream.core.spec import GraphSpec
    from millstream.drivers.waits import Waits

ResultT = TypeVar("ResultT")


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
                # `get_tuple` knows no `before`, and of what is listed the newest comes first.
                found = await waits.list_saved(saver, config, before=before, limit=1)
                saved = next(iter(found), None)
        except NotImplementedError as error:
            # The base class raises it bare, for each method that a saver lacks; one with a text is
            # the saver's own and says more than we could.
            if error.args or not waits.is_async:
                raise
            raise NotImplementedError(
                f"{type(saver).__name__} has no async methods (aget_tuple, alist, aput, "
                "aput_writes): call the graph's sync methods, or give it a saver that has them"
            ) from error
        if saved is None or self.spec is None:
            return saved
        return await completed(saver, saved, self.spec, waits)


class Request(Protocol):
    """What is asked of a saver, or of the code of a graph, and how."""

    async def carry_out(self, saver: BaseCheckpointSaver[Any], waits: Waits) -> Any:
        """Ask, and return the answer."""


SaverGen: TypeAlias = Generator[Request | PutCheckpoint | PutWrites, Any, ResultT]


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
    # To ask costs a query: nearly no thread has anything to rebuild.
    if not names:
        return saved
    ask = "get_delta_channel_history"
    history = await waits.ask_saver(saver, ask, config=saved.config, channels=names)
    return with_values(saved, spec, history)
