"""`millstream run`: run a graph and show what it emits while it runs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from millstream.cli.failures import (
    DONE,
    FAILED,
    UsageError,
    print_failure,
)
from millstream.cli.output import OutputError, ReaderGoneError
from millstream.cli.target import FORMS, load_graph
from millstream.modes.names import PUBLIC_MODES

if TYPE_CHECKING:
    from millstream.cli.render import Renderer

CONFIG_KINDS: Final[dict[str, tuple[type, str]]] = {
    "configurable": (dict, "a JSON object"),
    "metadata": (dict, "a JSON object"),
    "tags": (list, "a JSON array"),
    "callbacks": (type(None), "left out: JSON has no callbacks"),
    "max_concurrency": (int, "a whole number"),
    "recursion_limit": (int, "a whole number"),
}
"""Key of a config -> what its value has to be, and how that is called."""


def run(
    target: Annotated[str, typer.Argument(metavar="TARGET", help=f"The graph: {FORMS}.")],
    *,
    input: Annotated[
        str, typer.Option("--input", "-i", metavar="JSON|@FILE|-", help="What the graph is given.")
    ] = "{}",
    stream_mode: Annotated[
        list[str] | None,
        typer.Option(
            "--stream-mode",
            "-m",
            metavar="MODE",
            help=f"{', '.join(PUBLIC_MODES)}; repeatable.",
        ),
    ] = None,
    subgraphs: Annotated[
        bool, typer.Option("--subgraphs", help="Also show what happens in subgraphs.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help='One {"mode", "ns", "data"} object a line.')
    ] = False,
    config: Annotated[
        str, typer.Option("--config", "-c", metavar="JSON|@FILE", help="The config of the run.")
    ] = "{}",
) -> int:
    """Run the graph TARGET and show its events as they happen."""
    modes = None if stream_mode is None else _check_modes(stream_mode)
    value = _read_json(input, "--input")
    settings = _check_config(_read_json(config, "--config"))

    from millstream.cli.views import choose_view

    renderer = choose_view(modes, has_subgraphs=subgraphs, as_json=as_json)
    renderer.load(f"loading {target}")
    with renderer.shown():
        graph = load_graph(target)
    return _show_run(graph, value, _with_thread(graph, settings), renderer)


def _show_run(graph: Any, value: Any, config: dict[str, Any], renderer: Renderer) -> int:
    arguments: dict[str, Any] = {
        "stream_mode": list(renderer.modes),
        "subgraphs": renderer.has_subgraphs,
    }

    def show(item: Any) -> None:
        namespace, mode, payload = item if renderer.has_subgraphs else ((), *item)
        renderer.show(namespace, mode, payload)

    try:
        renderer.load("")
        with renderer.shown():
            if _needs_event_loop(graph):
                _consume_async(graph.astream(value, config, **arguments), show)
            else:
                with contextlib.closing(graph.stream(value, config, **arguments)) as items:
                    for item in items:
                        show(item)
        renderer.finish()
    except (KeyboardInterrupt, UsageError, ReaderGoneError, OutputError):
        raise
    except BaseException as error:
        renderer.stop()
        print_failure(error)
        return FAILED
    return DONE


def _consume_async(items: Any, show: Any) -> None:
    import asyncio

    async def consume() -> None:
        async with contextlib.aclosing(items):
            async for item in items:
                show(item)

    asyncio.run(consume())


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


def _with_thread(graph: Any, config: dict[str, Any]) -> dict[str, Any]:
    if getattr(graph, "checkpointer", None) in (None, True, False):
        return config
    configurable = config.get("configurable") or {}
    if "thread_id" in configurable:
        return config
    import uuid

    # A graph with a saver needs a thread; one run from a terminal starts a new one.
    return {**config, "configurable": {**configurable, "thread_id": str(uuid.uuid4())}}


def _check_config(config: Any) -> dict[str, Any]:
    if not isinstance(config, dict):
        raise UsageError("--config must be a JSON object, such as '{\"recursion_limit\": 50}'")
    for key, (kind, name) in CONFIG_KINDS.items():
        value = config.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise UsageError(f'"{key}" in --config must be {name}, not {value!r:.80}')
    return config


def _check_modes(modes: list[str]) -> list[str]:
    for mode in modes:
        if mode not in PUBLIC_MODES:
            raise UsageError(f"no stream mode {mode!r}; choose from {', '.join(PUBLIC_MODES)}")
    return list(dict.fromkeys(modes))


def _read_json(text: str, option: str) -> Any:
    source = option
    try:
        if text == "-":
            if sys.stdin is None:
                raise UsageError(f"{option} -: stdin is closed; give JSON or @FILE")
            source, text = "stdin", sys.stdin.read()
        elif text.startswith("@"):
            source = text[1:]
            with open(source, encoding="utf-8-sig") as file:
                text = file.read()
    except OSError as error:
        raise UsageError(f"{option} {text}: cannot read {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{option}: {source} is not UTF-8 text; give JSON in UTF-8") from error
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise UsageError(f"{source} is nested too deeply to be read as JSON") from error
    except ValueError as error:
        raise UsageError(
            f'{source} is not JSON: {error}; write it like \'{{"key": "value"}}\''
        ) from error


def _refuse(constant: str) -> None:
    # Python's parser knows them, JSON does not.
    raise ValueError(f"{constant} is not a number of JSON")
