"""What auth handlers are asked about a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import PrivateAttr

from millstream.server.api.bodies.base import Asked

_ACTIONS: Final = {
    "run.start": "create_run",
    "input.respond": "create_run",
    "input.inject": "update",
    "state.fork": "update",
}
_OF_A_RUN: Final = ("assistant_id", "metadata", "priority")


class AskedCommand(Asked):
    """A command, as handlers see it: like the request of the older API that does the same."""

    _action: str = PrivateAttr()
    _params: dict[str, Any] = PrivateAttr()

    def __init__(self, body: Any) -> None:
        """Take a command, which may be anything."""
        super().__init__()
        body = body if isinstance(body, dict) else {}
        params = body.get("params")
        self._action = _ACTIONS.get(str(body.get("method")), "read")
        self._params = params if isinstance(params, dict) else {}

    @property
    def auth(self) -> tuple[str, str]:
        """Return resource and action."""
        return "threads", self._action

    def asked(self) -> dict[str, Any]:
        """Return what a handler is given of it."""
        if self._action != "create_run":
            return {}
        metadata = self._params.get("metadata")
        return {
            **{key: self._params[key] for key in _OF_A_RUN if key in self._params},
            "metadata": dict(metadata) if isinstance(metadata, dict) else {},
            "priority": self._priority,
            "status": "pending",
            "kwargs": {key: self._params[key] for key in self._params if key not in _OF_A_RUN},
        }

    def take(self, value: Mapping[str, Any]) -> None:
        """Be what a handler has made of that."""
        if self._action == "create_run":
            self._params.update(value.get("kwargs") or {})
            if value.get("metadata"):
                self._params["metadata"] = value["metadata"]
            if value.get("priority", self._priority) != self._priority:
                self._params["priority"] = value["priority"]

    @property
    def _priority(self) -> int:
        # Handlers calculate with it. What is no number is refused when the command is carried out.
        given = self._params.get("priority")
        return given if type(given) is int else 0
