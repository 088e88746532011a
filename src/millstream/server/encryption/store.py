"""The store whose values are sealed by handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from langgraph.store.base import BaseStore, Item, Op, PutOp, Result

from millstream.server.encryption.sealer import Sealer


class SealedStore(BaseStore):
    """Another store, given sealed values; namespaces and keys stay as they are."""

    def __init__(self, store: BaseStore, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer
        self.supports_ttl = store.supports_ttl
        self.ttl_config = store.ttl_config

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations."""
        return self._opened(self._store.batch([self._sealed(op) for op in ops]))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations; the event loop goes on while handlers are at work."""
        given = await asyncio.gather(*(asyncio.to_thread(self._sealed, op) for op in ops))
        return await asyncio.to_thread(self._opened, await self._store.abatch(given))

    def _sealed(self, op: Op) -> Op:
        if not isinstance(op, PutOp) or op.value is None:
            return op
        return op._replace(value=self._sealer.seal_json("store", "value", op.value))

    def _opened(self, results: list[Result]) -> list[Result]:
        for result in results:
            for item in result if isinstance(result, list) else [result]:
                if isinstance(item, Item):
                    item.value = self._sealer.open_json("store", "value", item.value)
        return results
