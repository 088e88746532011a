"""Options that commands about graphs have in common, and what is read from them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from millstream._base.naming import FORMS
from millstream.cli.failures import UsageError
from millstream.modes.names import PUBLIC_MODES

Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help=f"The graph: {FORMS}; without a name where it is the only one."
    ),
]
WholeTraceback = Annotated[
    bool, typer.Option("--traceback", help="Show tracebacks whole, not your own code alone.")
]
Config = Annotated[
    str, typer.Option("--config", "-c", metavar="JSON|@FILE", help="The config of the run.")
]
Thread = Annotated[
    str | None, typer.Option("--thread", "-t", metavar="ID", help="The thread; else a new one.")
]
Checkpointer = Annotated[
    str | None,
    typer.Option(
        "--checkpointer",
        metavar="PATH|URL",
        help="Where threads are kept: a file, or postgresql://...; else where the graph says.",
    ),
]
StreamModes = Annotated[
    list[str] | None,
    typer.Option(
        "--stream-mode",
        "-m",
        metavar="MODE",
        help=f"{', '.join(PUBLIC_MODES)}; repeatable.",
        autocompletion=lambda: list(PUBLIC_MODES),
    ),
]
Subgraphs = Annotated[
    bool, typer.Option("--subgraphs", help="Also show what happens in subgraphs.")
]
EventsAsJson = Annotated[
    bool, typer.Option("--json", help='One {"mode", "ns", "data"} object a line.')
]

CONFIG_KINDS: Final[dict[str, tuple[type, str]]] = {
    "configurable": (dict, "a JSON object"),
    "metadata": (dict, "a JSON object"),
    "tags": (list, "a JSON array"),
    "callbacks": (type(None), "left out: JSON has no callbacks"),
    "max_concurrency": (int, "a whole number"),
    "recursion_limit": (int, "a whole number"),
    "run_name": (str, "a text"),
    "run_id": (str, "a text"),
}
"""Key of a config -> what its value has to be, and how that is called."""


def read_config(text: str, thread: str | None) -> dict[str, Any]:
    """Return the config that is given, with the thread."""
    config = read_json(text, "--config")
    if not isinstance(config, dict):
        raise UsageError("--config must be a JSON object, such as '{\"recursion_limit\": 50}'")
    for key, (kind, name) in CONFIG_KINDS.items():
        value = config.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise UsageError(f'"{key}" in --config must be {name}, not {value!r:.80}')
    if thread is None:
        return config
    configurable = config.get("configurable") or {}
    if configurable.get("thread_id", thread) != thread:
        raise UsageError(
            f"--thread names {thread!r}, and --config {configurable['thread_id']!r}; give one"
        )
    return {**config, "configurable": {**configurable, "thread_id": thread}}


def check_modes(modes: list[str]) -> list[str]:
    """Return stream modes, each once, if there are such."""
    for mode in modes:
        if mode not in PUBLIC_MODES:
            raise UsageError(f"no stream mode {mode!r}; choose from {', '.join(PUBLIC_MODES)}")
    return list(dict.fromkeys(modes))


def check_record(file: str | None) -> str | None:
    """Return the file that a run is recorded in, if it can be made."""
    if file is None:
        return None
    path = Path(file)
    # Not the path's own methods: they raise for names that no disk has.
    if os.path.exists(path):
        raise UsageError(f"--record {file}: there is such a file already; name a new one")
    if not os.path.isdir(path.parent):
        raise UsageError(f"--record {file}: there is no directory {path.parent}")
    try:
        # Nothing else tells for all kinds of disks and users whether it can be.
        path.open("xb").close()
        path.unlink()
    except OSError as error:
        raise UsageError(f"--record {file}: it cannot be made: {error.strerror}") from error
    return file


def read_json(text: str, option: str) -> Any:
    """Return the value of an option: JSON, of a file behind `@`, or `-` for stdin."""
    source = option
    try:
        if text == "-":
            if sys.stdin is None:
                raise UsageError(f"{option} -: stdin is closed; give JSON or @FILE")
            source = "stdin"
            text = sys.stdin.read()
        elif text.startswith("@"):
            source = text[1:]
            with open(source, encoding="utf-8-sig") as file:
                text = file.read()
    except OSError as error:
        raise UsageError(
            f"{option} {text}: cannot read {source}: {error.strerror or error}"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{option}: {source} is not UTF-8 text; give JSON in UTF-8") from error
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise UsageError(f"{source} is nested too deeply to be read as JSON") from error
    except ValueError as error:
        example = "'\"yes\"', with both quotes" if option == "--resume" else '\'{"key": "value"}\''
        raise UsageError(f"{source} is not JSON: {error}; write it like {example}") from error


def _refuse(constant: str) -> None:
    # Python's parser knows them, JSON does not.
    raise ValueError(f"{constant} is not a number of JSON")
