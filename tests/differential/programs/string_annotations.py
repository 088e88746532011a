"""The same injection, with every annotation a string."""

from __future__ import annotations

from typing import Any, Optional

from langchain_core.runnables import RunnableConfig
from langgraph.store.base import BaseStore
from langgraph.types import StreamWriter

from differential.kit import Log, wire
from differential.registry import Matrix, call, program


@program("given.string_annotations", rows=("4.1:annotations",))
def string_annotations(e: Any) -> Any:
    def config(state: Log, config: RunnableConfig) -> Any:
        return {"log": [type(config).__name__]}

    def writer(state: Log, writer: StreamWriter) -> Any:
        writer("written")
        return {"log": ["writer"]}

    def store(state: Log, *, store: BaseStore) -> Any:
        return {"log": [type(store).__name__]}

    def optional(state: Log, store: Optional[BaseStore] = None) -> Any:
        return {"log": [type(store).__name__]}

    graph = wire(
        e,
        Log,
        "START config writer store optional END",
        config=config,
        writer=writer,
        store=store,
        optional=optional,
    )
    return graph.compile(store=e.store()), [call({"x": 1})]


@program(
    "given.optional_string_annotations",
    rows=("4.1:annotations",),
    matrix=Matrix.AS_WRITTEN,
    differs="string-annotations",
)
def optional_string_annotations(e: Any) -> Any:
    def config(state: Log, config: RunnableConfig | None) -> Any:
        return {"log": [type(config).__name__]}

    def writer(state: Log, writer: StreamWriter | None) -> Any:
        return {"log": [callable(writer)]}

    def store(state: Log, store: BaseStore | None) -> Any:
        return {"log": [type(store).__name__]}

    actions = {"config": config, "writer": writer, "store": store}
    builder = wire(e, Log, *(f"{name} END" for name in actions), **actions)
    builder.set_conditional_entry_point(lambda s: list(actions)[s["x"]])
    return builder.compile(store=e.store()), [
        call({"x": n}, stream_mode=["updates", "custom"]) for n in range(3)
    ]
