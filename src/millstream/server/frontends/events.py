"""What is in the log of a run, as the protocol events that encoders read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage
from pydantic import ValidationError

from millstream.modes.names import CUSTOM, MESSAGES, STEPS, TOOLS, UPDATES, VALUES
from millstream.server.log.repeats import LIFECYCLE
from millstream.server.runs.wire import MESSAGES_TUPLE

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent

MODES: Final = (MESSAGES_TUPLE, UPDATES, CUSTOM, TOOLS, LIFECYCLE)
"""The stream modes of runs that a front end asks for. Beside `lifecycle`, messages are told as
events of their blocks."""
_AS_THEY_ARE: Final = frozenset((VALUES, UPDATES, CUSTOM, TOOLS, LIFECYCLE, STEPS))


def protocol_events(name: str, data: Any) -> Iterator[ProtocolEvent]:
    """Yield what an event of the log tells; nothing for what is in no protocol."""
    mode, *namespace = name.split("|")
    if mode in _AS_THEY_ARE:
        yield _event(mode, namespace, data)
    elif mode == MESSAGES and isinstance(data, list) and len(data) == 2:
        said, metadata = data
        if not isinstance(said, Mapping):
            return
        if "event" in said:
            yield _event(MESSAGES, namespace, (said, metadata))
        elif said.get("type") == "ai":
            try:
                whole = AIMessage.model_validate(said)
            except ValidationError:
                # No message of a model, whatever it says of itself.
                return
            yield _event(MESSAGES, namespace, (whole, metadata))


def _event(method: str, namespace: list[str], data: Any) -> ProtocolEvent:
    params = {"namespace": namespace, "timestamp": 0, "data": data}
    return {"type": "event", "method": method, "params": params}  # type: ignore[typeddict-item]  # the same, as a dict
