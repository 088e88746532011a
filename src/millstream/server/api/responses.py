"""Assistants as models of OpenAI's Responses API: a conversation is a thread, a response a run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from starlette.responses import Response

from millstream.protocols import openai
from millstream.protocols.openai_requests import names_of
from millstream.server.api.bodies.base import Query
from millstream.server.api.bodies.frontends import ResponseBody, nothing_of
from millstream.server.api.chats import (
    FRONT_END,
    asked_by,
    of_client,
    resumed,
    run_of,
    source_from_the_beginning,
    thread_of,
)
from millstream.server.api.completions import NO_RETRY, model_of, refuse, seconds
from millstream.server.api.delegation import Delegated, as_operation, events_of
from millstream.server.api.routing import Call, operation, reply
from millstream.server.errors import ApiError
from millstream.server.frontends.source import EncodedSource, follow
from millstream.server.log.event_ids import START
from millstream.server.responses import EventStream
from millstream.server.runs.lifecycle import UNDER_WAY
from millstream.server.storage import events
from millstream.server.storage import runs as rows

if TYPE_CHECKING:
    from millstream.server.responses import Source

PREFIX: Final = "resp_"


class RetrieveQuery(Query):
    """How a response is given."""

    stream: bool = False
    starting_after: int = -1


@operation(
    "POST",
    "/openai/v1/responses",
    auth=("assistants", "read"),
    asked=nothing_of,
    streams=True,
    refuse=refuse,
)
async def respond(call: Call, body: ResponseBody) -> Response:
    """Have an assistant respond, and answer with all of it or with its events."""
    asked = asked_by(openai.read_response, body)
    found = await model_of(call, asked.model)
    thread_id = _thread(asked)
    given: dict[str, Any] = {"input": {"messages": list(asked.new)}}
    if asked.answers and thread_id is not None:
        given = await resumed(call, thread_id, asked.answers)
    instructions = [] if asked.instructions is None else [asked.instructions]
    config = of_client(body.config, client_tools=asked.tools, client_instructions=instructions)
    told = {
        "model": asked.model,
        "conversation_id": asked.conversation_id,
        "previous_id": asked.previous_id,
        "tools": sorted(names_of(asked.tools)),
    }
    metadata = {**body.metadata, FRONT_END: told}
    run = run_of(
        found,
        body,
        given,
        config=config,
        metadata=metadata,
        stream_resumable=True,
        if_not_exists="create" if asked.previous_id is None else "reject",
    )
    delegated = await Delegated.of(call, run, thread_id)
    creation = delegated.creation
    encoder = _encoder(told, _response_id(creation.thread_id, creation.run_id))
    if asked.is_streamed:
        return await creation.stream(partial(EncodedSource, encoder=encoder), NO_RETRY)
    if asked.is_in_background:
        await creation.submit()
        return reply(encoder.result())
    async with delegated.events() as said:
        await follow(said, encoder)
    return _whole(encoder)


@operation(
    "GET",
    "/openai/v1/responses/{response_id}",
    auth=("assistants", "read"),
    streams=True,
    refuse=refuse,
)
async def retrieve(call: Call, query: RetrieveQuery) -> Response:
    """Return a response, or its events after one of them: of one that goes on, until it ends."""
    run = await _run(call)
    has_ended = run["status"] not in UNDER_WAY
    if has_ended and not await call.service.db.read(events.read, str(run["run_id"]), START, 1):
        raise ApiError(404, f"Nothing is kept any more of response {call['response_id'][:100]!r}")
    encoder = _again(call, run, query.starting_after)
    source = await source_from_the_beginning(call, run)
    if query.stream:
        return EventStream(EncodedSource(source, encoder), NO_RETRY)
    return await _read_whole(source, encoder)


@operation(
    "POST",
    "/openai/v1/responses/{response_id}/cancel",
    auth=("assistants", "read"),
    asked=nothing_of,
    refuse=refuse,
)
async def cancel(call: Call) -> Response:
    """Cancel a response, and return what there is of it."""
    run = await _run(call)
    ids = {"thread_id": str(run["thread_id"]), "run_id": str(run["run_id"])}
    path = "/threads/{thread_id}/runs/{run_id}/cancel"
    own = await as_operation(call, "POST", path, **ids)
    scheduler = call.service.scheduler
    await scheduler.cancel(
        "interrupted", own.filters, thread_id=ids["thread_id"], run_ids=[ids["run_id"]]
    )
    await scheduler.stopped([ids["run_id"]])
    return await _read_whole(await source_from_the_beginning(call, run), _again(call, run))


def _thread(asked: openai.ResponseRequest) -> str | None:
    """Return the thread of a conversation; None for a response that is not kept."""
    if asked.previous_id is not None:
        return _ids(asked.previous_id)[0]
    if asked.conversation_id is not None:
        return thread_of(asked.conversation_id)
    return str(uuid4()) if asked.is_kept else None


def _response_id(thread_id: str, run_id: str) -> str:
    return f"{PREFIX}{UUID(thread_id).hex}{UUID(run_id).hex}"


def _ids(response_id: str) -> tuple[str, str]:
    """Return the thread and the run of a response."""
    text = response_id.removeprefix(PREFIX)
    try:
        if len(text) != 64 or not response_id.startswith(PREFIX):
            raise ValueError
        return str(UUID(text[:32])), str(UUID(text[32:]))
    except ValueError:
        raise ApiError(404, f"There is no response {response_id[:100]!r}") from None


async def _run(call: Call) -> Mapping[str, Any]:
    """Return the run of the response that the path names."""
    thread_id, run_id = _ids(call["response_id"])
    path = "/threads/{thread_id}/runs/{run_id}"
    own = await as_operation(call, "GET", path, thread_id=thread_id, run_id=run_id)
    found = await call.service.db.read(rows.get, run_id, thread_id, own.filters)
    if found is None:
        raise ApiError(404, f"There is no response {call['response_id'][:100]!r}")
    row: Mapping[str, Any] = found
    return row


def _again(call: Call, run: Mapping[str, Any], after: int = -1) -> openai.ResponsesEncoder:
    """Return the encoder of a response that was asked for before."""
    told = run["metadata"].get(FRONT_END)
    known = told if isinstance(told, Mapping) else {}
    return _encoder(known, call["response_id"], after=after, created=seconds(run["created_at"]))


def _encoder(told: Mapping[str, Any], response_id: str, **more: Any) -> openai.ResponsesEncoder:
    # Metadata are what clients say, of runs that were asked for elsewhere too.
    conversation, previous = told.get("conversation_id"), told.get("previous_id")
    tools = told.get("tools")
    return openai.ResponsesEncoder(
        str(told.get("model") or "millstream"),
        response_id=response_id,
        conversation_id=None if conversation is None else str(conversation),
        previous_id=None if previous is None else str(previous),
        tools=frozenset(map(str, tools)) if isinstance(tools, list) else None,
        **more,
    )


async def _read_whole(source: Source, encoder: openai.ResponsesEncoder) -> Response:
    try:
        await follow(events_of(source), encoder)
    finally:
        source.close()
    return _whole(encoder)


def _whole(encoder: openai.ResponsesEncoder) -> Response:
    result = encoder.result()
    is_failed = set(result) == {"error"}
    return reply(result, 500 if is_failed else 200, NO_RETRY)
