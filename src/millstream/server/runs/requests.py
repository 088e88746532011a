"""What is stored of a run that is asked for: everything that is needed to carry it out, later too.

`kwargs` has the form that clients see in `run.kwargs`. The config in it has what the server adds:
who asked, and which run, thread, graph and assistant it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from millstream.server.clock import stamp
from millstream.server.errors import ApiError
from millstream.server.runs.turns import (
    LEAST_URGENT,
    MOST_URGENT,
    NOBODY,
    Settings,
    owner_of,
)

if TYPE_CHECKING:
    from millstream.server.api.bodies.runs import RunCreate
    from millstream.server.runs.multitask import Strategy

Protocol = Literal["only", "too"]
"""Whether a run tells protocol events alone, or beside those of its stream modes."""
RESERVED: Final = ("run_id", "thread_id", "graph_id", "assistant_id", "langgraph_request_id")
"""What a client cannot set in the configurable: whose state a run works on is in its address."""
PLACE: Final = ("checkpoint_id", "checkpoint_ns", "checkpoint_map")
"""Where a thread is gone on from."""
CLIENT: Final = ("client_tools", "client_context", "client_instructions")
"""What the protocols of front ends say of a client, beside what it says itself."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a run, and with which request."""

    request_id: str
    user: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that the configuration lets into the configurable."""
    trace: Mapping[str, str] = field(default_factory=dict)
    """What tells the trace that the run belongs to."""
    marks: Mapping[str, Any] = field(default_factory=dict)
    """The metadata that tell whose a run is, and a thread that is made for it."""
    sealing: Mapping[str, Any] = field(default_factory=dict)
    """The context in which what the run leaves is sealed."""

    @property
    def name(self) -> str:
        """What tells whoever asks from others; empty if nobody is asked who they are."""
        return "" if self.user is None else str(self.user.get("identity", ""))


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that is going to be stored."""

    run_id: str
    thread_id: str
    assistant_id: str
    graph_id: str
    kwargs: dict[str, Any]
    metadata: dict[str, Any]
    strategy: Strategy
    created_at: str
    start_at: str | None
    """Not before this time."""
    creates_thread: bool
    is_stateless: bool
    """It has a thread of its own."""
    priority: int | None = None
    """None if nothing is said of it."""
    owner: str = NOBODY
    settings: Settings | None = None
    """What is said of the runs of its thread, if that has none yet."""
    idempotency_key: str | None = None
    ttl: Mapping[str, Any] | None = None
    """How long a thread lives that is made for it."""
    marks: Mapping[str, Any] = field(default_factory=dict)
    """The metadata that a thread gets that is made for it."""

    @property
    def is_resumable(self) -> bool:
        """Whether its events are stored."""
        return bool(self.kwargs["resumable"])


Plan: TypeAlias = Callable[[Mapping[str, Any], datetime], NewRun]
"""Plans a run for an assistant, at a time."""


def plan_run(
    body: RunCreate,
    *,
    run_id: str,
    thread_id: str,
    assistant: Mapping[str, Any],
    now: datetime,
    asker: Asker,
    is_stateless: bool,
    idempotency_key: str | None = None,
    ttl: Mapping[str, Any] | None = None,
    protocol: Protocol | None = None,
    settings: Settings | None = None,
) -> NewRun:
    """Return what is stored of a run; `ApiError` where it contradicts itself."""
    check(body)
    delay = timedelta(seconds=body.after_seconds)
    metadata = _metadata(body, assistant, is_stateless=is_stateless)
    return NewRun(
        run_id=run_id,
        thread_id=thread_id,
        assistant_id=assistant["assistant_id"],
        graph_id=assistant["graph_id"],
        kwargs={
            "input": body.input,
            "command": _command(body),
            "config": {
                **_without_configurable(assistant["config"]),
                **_without_configurable(body.config),
                "configurable": _configurable(body, run_id, thread_id, assistant, now, asker),
                "metadata": {**(body.config.get("metadata") or {}), **metadata},
            },
            "context": {**assistant["context"], **body.context, **_settings(body.config)},
            "stream_mode": [] if protocol == "only" else list(dict.fromkeys(body.stream_mode)),
            # Only where it is so: clients see it.
            **({"protocol": protocol} if protocol else {}),
            "interrupt_before": body.interrupt_before,
            "interrupt_after": body.interrupt_after,
            "webhook": body.webhook,
            "feedback_keys": body.feedback_keys,
            "temporary": is_stateless and body.on_completion == "delete",
            "subgraphs": body.stream_subgraphs,
            "resumable": body.stream_resumable or protocol is not None,
            "checkpoint_during": body.checkpoint_during is not False,
            "durability": _durability(body),
            **({"priority": body.priority} if body.priority else {}),
            **({"trace": dict(asker.trace)} if asker.trace else {}),
            **({"sealing": dict(asker.sealing)} if asker.sealing else {}),
        },
        metadata=metadata,
        strategy=body.multitask_strategy,
        created_at=stamp(now),
        start_at=stamp(now + delay) if delay else None,
        creates_thread=is_stateless or body.if_not_exists == "create",
        is_stateless=is_stateless,
        priority=body.priority if "priority" in body.model_fields_set else None,
        owner=owner_of(asker.name),
        settings=settings,
        idempotency_key=idempotency_key,
        ttl=ttl,
        marks=asker.marks,
    )


def check(body: RunCreate) -> None:
    """Refuse what no run can be made of."""
    for key, kind in (("configurable", dict), ("metadata", dict), ("tags", list)):
        if body.config.get(key) is not None and not isinstance(body.config[key], kind):
            raise ApiError(422, f"config.{key} must be {_KINDS[kind]}")
    configurable = body.config.get("configurable") or {}
    if body.context and not {*configurable} <= {*CLIENT}:
        raise ApiError(400, "Cannot specify both configurable and context. Prefer setting context.")
    limit = body.config.get("recursion_limit")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ApiError(422, f"config.recursion_limit must be a number of at least 1, not {limit!r}")
    # An auth handler may have set it.
    if type(body.priority) is not int or not MOST_URGENT <= body.priority <= LEAST_URGENT:
        raise ApiError(
            422,
            f"priority must be a number from {MOST_URGENT} (first) to {LEAST_URGENT} (last), "
            f"not {body.priority!r}",
        )


_KINDS: Final = {dict: "an object", list: "a list"}


def _command(body: RunCreate) -> dict[str, Any] | None:
    return None if body.command is None else body.command.model_dump()


def _durability(body: RunCreate) -> str:
    if body.durability is not None:
        return body.durability
    return "exit" if body.checkpoint_during is False else "async"


def _without_configurable(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in config.items()
        if key not in ("configurable", "metadata") and value is not None
    }


def _metadata(
    body: RunCreate,
    assistant: Mapping[str, Any],
    *,
    is_stateless: bool,
) -> dict[str, Any]:
    return {
        **assistant["metadata"],
        **body.metadata,
        **({} if is_stateless else {"graph_id": assistant["graph_id"]}),
        "assistant_id": assistant["assistant_id"],
    }


def _configurable(
    body: RunCreate,
    run_id: str,
    thread_id: str,
    assistant: Mapping[str, Any],
    now: datetime,
    asker: Asker,
) -> dict[str, Any]:
    user, user_id = asker.user, asker.name
    # Where a thread is gone on from; its own id and that of the thread are in the address.
    checkpoint = {
        key: value
        for key, value in (body.checkpoint or {}).items()
        if key in PLACE and value is not None
    }
    if body.checkpoint_id is not None:
        checkpoint["checkpoint_id"] = body.checkpoint_id
    given = {
        **(assistant["config"].get("configurable") or {}),
        **_settings({"configurable": body.context}),
        **(body.config.get("configurable") or {}),
    }
    return {
        **{key: value for key, value in given.items() if not _is_reserved(key)},
        # Whoever asks may ask for somebody else; who it was is in `langgraph_auth_user_id`.
        "user_id": given.get("user_id") or user_id,
        **asker.headers,
        "langgraph_auth_user": user,
        "langgraph_auth_user_id": user_id,
        "langgraph_auth_permissions": [] if user is None else list(user.get("permissions") or ()),
        "langgraph_request_id": asker.request_id,
        "__request_start_time_ms__": int(now.timestamp() * 1000),
        "__after_seconds__": int(body.after_seconds),
        "run_id": run_id,
        "thread_id": thread_id,
        "graph_id": assistant["graph_id"],
        "assistant_id": assistant["assistant_id"],
        **checkpoint,
    }


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the configurable of a config says to the graph, for it to be in the context too.

    Both stand for the same: programs read one or the other.
    """
    configurable = config.get("configurable") or {}
    passed_by = {*PLACE, *CLIENT}
    return {
        key: value
        for key, value in configurable.items()
        if key not in passed_by and not _is_reserved(key)
    }


def _is_reserved(key: str) -> bool:
    return key in RESERVED or key.startswith(("__", "langgraph_auth"))
