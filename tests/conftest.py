"""Fixtures shared by the whole suite: behaviour tests run once per driver."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


class SyncDriver:
    """Run a compiled graph through `invoke` and `stream`."""

    name = "sync"

    def invoke(self, graph: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:
        """Return the result of one run."""
        return graph.invoke(input, config, **kwargs)

    def stream(self, graph: Any, input: Any, config: Any = None, **kwargs: Any) -> list[Any]:
        """Return every item of one run."""
        return list(graph.stream(input, config, **kwargs))


class AsyncDriver:
    """Run a compiled graph through `ainvoke` and `astream`, each call in its own event loop."""

    name = "async"

    def invoke(self, graph: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:
        """Return the result of one run."""

        async def call() -> Any:
            return await graph.ainvoke(input, config, **kwargs)

        return asyncio.run(call())

    def stream(self, graph: Any, input: Any, config: Any = None, **kwargs: Any) -> list[Any]:
        """Return every item of one run."""

        async def call() -> list[Any]:
            return [item async for item in graph.astream(input, config, **kwargs)]

        return asyncio.run(call())


@pytest.fixture(params=[SyncDriver, AsyncDriver], ids=["sync", "async"])
def driver(request: pytest.FixtureRequest) -> SyncDriver | AsyncDriver:
    """Give the test one driver; the test runs once with each."""
    return request.param()
