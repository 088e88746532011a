"""One graph that is run, once or again with answers, and shown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millstream.cli.event_loop import EventLoop
from millstream.cli.render import Renderer
from millstream.cli.savers import has_saver
from millstream.modes.names import TASKS, UPDATES


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a run has stopped: at its end, unless it waits."""

    questions: tuple[Any, ...] = ()
    next: tuple[str, ...] = ()
    """Nodes that would run next."""
    is_lost: bool = False
    """It has asked, and nothing is kept of it: it cannot go on."""

    @property
    def is_waiting(self) -> bool:
        """Whether the run goes on when it is asked to."""
        return bool(self.questions or self.next)


class Session:
    """A graph, the config of its runs, where they run, and where their events go."""

    def __init__(
        self,
        graph: Any,
        config: dict[str, Any],
        loop: EventLoop,
        renderer: Renderer,
        durability: str | None,
        record: str | None = None,
    ) -> None:
        self._graph = graph
        self._config = config
        self._renderer = renderer
        self._arguments: dict[str, Any] = {
            "stream_mode": list(renderer.modes),
            "subgraphs": renderer.has_subgraphs,
        }
        if durability is not None:
            self._arguments["durability"] = durability
        self._loop = loop
        # What has been made in the loop may belong to it.
        self._is_async = loop.is_used or _needs_event_loop(graph)
        self._has_asked = False
        self.shown: set[str] = set()
        """The stream modes that have had something to show."""
        self._record = record
        self._runs = 0

    def play(self, given: Any) -> Stop:
        """Run the graph and show its events; raises what the run raises."""
        self._has_asked = False
        self._runs += 1
        arguments = self._arguments
        if self._record is not None:
            arguments = {**arguments, "record": numbered(self._record, self._runs)}
        with self._renderer.shown():
            if self._is_async:
                self._loop.run(self._consume(self._graph.astream(given, self._config, **arguments)))
            else:
                items = self._graph.stream(given, self._config, **arguments)
                with contextlib.closing(items):
                    for item in items:
                        self.show(item)
        # What follows is about the newest state, wherever the run has begun.
        configurable = self._config.get("configurable") or {}
        if "checkpoint_id" in configurable:
            rest = {key: configurable[key] for key in configurable if key != "checkpoint_id"}
            self._config = {**self._config, "configurable": rest}
        return self.look()

    async def _consume(self, items: Any) -> None:
        async with contextlib.aclosing(items):
            async for item in items:
                self.show(item)

    def look(self) -> Stop:
        """Return where the thread stands."""
        if not has_saver(self._graph):
            return Stop(is_lost=self._has_asked)
        try:
            if self._is_async:
                state = self._loop.run(self._graph.aget_state(self._config))
            else:
                state = self._graph.get_state(self._config)
            return Stop(tuple(state.interrupts), tuple(state.next))
        except Exception:
            # The run has ended well, whatever its saver says afterwards.
            return Stop()

    def show(self, item: Any) -> None:
        """Show one item of the run's stream."""
        namespace, mode, payload = item if self._renderer.has_subgraphs else ((), *item)
        if not namespace:
            self._has_asked = self._has_asked or (
                (mode == TASKS and bool(payload.get("interrupts")))
                or (mode == UPDATES and "__interrupt__" in payload)
            )
        self.shown.add(mode)
        self._renderer.show(namespace, mode, payload)


def numbered(file: str, run: int) -> Path:
    """Return the file for a run: each that answers what the one before has asked has its own."""
    path = Path(file)
    if run == 1:
        return path
    stem, dot, suffixes = path.name.partition(".")
    return path.with_name(f"{stem}-{run}{dot}{suffixes}")


def _needs_event_loop(graph: Any) -> bool:
    # Threads serve everything but functions that exist only as `async def`.
    return any(
        getattr(step, "afunc", None) is not None and getattr(step, "func", None) is None
        for step in _steps(graph)
    )


def _steps(graph: Any) -> Iterator[Any]:
    builder = getattr(graph, "builder", None)
    for branches in getattr(builder, "branches", {}).values():
        for branch in branches.values():
            yield getattr(branch, "path", None)
    for node in graph.nodes.values():
        bound = getattr(node, "bound", node)
        yield bound
        yield from getattr(bound, "steps", ())
        if hasattr(bound, "nodes"):
            yield from _steps(bound)
