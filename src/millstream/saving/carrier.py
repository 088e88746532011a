"""Carrying out what a run has to store: one operation after the other, or several at once.

A saver of ours takes the operations of a superstep together and stores them in one transaction. It
is also told which checkpoint the run takes for the newest one, and refuses to store anything if
another run has stored a newer one since. A run from an older checkpoint begins a branch on purpose,
so nothing is said until it has stored a checkpoint of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from millstream.core.checkpoints import UNKNOWN
from millstream.saving.capabilities import stores_together
from millstream.saving.operations import PutCheckpoint, PutWrites

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.outbox.write_ahead import WriteAheadLog

Operation: TypeAlias = PutCheckpoint | PutWrites


class Carrier:
    """Gives a saver the operations of one run."""

    __slots__ = ("_follower", "_head", "ahead", "is_together", "saver")

    def __init__(
        self,
        saver: BaseCheckpointSaver[Any],
        head: Any = UNKNOWN,
        config: Any = None,
        ahead: WriteAheadLog | None = None,
    ) -> None:
        self.saver: Any = saver
        self.ahead = ahead
        """What has to be safe before anything is stored."""
        self.is_together = stores_together(saver)
        """The saver takes several operations at once."""
        self._head = head
        """The run's namespace, and which checkpoint it takes for the newest, None if for none."""
        self._follower = None
        """What stands for the run, if it says with which config it stores all it does."""
        together: Any = saver
        if self.is_together and config is not None:
            self._follower = together.follower(config)

    def carry_out(self, operations: Sequence[Operation]) -> None:
        """Store operations in this thread, in their order; all or nothing if they go together."""
        if self.ahead is not None:
            self.ahead.flush()
        if not self.is_together:
            for operation in operations:
                operation.store(self.saver)
                _keep(operation)
            return
        calls = [operation.as_call() for operation in operations]
        try:
            self.saver.put_together(calls, expects=self._head, by=self._follower)
        except Exception as error:
            self._explain(error, operations)
            raise
        self._advance(operations)

    async def acarry_out(self, operations: Sequence[Operation]) -> None:
        """Store operations in their order; all or nothing if they go together."""
        if self.ahead is not None:
            await self.ahead.aflush()
        if not self.is_together:
            for operation in operations:
                await operation.astore(self.saver)
                _keep(operation)
            return
        calls = [operation.as_call() for operation in operations]
        try:
            await self.saver.aput_together(calls, expects=self._head, by=self._follower)
        except Exception as error:
            self._explain(error, operations)
            raise
        self._advance(operations)

    def forget_config(self) -> None:
        """Look at the config of each operation: something is left out of some."""
        self._follower = None

    def _explain(self, error: Exception, operations: Sequence[Operation]) -> None:
        """Raise an error that names the value that the serializer has refused, if it has."""
        for operation in operations:
            operation.explain(error, self.saver)

    def _advance(self, operations: Sequence[Operation]) -> None:
        for operation in operations:
            if isinstance(operation, PutCheckpoint):
                ns = operation.config["configurable"].get("checkpoint_ns", "")
                self._head = (ns, operation.checkpoint["id"])
            _keep(operation)


def _keep(operation: Operation) -> None:
    if operation.promise is not None:
        operation.promise.keep()
