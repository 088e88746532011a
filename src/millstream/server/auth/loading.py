"""From the configuration to the guard."""

from __future__ import annotations

from langgraph_sdk import Auth

from millstream._base.texts import safe_str
from millstream.server.auth.api_keys import KeyGuard
from millstream.server.auth.guard import Guard
from millstream.server.auth.handlers import HandlerGuard
from millstream.server.config import ServerConfig
from millstream.server.errors import ConfigError
from millstream.server.graph_files import import_target


def load_guard(config: ServerConfig) -> Guard:
    """Return the guard that the configuration asks for; imports its handlers."""
    target = config.auth.path
    if config.api_key_file is not None:
        return KeyGuard(config.directory / config.api_key_file)
    if target is None:
        return Guard()
    try:
        auth = import_target(target, config.directory)
    except Exception as error:
        raise ConfigError(
            f"auth.path is {target!r}, which cannot be imported: "
            f"{type(error).__name__}: {safe_str(error)}"
        ) from error
    if not isinstance(auth, Auth):
        raise ConfigError(f"auth.path is {target!r}, which is no langgraph_sdk.Auth but {auth!r}")
    return HandlerGuard(auth, config.auth.cache)
