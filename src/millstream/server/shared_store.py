"""The store as all requests and runs share it: what one asks wrongly fails nobody else.

Stores of the ecosystem carry out together what is asked for at the same time, and when one thing
cannot be done, all of it fails. So what has failed is asked for once more, alone. Texts of
PostgreSQL cannot have NUL, and SQLite does not find it: it is written as two other characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any, Final, TypeVar

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchOp,
)

from millstream.server.storage.nul import hidden, shown

T = TypeVar("T")

MAX_KEY_IN_POSTGRES: Final = 2600
"""How many bytes a namespace and a key may have: what an index of PostgreSQL takes, and no more."""


class SharedStore(BaseStore):
    """Another store, which carries out alone what fails together."""

    def __init__(self, store: BaseStore, max_key: int | None = None) -> None:
        """Take a store, whose namespaces and keys have so many bytes at most."""
        self._store = store
        self._max_key = max_key
        self.supports_ttl = store.supports_ttl
        self.ttl_config = store.ttl_config

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations."""
        return _answers(self._store.batch([self._given(op) for op in ops]))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations; one that comes alone together with those of others."""
        given = [self._given(op) for op in ops]
        if len(given) == 1:
            try:
                return _answers([await self._together(given[0])])
            except Exception:
                # It may have been another one that could not be done.
                return _answers(await self._store.abatch(given))
        return _answers(await self._store.abatch(given))

    async def _together(self, op: Op) -> Result:
        store = self._store
        if isinstance(op, GetOp):
            return await store.aget(op.namespace, op.key, refresh_ttl=op.refresh_ttl)
        if isinstance(op, SearchOp):
            return await store.asearch(
                op.namespace_prefix,
                query=op.query,
                filter=op.filter,
                limit=op.limit,
                offset=op.offset,
                refresh_ttl=op.refresh_ttl,
            )
        if isinstance(op, PutOp):
            if op.value is None:
                await store.adelete(op.namespace, op.key)
            else:
                await store.aput(op.namespace, op.key, op.value, op.index, ttl=op.ttl)
            return None
        return (await store.abatch([op]))[0]

    def _given(self, op: Op) -> Op:
        """Return an operation as the store is given it."""
        if isinstance(op, PutOp):
            if self._max_key is not None:
                _check_size(op, self._max_key)
            place = _written(op.namespace), _written(op.key)
            return op._replace(namespace=place[0], key=place[1], value=_written(op.value))
        if isinstance(op, GetOp):
            return op._replace(namespace=_written(op.namespace), key=_written(op.key))
        if isinstance(op, SearchOp):
            prefix = _written(op.namespace_prefix)
            return op._replace(namespace_prefix=prefix, filter=_written(op.filter))
        if isinstance(op, ListNamespacesOp) and op.match_conditions:
            conditions = tuple(
                MatchCondition(each.match_type, _written(each.path)) for each in op.match_conditions
            )
            return op._replace(match_conditions=conditions)
        return op


def _check_size(op: PutOp, most: int) -> None:
    size = len(".".join((*op.namespace, op.key)).encode(errors="surrogatepass"))
    if size > most:
        raise ValueError(
            f"the namespace and the key of a value have {size:,} bytes, and in PostgreSQL at most "
            f"{most:,}: keep what is long in the value"
        )


def _written(value: T) -> T:
    """Return a value, whose texts have no NUL."""
    changed: T = _changed(value, hidden)
    return changed


def _answers(results: Sequence[Any]) -> list[Result]:
    """Return what a store has answered, with the texts that were hidden."""
    return [
        # Of items, or of namespaces.
        [_read(each) for each in result] if isinstance(result, list) else _read(result)
        for result in results
    ]


def _read(result: Any) -> Any:
    if not isinstance(result, Item):
        return _changed(result, shown)
    # Others who have asked for the same at the same time are given the same.
    item = copy(result)
    item.namespace = _changed(item.namespace, shown)
    item.key = shown(item.key)
    item.value = _changed(item.value, shown)
    return item


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_changed(key, change): _changed(each, change) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_changed(each, change) for each in value)
    return value
