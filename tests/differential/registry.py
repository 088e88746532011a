"""How a program is written down: a builder of a graph, and the calls to make on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from differential.engines import Engine

MODES: Final = ("values", "updates", "custom", "tasks", "debug")
SAVED_MODES: Final = (*MODES, "checkpoints")
DRIVERS: Final = ("sync", "async")


@dataclass(frozen=True, slots=True)
class Call:
    """One call on the compiled graph; several of a program run in order on one graph."""

    input: Any
    config: dict[str, Any] | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    differs: str | None = None


def call(
    input: Any, config: dict[str, Any] | None = None, *, differs: str | None = None, **kwargs: Any
) -> Call:
    """Describe one call; `differs` names a deliberate difference this call must show."""
    return Call(input, config, kwargs, differs)


@dataclass(frozen=True, slots=True)
class Late:
    """An input or config that depends on what earlier calls stored; made from the graph."""

    make: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Look:
    """Facts about the thread between two calls: `(graph, driver name) -> facts`."""

    observe: Callable[[Any, str], Any]
    differs: str | None = None


def look(observe: Callable[[Any, str], Any], *, differs: str | None = None) -> Look:
    """Describe an observation made in the place of a call."""
    return Look(observe, differs)


class Matrix(Enum):
    """Which settings a program is recorded under."""

    FULL = "every mode alone and all together, v1 and v2, with and without subgraphs, invoke"
    BRIEF = "all modes together, v1 with, v2 with and without subgraphs, invoke"
    TOGETHER = "the same, but invoke in v1 alone"
    AS_WRITTEN = "stream and invoke with exactly the arguments of the call"


Build = Callable[[Engine], tuple[Any, Sequence[Call | Look]]]
Probe = Callable[[Engine, str], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A graph builder with its calls, or a probe: any code that returns facts to compare."""

    name: str
    rows: tuple[str, ...]
    build: Build | None = None
    probe: Probe | None = None
    modes: tuple[str, ...] = MODES
    matrix: Matrix = Matrix.FULL
    drivers: tuple[str, ...] = DRIVERS
    unordered: bool = False
    warns: bool = False
    logs: bool = False
    scrub: tuple[str, ...] = ()
    differs: str | None = None
    timed: str | None = None
    """Why what it shows depends on time; such a program may be repeated on a busy machine."""


PROGRAMS: dict[str, Program] = {}


def _register(entry: Program) -> None:
    if entry.name in PROGRAMS:
        raise ValueError(f"program {entry.name!r} is registered twice")
    PROGRAMS[entry.name] = entry


def program(name: str, *, rows: Sequence[str], **options: Any) -> Callable[[Build], Build]:
    """Register a function `engine -> (compiled graph, calls)`; `options` are `Program` fields."""

    def register(build: Build) -> Build:
        _register(Program(name=name, rows=tuple(rows), build=build, **options))
        return build

    return register


def probe(name: str, *, rows: Sequence[str], **options: Any) -> Callable[[Probe], Probe]:
    """Register a function `(engine, driver name) -> facts`, compared once per driver."""

    def register(run: Probe) -> Probe:
        _register(Program(name=name, rows=tuple(rows), probe=run, **options))
        return run

    return register


def attempt(action: Callable[[], Any]) -> Any:
    """Return what `action` returns, or the exception it raises, as a fact to compare."""
    try:
        return action()
    except Exception as error:
        return error


def invoke(driver: str, graph: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:
    """Run a graph to its end with one driver."""
    if driver == "sync":
        return graph.invoke(input, config, **kwargs)
    return asyncio.run(graph.ainvoke(input, config, **kwargs))


def stream(driver: str, graph: Any, input: Any, config: Any = None, **kwargs: Any) -> list[Any]:
    """Collect every item of a run with one driver."""
    if driver == "sync":
        return list(graph.stream(input, config, **kwargs))

    async def collect() -> list[Any]:
        return [item async for item in graph.astream(input, config, **kwargs)]

    return asyncio.run(collect())
