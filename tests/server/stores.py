"""Savers and stores of the user's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

happened: list[str] = []
saver = InMemorySaver()


@asynccontextmanager
async def open_saver() -> AsyncIterator[InMemorySaver]:
    happened.append("saver opened")
    yield saver
    happened.append("saver closed")


async def make_store() -> InMemoryStore:
    store = InMemoryStore()
    await store.aput(("a",), "k", {"is": "here"})
    return store


def make_nothing() -> int:
    return 5


def fail() -> None:
    raise RuntimeError("no database")
