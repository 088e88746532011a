"""What a graph is called with, for what is stored of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from millstream.server.auth.user import User
from millstream.types import Command, Send


class GraphCall:
    """What a graph is called with."""

    def __init__(self, kwargs: Mapping[str, Any], config: dict[str, Any]) -> None:
        self.modes: Sequence[str] = kwargs["stream_mode"]
        self.input: Any = _input_of(kwargs)
        self.config = config
        self.options: dict[str, Any] = {
            "context": kwargs["context"] or None,
            "interrupt_before": kwargs["interrupt_before"],
            "interrupt_after": kwargs["interrupt_after"],
            "durability": kwargs["durability"],
            "subgraphs": kwargs["subgraphs"],
        }

    @classmethod
    def of(cls, kwargs: Mapping[str, Any], *, run_id: str, attempt: int) -> GraphCall:
        """Return the call for what is stored of a run."""
        stored = kwargs["config"]
        configurable = stored["configurable"]
        user = configurable.get("langgraph_auth_user")
        config = {
            **stored,
            "configurable": {
                **configurable,
                "langgraph_auth_user": None if user is None else User(user),
            },
            "metadata": {
                **stored["metadata"],
                "run_attempt": attempt,
                "run_id": run_id,
                "thread_id": configurable["thread_id"],
            },
            "run_id": run_id,
            "run_name": configurable["graph_id"],
        }
        return cls(kwargs, config)

    def suit(self, schema: Any) -> None:
        """Have the context be what the class can be made of that the graph declares for it.

        A class is made of nothing too, as its fields may have defaults. What it has no field for is
        left out: context and configurable stand for the same, and the other one's readers have it.
        """
        names = _fields_of(schema)
        if names is not None:
            given = self.options["context"] or {}
            self.options["context"] = {key: given[key] for key in given if key in names}

    @property
    def place(self) -> dict[str, Any]:
        """Return the config that points to the thread as it is now."""
        return {"configurable": {"thread_id": self.config["configurable"]["thread_id"]}}

    def go_on(self) -> None:
        """Go on from the last checkpoint, which the same run has made."""
        self.input = None
        for name in ("checkpoint_id", "checkpoint_ns", "checkpoint_map"):
            self.config["configurable"].pop(name, None)


def _fields_of(schema: Any) -> set[str] | None:
    """Return by which names the fields of a class can be given, None if it is no such class."""
    if dataclasses.is_dataclass(schema):
        return {field.name for field in dataclasses.fields(schema) if field.init}
    fields: Mapping[str, Any] | None = getattr(schema, "model_fields", None)
    if fields is None:
        return None
    return {*fields, *(field.alias for field in fields.values() if field.alias)}


def _input_of(kwargs: Mapping[str, Any]) -> Any:
    given = kwargs["command"]
    return kwargs["input"] if given is None else command_of(given)


def command_of(given: Mapping[str, Any]) -> Command[Any]:
    """Return the command that a client has sent."""
    goto = given.get("goto")
    return Command(
        update=given.get("update"),
        resume=given.get("resume"),
        goto=[_goto(one) for one in goto] if isinstance(goto, list) else _goto(goto),
    )


def _goto(given: Any) -> Any:
    if isinstance(given, Mapping):
        return Send(given["node"], given.get("input"))
    return () if given is None else given
