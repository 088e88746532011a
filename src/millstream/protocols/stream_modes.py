"""Stream modes on the wire: what clients of the server are shown of an item of a mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from millstream.modes.names import DEBUG, MESSAGES

TOKEN_NOISE: Final = frozenset(
    {
        "assistant_id",
        "checkpoint_ns",
        "created_by",
        "graph_id",
        "langgraph_auth_user_id",
        "langgraph_path",
        "langgraph_request_id",
        "lc_versions",
        "ls_integration",
        "ls_model_type",
        "run_attempt",
        "thread_id",
        "user_id",
    }
)
"""What is not sent with each token: it is the same for the whole run, which clients have, or
repeats what is said beside it."""


def shown(mode: str, payload: Any) -> Any:
    """Return what clients are shown of an item of a mode, tokens in the form of a tuple."""
    if mode == DEBUG:
        return debug_of(payload)
    if mode == MESSAGES:
        message, metadata = payload
        return [message, token_metadata(metadata)]
    return payload


def token_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is sent beside a token."""
    return {key: value for key, value in metadata.items() if key not in TOKEN_NOISE}


def debug_of(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what `debug` says with the checkpoints as clients name them."""
    if payload["type"] != "checkpoint":
        return payload
    inner = payload["payload"]
    return {
        **payload,
        "payload": {
            **inner,
            "tasks": [_debug_task(task) for task in inner["tasks"]],
            "checkpoint": checkpoint_of(inner["config"]),
            "parent_checkpoint": checkpoint_of(inner["parent_config"]),
        },
    }


def _debug_task(task: Mapping[str, Any]) -> Mapping[str, Any]:
    state = task.get("state")
    if not isinstance(state, Mapping) or "configurable" not in state:
        return task
    told = {key: value for key, value in task.items() if key != "state"}
    return {**told, "checkpoint": state["configurable"]}


def checkpoint_of(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return where a config points to, as clients name checkpoints."""
    if not config:
        return None
    configurable = config["configurable"]
    names = ("checkpoint_id", "thread_id", "checkpoint_ns", "checkpoint_map")
    return {name: configurable[name] for name in names if name in configurable}
