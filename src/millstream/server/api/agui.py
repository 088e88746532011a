"""Assistants for clients of AG-UI."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import Response

from millstream.modes.names import STEPS, VALUES
from millstream.protocols import agui
from millstream.protocols.agui_held import HeldMessages
from millstream.protocols.agui_messages import waiting_calls
from millstream.protocols.agui_requests import is_told
from millstream.server.api.assistants import assistant
from millstream.server.api.bodies.frontends import AgentBody, nothing_of
from millstream.server.api.chats import (
    FRONT_END,
    answers_in,
    asked_by,
    calls_told,
    given_to,
    last_run,
    messages_in,
    of_client,
    questions_of,
    run_of,
    source_from_the_beginning,
    state_of,
    stop,
    thread_and_run,
    thread_of,
    values_of,
    with_new,
)
from millstream.server.api.delegation import Delegated
from millstream.server.api.routing import Call, empty, operation, reply
from millstream.server.encoding import dumps
from millstream.server.frontends.events import MODES
from millstream.server.frontends.source import EncodedSource, Successive
from millstream.server.responses import EventStream
from millstream.server.runs.lifecycle import UNDER_WAY
from millstream.server.runs.reading import FixedSource

if TYPE_CHECKING:
    from millstream.server.responses import Source

CAPABILITIES: Final[Mapping[str, Any]] = {
    "transport": {"streaming": True, "websocket": False, "httpBinary": False},
    "state": {"snapshots": True, "deltas": True, "persistentState": True},
    "humanInTheLoop": {
        "supported": True,
        "interrupts": True,
        "approvals": True,
        "approveWithEdits": True,
    },
}
"""What every graph can do here. Of all else nothing is declared: graphs do not say it."""


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
    # What clients that come back are told of it.
    told = {"run_id": asked.run_id, "calls": dict(asked.calls)}
    run = run_of(
        found,
        options,
        await _given(call, asked, thread_id),
        config=of_client(options.config, client_tools=asked.tools, client_context=asked.context),
        metadata={**options.metadata, FRONT_END: told},
        stream_mode=[*MODES, VALUES, STEPS],
        stream_resumable=True,
    )
    delegated = await Delegated.of(call, run, thread_id)
    return await delegated.creation.stream(partial(EncodedSource, encoder=agui.Encoder.of(asked)))


@operation(
    "POST",
    "/ag-ui/{assistant_id}/connect",
    auth=("assistants", "read"),
    asked=nothing_of,
    takes_names=True,
    streams=True,
)
async def connect(call: Call, body: AgentBody) -> Response:
    """Stream what a thread has, and its runs that are under way, each from its beginning."""
    await assistant(call)
    asked = asked_by(agui.read, body)
    found, run = await thread_and_run(call, thread_of(asked.thread_id))
    if run is not None:
        return await _joined(call, asked.thread_id, found, run)
    encoder = agui.Encoder(
        asked.thread_id,
        asked.run_id,
        # Of a thread that there is not, nothing is said: what the client has stays.
        known=None if found is None else values_of(found),
        held=HeldMessages(asked.held),
    )
    return Response(_standing(encoder, found), headers=agui.HEADERS)


@operation(
    "GET",
    "/ag-ui/{assistant_id}/{thread_id}/stream",
    auth=("assistants", "read"),
    takes_names=True,
)
async def join_agent(call: Call) -> Response:
    """Stream what a thread has and its runs that are under way, as `connect`; 204 if none is."""
    await assistant(call)
    found, run = await thread_and_run(call, thread_of(call["thread_id"]))
    return empty() if run is None else await _joined(call, call["thread_id"], found, run)


@operation(
    "DELETE",
    "/ag-ui/{assistant_id}/{thread_id}/stream",
    auth=("assistants", "read"),
    status=204,
    takes_names=True,
)
async def stop_agent(call: Call) -> Response:
    """Cancel the run of a thread that is under way, and answer when it has stopped."""
    await assistant(call)
    await stop(call, thread_of(call["thread_id"]))
    return empty()


@operation(
    "GET",
    "/ag-ui/{assistant_id}/capabilities",
    auth=("assistants", "read"),
    takes_names=True,
)
async def capabilities(call: Call) -> Response:
    """Return what an assistant declares of itself, in the protocol's form."""
    found = await assistant(call)
    identity = {"name": found["name"] or found["graph_id"], "type": "millstream"}
    if found.get("description"):
        identity["description"] = found["description"]
    return reply({"identity": identity, **CAPABILITIES})


async def _given(call: Call, asked: agui.AgentRequest, thread_id: str) -> dict[str, Any]:
    """Return the input of a run, or its command."""
    sent = asked.state if isinstance(asked.state, Mapping) else {}
    has_results = any(map(is_told, asked.new))
    known = await state_of(call, thread_id) if sent or has_results else {}
    # What a client has only been shown is not written again: many keys add up what they are given.
    changed = {
        key: value
        for key, value in sent.items()
        if key != agui.MESSAGES and (key not in known or known[key] != value)
    }
    # Answers to what nobody has asked are passed by: the protocol wants the run to go on.
    if asked.answers and (answers := await answers_in(call, thread_id, asked.answers)):
        update = {"update": changed} if changed else {}
        return {"command": {"resume": answers, **update}}
    new = list(asked.new)
    if has_results:
        # A result that the client was told of is in the thread, unless its run was stopped before.
        waiting = waiting_calls(messages_in(known))
        new = [one for one in new if not is_told(one) or one["tool_call_id"] in waiting]
    return {"input": {**changed, "messages": new}}


def _standing(encoder: agui.Encoder, thread: Mapping[str, Any] | None) -> str:
    """Return what is told of a thread that no run is under way of."""
    said = encoder.begin()
    if thread is not None:
        encoder.ask(orjson.loads(dumps(questions_of(thread))))
    return said + encoder.end()


async def _joined(
    call: Call, thread_id: str, thread: Mapping[str, Any] | None, run: Mapping[str, Any]
) -> Response:
    """Return the stream of a run, after what its thread had before it, and of those after it."""
    encoder = _encoder(thread_id, thread, run)
    first = EncodedSource(await source_from_the_beginning(call, run), encoder)
    return EventStream(Successive(first, _Following(call, thread_id, run, encoder)))


class _Following:
    """Finds the run that has waited for the last one, for a client that has joined that."""

    def __init__(
        self, call: Call, thread_id: str, run: Mapping[str, Any], encoder: agui.Encoder
    ) -> None:
        self._call = call
        self._thread_id = thread_id
        self._told = {run["run_id"]}
        self._encoder = encoder

    async def __call__(self) -> Source | None:
        call, thread_id = self._call, thread_of(self._thread_id)
        while True:
            thread, run = await thread_and_run(call, thread_id)
            if run is not None or (run := await last_run(call, thread_id)) is None:
                break
            if run["status"] not in UNDER_WAY or run["run_id"] in self._told:
                break
            # It was asked for just now.
        if run is None or run["run_id"] in self._told:
            return None
        self._told.add(run["run_id"])
        # What the client has of the runs before, it keeps.
        held = self._encoder.held
        if run["status"] in UNDER_WAY:
            self._encoder = _encoder(self._thread_id, thread, run, held)
            source = await source_from_the_beginning(call, run)
            return EncodedSource(source, self._encoder)
        known = {} if thread is None else values_of(thread)
        self._encoder = agui.Encoder(self._thread_id, _run_id(run), known=known, held=held)
        return FixedSource(_standing(self._encoder, thread).encode())


def _encoder(
    thread_id: str,
    thread: Mapping[str, Any] | None,
    run: Mapping[str, Any],
    held: HeldMessages | None = None,
) -> agui.Encoder:
    """Return the encoder of a run for a client that joins it, and is told what was before."""
    known = {} if thread is None else values_of(thread)
    return agui.Encoder(
        thread_id,
        _run_id(run),
        calls=calls_told(_told_of(run)),
        known={**known, agui.MESSAGES: with_new(messages_in(known), given_to(run))},
        held=held,
    )


def _told_of(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what clients that come back have to be told of a run."""
    told = run["metadata"].get(FRONT_END)
    return told if isinstance(told, Mapping) else {}


def _run_id(run: Mapping[str, Any]) -> str:
    """Return the id of a run, as the client calls it that has asked for it."""
    return str(_told_of(run).get("run_id") or run["run_id"])
