"""From the configuration to the guard."""

from __future__ import annotations

from langgraph_sdk import Auth

from millstream.server.auth.api_keys import KeyGuard
from millstream.server.auth.guard import Guard
from millstream.server.auth.handlers import HandlerGuard
from millstream.server.config import ServerConfig
from millstream.server.graph_files import import_configured


def load_guard(config: ServerConfig) -> Guard:
    """Return the guard that the configuration asks for; imports its handlers."""
    target = config.auth.path
    if config.api_key_file is not None:
        return KeyGuard(config.directory / config.api_key_file)
    if target is None:
        return Guard()
    auth = import_configured(config, "auth.path", target, Auth, "langgraph_sdk.Auth")
    return HandlerGuard(auth, config.auth.cache)
