"""Reading a configuration: `langgraph.json`, `pyproject.toml`, the environment.

What a field has to be is said by its annotation in `config`; what does not fit is refused with the
file, the key and the value.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import sys
import types
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import orjson

from millstream._base.naming import NamingError, check_file, split_target
from millstream.server.config import GraphSource, ServerConfig
from millstream.server.errors import ConfigError
from millstream.server.graph_files import put_source

_BUILDING: Final = {
    "$schema", "python_version", "node_version", "base_image", "image_distro", "dockerfile_lines",
    "docker_compose", "source", "pip_config_file", "pip_installer", "api_version", "keep_pkg_tools",
    "ui_config", "prebuilds", "_INTERNAL_docker_tag", "disable_persistence",
}  # fmt: skip
"""Keys of langgraph.json that are about building images: there is nothing to build here."""
ENVIRONMENT: Final = {
    "MILLSTREAM_HOST": "host",
    "MILLSTREAM_PORT": "port",
    "MILLSTREAM_DATABASE": "database",
    "MILLSTREAM_LISTEN_DATABASE": "listen_database",
    "MILLSTREAM_REDIS": "redis",
    "MILLSTREAM_ROLE": "role",
    "MILLSTREAM_REVISION": "revision",
    "MILLSTREAM_ON_NEW_REVISION": "on_new_revision",
    "MILLSTREAM_LEASE_SECONDS": "lease_seconds",
    "MILLSTREAM_API_KEY_FILE": "api_key_file",
    "MILLSTREAM_WORKERS_PER_PROCESS": "n_jobs_per_worker",
    "MILLSTREAM_LOG_FORMAT": "log_format",
    "MILLSTREAM_LOG_LEVEL": "log_level",
    "MILLSTREAM_GRACE_SECONDS": "grace_seconds",
    "MILLSTREAM_DRAIN_SECONDS": "drain_seconds",
    "MILLSTREAM_MAX_REQUEST_BYTES": "max_request_bytes",
    "N_JOBS_PER_WORKER": "n_jobs_per_worker",
    "BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "grace_seconds",
    "BG_JOB_TIMEOUT_SECS": "run_timeout_seconds",
    "RESUMABLE_STREAM_TTL_SECONDS": "event_retention_seconds",
}
_TEXTS: Final = {
    "host", "database", "listen_database", "redis", "role", "revision", "on_new_revision",
    "api_key_file", "log_format", "log_level",
}  # fmt: skip
"""What the environment gives as it is; all else is a number."""
_LINE: Final = re.compile(
    r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*"
    r"""('[^']*'|"(?:[^"\\]|\\.)*"|[^#\n]*?)\s*(?:#.*)?"""
)


def load_config(
    path: str | Path | None = None,
    *targets: str,
    environment: Mapping[str, str] | None = None,
    needs_graphs: bool = True,
    **overrides: Any,
) -> ServerConfig:
    """Return the configuration of a file or of graphs that are named, `overrides` over all else.

    Without a path it is `langgraph.json` here, or what `pyproject.toml` has in `[tool.millstream]`;
    with graphs that are named, or where none is needed, there need not be a file. What `overrides`
    has as None is not said.
    """
    found = _find(path, needed=needs_graphs and not targets)
    values: dict[str, Any] = {"directory": Path.cwd()}
    if found is not None:
        values = {"directory": found.parent, **_read(found)}
    if targets:
        values["graphs"] = {}
        for target in targets:
            put_source(values["graphs"], *_named(target))
    if needs_graphs and not values.get("graphs"):
        raise ConfigError(f"{found}: graphs names no graph; write {{'chat': './app.py:graph'}}")
    given = os.environ if environment is None else environment
    for name, key in ENVIRONMENT.items():
        if given.get(name):
            values[key] = _number(key, given[name], name)
    values.update({key: value for key, value in overrides.items() if value is not None})
    return ServerConfig(**values)


def _find(path: str | Path | None, *, needed: bool) -> Path | None:
    if path is not None:
        found = Path(path).absolute()
        if not found.is_file():
            raise ConfigError(f"{path}: there is no such file")
        return found
    for name in ("langgraph.json", "pyproject.toml"):
        found = Path.cwd() / name
        if found.is_file() and (name == "langgraph.json" or _table(found)):
            return found
    if needed:
        raise ConfigError(
            "there is neither a langgraph.json here nor a pyproject.toml with [tool.millstream]; "
            "name a graph, as in `millstream dev app.py:graph`, or a file with --config"
        )
    return None


def _read(path: Path) -> dict[str, Any]:
    table = _table(path) if path.suffix == ".toml" else _json(path)
    hints = get_type_hints(ServerConfig)
    known = {name: hints[name] for name in hints if name not in ("directory", "files")}
    env = table.get("env")
    values: dict[str, Any] = {
        "files": (path, path.parent / env) if isinstance(env, str) else (path,)
    }
    for key, value in table.items():
        if key in _BUILDING:
            continue
        if key not in known:
            near = get_close_matches(key, known, 1)
            meant = f"; do you mean {near[0]!r}? There" if near else "; there"
            raise ConfigError(
                f"{path}: there is no key {key!r}{meant} are {', '.join(known)}",
            )
        values[key] = _as(path, key, value, known[key])
    return values


def _table(path: Path) -> dict[str, Any]:
    # The standard library has it from 3.11 on.
    tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    table: dict[str, Any] = whole.get("tool", {}).get("millstream", {})
    return table


def _json(path: Path) -> dict[str, Any]:
    try:
        whole = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{path} is no JSON: {error}") from error
    if not isinstance(whole, dict):
        raise ConfigError(f"{path} has no object, but {str(whole)[:60]!r}")
    return whole


def _as(path: Path, key: str, value: Any, hint: Any) -> Any:
    if key == "graphs":
        return _graphs(path, value)
    if key == "env":
        return _env(path, value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _part(path, key, value, hint)
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for option in options:
        if dataclasses.is_dataclass(option) and isinstance(option, type) and value is not None:
            return _part(path, key, value, option)
        if (fitting := _fitting(value, option)) is not None or (
            value is None and option is type(None)
        ):
            return fitting
    names = " or ".join(_name(option) for option in options if option is not type(None))
    raise ConfigError(f"{path}: {key} is {names}, not {value!r}")


def _fitting(value: Any, option: Any) -> Any:
    origin = get_origin(option) or option
    if origin is Mapping:
        return value if isinstance(value, dict) else None
    if origin is tuple:
        is_texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return tuple(value) if is_texts else None
    if origin is float:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return value if is_number else None
    if origin is int and isinstance(value, bool):
        return None
    return value if isinstance(value, origin) else None


def _name(option: Any) -> str:
    names = {Mapping: "an object", tuple: "a list of texts", str: "a text", bool: "true or false"}
    return names.get(get_origin(option) or option, "a number")


def _part(path: Path, key: str, value: Any, part: type[Any]) -> Any:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: {key} is an object, not {value!r}")
    hints = get_type_hints(part)
    values = {}
    for name, given in value.items():
        if name not in hints:
            raise ConfigError(f"{path}: {key} has no key {name!r}; it has {', '.join(hints)}")
        values[name] = _as(path, f"{key}.{name}", given, hints[name])
    return part(**values)


def _graphs(path: Path, value: Any) -> dict[str, GraphSource]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: graphs is an object of ids and graphs, not {value!r}")
    graphs = {}
    for id, given in value.items():
        entry = {"path": given} if isinstance(given, str) else given
        target = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(target, str) or ":" not in target:
            raise ConfigError(
                f"{path}: graphs.{id} names a graph like './app.py:graph', not {given!r}"
            )
        graphs[id] = GraphSource(target, entry.get("description"))
    return graphs


def _env(path: Path, value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        return {name: str(text) for name, text in value.items()}
    if not isinstance(value, str):
        raise ConfigError(f"{path}: env is an object or the path of a file, not {value!r}")
    try:
        return parse_env((path.parent / value).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: env names {value!r}, which is no text in UTF-8") from error
    except OSError as error:
        raise ConfigError(
            f"{path}: env names {value!r}, which cannot be read: {error.strerror}; "
            f"make {path.parent / value}, which may be empty, or take env out"
        ) from error


def parse_env(text: str) -> dict[str, str]:
    """Return what a `.env` file says."""
    found = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        name, value = match[1], match[2]
        if value[:1] == '"':
            value = re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), value[1:-1])
        elif value[:1] == "'":
            value = value[1:-1]
        found[name] = value
    return found


def _number(key: str, text: str, variable: str) -> Any:
    if key in _TEXTS:
        return text
    if not text.strip().isdecimal():
        raise ConfigError(f"{variable} in the environment is a number, not {text!r}")
    return int(text)


def _named(target: str) -> tuple[str, GraphSource]:
    """Return the id of a graph that is named by whoever starts the server, and where it is.

    One that is named by its file or module alone has that as its id until it is imported.
    """
    try:
        source, name = split_target(target)
        # What the command line names is named from here, wherever the configuration is.
        placed = str(Path(source).absolute()) if source.endswith(".py") else source
        if name is None:
            check_file(source, placed)
            return target, GraphSource(placed)
    except NamingError as error:
        raise ConfigError(str(error)) from None
    return name, GraphSource(f"{placed}:{name}")
