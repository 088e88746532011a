"""Every reserved string of the API and of the checkpoint format, in one place.

`START`, `END` and the tags are for users. The other names are reserved because the compatible
API, saved checkpoints or well-known packages show them; no other module spells them out.
"""

from __future__ import annotations

import enum
from importlib import import_module
from typing import Any, Final
from warnings import warn

from millstream.warnings import LangGraphDeprecatedSinceV10

__all__ = (
    "CONF",
    "CONFIG_KEY_CHECKPOINTER",
    "END",
    "START",
    "TAG_HIDDEN",
    "TAG_NOSTREAM",
    "TASKS",
)

START: Final = "__start__"
"""The first, virtual node of a graph."""
END: Final = "__end__"
"""The last, virtual node of a graph."""
TAG_NOSTREAM: Final = "nostream"
"""Tag of a chat model whose tokens must not be streamed."""
TAG_HIDDEN: Final = "langsmith:hidden"
"""Tag of a node or edge that traces and streams must not show."""


class Missing(enum.Enum):
    """The type of `MISSING`, an enum so that type checkers narrow `is MISSING`."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return self.name


MISSING: Final = Missing.MISSING
"""Stands where there is no value, because `None` is one; pickles to itself."""

# Channels that carry writes of the run itself, not of the user's state.
INPUT: Final = "__input__"
INTERRUPT: Final = "__interrupt__"
RESUME: Final = "__resume__"
ERROR: Final = "__error__"
ERROR_SOURCE_NODE: Final = "__error_source_node__"
NO_WRITES: Final = "__no_writes__"
TASKS: Final = "__pregel_tasks"
RETURN: Final = "__return__"
PREVIOUS: Final = "__previous__"
SNAPSHOT_BUMPS: Final = "__snapshot_bumps__"
SIGNAL_PREFIX: Final = "branch:to:"
"""Before the name of a node: the channel that triggers it."""

ROOT: Final = "__root__"
"""The channel of a state that is one value instead of keys."""
PARENT: Final = "__parent__"
"""`Command.graph` for the closest parent graph."""
OVERWRITE: Final = "__overwrite__"
"""Marks a write that replaces a reduced value."""
INTERRUPT_ID_PLACEHOLDER: Final = "placeholder-id"
"""The id of an `Interrupt` that was made outside of a run."""

# How a task came to be: first element of a task path, or its trigger.
PUSH: Final = "__pregel_push"
PULL: Final = "__pregel_pull"

CACHE_NS_WRITES: Final = "__pregel_ns_writes"
NULL_TASK_ID: Final = "00000000-0000-0000-0000-000000000000"
"""The task id of writes that no task made, such as a resume value for the whole run."""

NS_SEP: Final = "|"
"""Separates the levels of a checkpoint namespace: `graph|subgraph`."""
NS_END: Final = ":"
"""Separates name and task id within one level: `node:task_id`."""

CONF: Final = "configurable"
CONFIG_KEY_THREAD_ID: Final = "thread_id"
CONFIG_KEY_CHECKPOINT_MAP: Final = "checkpoint_map"
CONFIG_KEY_CHECKPOINT_ID: Final = "checkpoint_id"
CONFIG_KEY_CHECKPOINT_NS: Final = "checkpoint_ns"
ENGINE_PREFIX: Final = "__pregel_"
"""What names in `configurable` begin with that are the engine's own."""
CONFIG_KEY_SEND: Final = "__pregel_send"
CONFIG_KEY_READ: Final = "__pregel_read"
CONFIG_KEY_READ_STATE: Final = "__pregel_read_state"
CONFIG_KEY_CALL: Final = "__pregel_call"
CONFIG_KEY_CHECKPOINTER: Final = "__pregel_checkpointer"
CONFIG_KEY_STREAM: Final = "__pregel_stream"
CONFIG_KEY_CACHE: Final = "__pregel_cache"
CONFIG_KEY_RESUMING: Final = "__pregel_resuming"
CONFIG_KEY_REPLAY_STATE: Final = "__pregel_replay_state"
CONFIG_KEY_TASK_ID: Final = "__pregel_task_id"
CONFIG_KEY_TASK: Final = "__pregel_task"
"""The one key millstream itself needs: the typed `TaskContext` of the running task."""
CONFIG_KEY_NODE_FINISHED: Final = "__pregel_node_finished"
CONFIG_KEY_TIMED_ATTEMPT_OBSERVER: Final = "__pregel_timed_attempt_observer"
CONFIG_KEY_SCRATCHPAD: Final = "__pregel_scratchpad"
CONFIG_KEY_RUNNER_SUBMIT: Final = "__pregel_runner_submit"
CONFIG_KEY_DURABILITY: Final = "__pregel_durability"
CONFIG_KEY_RUNTIME: Final = "__pregel_runtime"
CONFIG_KEY_RESUME_MAP: Final = "__pregel_resume_map"
CONFIG_KEY_STRICT_RESUME: Final = "__pregel_strict_resume"
CONFIG_KEY_STREAM_MESSAGES_V2: Final = "__pregel_stream_messages_v2"
CONFIG_KEY_NODE_ERROR: Final = "__pregel_node_error"

RESERVED: Final[frozenset[str]] = frozenset(
    {
        TAG_HIDDEN,
        INPUT,
        INTERRUPT,
        RESUME,
        ERROR,
        ERROR_SOURCE_NODE,
        NO_WRITES,
        SNAPSHOT_BUMPS,
        PUSH,
        PULL,
        NS_SEP,
        NS_END,
        CONF,
        CONFIG_KEY_CHECKPOINT_MAP,
        CONFIG_KEY_CHECKPOINT_ID,
        CONFIG_KEY_CHECKPOINT_NS,
        CONFIG_KEY_SEND,
        CONFIG_KEY_READ,
        CONFIG_KEY_CHECKPOINTER,
        CONFIG_KEY_STREAM,
        CONFIG_KEY_RESUMING,
        CONFIG_KEY_REPLAY_STATE,
        CONFIG_KEY_TASK_ID,
        CONFIG_KEY_TIMED_ATTEMPT_OBSERVER,
        CONFIG_KEY_RESUME_MAP,
        CONFIG_KEY_STRICT_RESUME,
        CONFIG_KEY_STREAM_MESSAGES_V2,
    }
)
"""Names that neither a node nor a state key may have."""

_MOVED_TO_TYPES: Final = ("Send", "Interrupt")


def __getattr__(name: str) -> Any:
    if name in _MOVED_TO_TYPES:
        warn(
            f"Importing {name} from langgraph.constants is deprecated. "
            f"Please use 'from langgraph.types import {name}' instead.",
            LangGraphDeprecatedSinceV10,
            stacklevel=2,
        )
        # By name: `millstream.types` is built on this module.
        return getattr(import_module("millstream.types"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
