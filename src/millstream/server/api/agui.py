"""Assistants for clients of AG-UI."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.responses import Response

from millstream.modes.names import STEPS, VALUES
from millstream.protocols import agui
from millstream.server.api.assistants import assistant
from millstream.server.api.bodies.frontends import AgentBody, nothing_of
from millstream.server.api.chats import asked_by, of_client, run_of, state_of, thread_of
from millstream.server.api.delegation import Delegated
from millstream.server.api.routing import Call, operation
from millstream.server.frontends.events import MODES
from millstream.server.frontends.source import EncodedSource


@operation(
    "POST",
    "/ag-ui/{assistant_id}",
    auth=("assistants", "read"),
    asked=nothing_of,
    takes_names=True,
    streams=True,
)
async def run_agent(call: Call, body: AgentBody) -> Response:
    """Run an assistant, and stream its AG-UI events."""
    found = await assistant(call)
    asked = asked_by(agui.read, body)
    thread_id, options = thread_of(asked.thread_id), body.options
    run = run_of(
        found,
        options,
        await _given(call, asked, thread_id),
        config=of_client(options.config, client_tools=asked.tools, client_context=asked.context),
        stream_mode=[*MODES, VALUES, STEPS],
        stream_resumable=True,
    )
    delegated = await Delegated.of(call, run, thread_id)
    return await delegated.creation.stream(partial(EncodedSource, encoder=agui.Encoder.of(asked)))


async def _given(call: Call, asked: agui.AgentRequest, thread_id: str) -> dict[str, Any]:
    """Return the input of a run, or its command."""
    if asked.answers:
        return {"command": {"resume": dict(asked.answers)}}
    if not isinstance(asked.state, Mapping) or not asked.state:
        return {"input": {"messages": list(asked.new)}}
    known = await state_of(call, thread_id)
    # What a client has only been shown is not written again: many keys add up what they are given.
    changed = {
        key: value
        for key, value in asked.state.items()
        if key != agui.MESSAGES and (key not in known or known[key] != value)
    }
    return {"input": {**changed, "messages": list(asked.new)}}
