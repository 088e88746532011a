"""Assistants for pages that are made with the AI SDK: what `DefaultChatTransport` asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import uuid4

import orjson
from starlette.responses import Response

from millstream.protocols import aisdk
from millstream.server.api.assistants import assistant
from millstream.server.api.bodies.frontends import ChatBody, nothing_of
from millstream.server.api.chats import (
    FRONT_END,
    as_on_page,
    asked_by,
    calls_told,
    given_to,
    messages_in,
    messages_of,
    questions_of,
    run_of,
    source_from_the_beginning,
    stop,
    thread_and_run,
    thread_of,
    values_of,
    with_new,
    without_after,
)
from millstream.server.api.delegation import Delegated
from millstream.server.api.routing import Call, empty, operation, reply
from millstream.server.encoding import dumps
from millstream.server.frontends.source import EncodedSource
from millstream.server.responses import EventStream

HEADERS: Final = {
    name: value for name, value in aisdk.HEADERS.items() if name.startswith("x-vercel-")
}
"""What a client looks for; the others every stream has."""


@operation(
    "POST",
    "/ai-sdk/{assistant_id}",
    auth=("assistants", "read"),
    asked=nothing_of,
    takes_names=True,
    streams=True,
)
async def chat(call: Call, body: ChatBody) -> Response:
    """Answer the last message of a chat, as a UI message stream."""
    found = await assistant(call)
    asked = asked_by(aisdk.read, body)
    thread_id = str(uuid4()) if asked.chat_id is None else thread_of(asked.chat_id)
    told = {"message_id": asked.message_id, "version": body.version, "calls": dict(asked.calls)}
    given = await _given(call, asked, thread_id, is_whole=body.history == "page")
    metadata = {**body.metadata, FRONT_END: told}
    run = run_of(found, body, given, metadata=metadata, stream_resumable=True)
    delegated = await Delegated.of(call, run, thread_id)
    creation = delegated.creation
    encoder = _encoder(creation.run_id, told, denied=asked.denied)
    return await creation.stream(partial(EncodedSource, encoder=encoder), HEADERS)


@operation(
    "GET",
    "/ai-sdk/{assistant_id}/{chat_id}/stream",
    auth=("assistants", "read"),
    takes_names=True,
)
async def go_on(call: Call) -> Response:
    """Stream the message that is being said in a chat, from its beginning; 204 if none is."""
    await assistant(call)
    found, run = await thread_and_run(call, thread_of(call["chat_id"]))
    told = None if run is None else run["metadata"].get(FRONT_END)
    if run is None or not isinstance(told, Mapping):
        return empty()
    _, said = _told_before(found, run)
    source = await source_from_the_beginning(call, run)
    encoder = _encoder(str(run["run_id"]), told, said=said)
    return EventStream(EncodedSource(source, encoder), HEADERS)


@operation(
    "GET",
    "/ai-sdk/{assistant_id}/{chat_id}/messages",
    auth=("assistants", "read"),
    takes_names=True,
)
async def messages(call: Call) -> Response:
    """Return the messages of a chat, with which a page begins that is loaded anew.

    The one that is being said is not among them: the page gets it as a stream.
    """
    await assistant(call)
    found, run = await thread_and_run(call, thread_of(call["chat_id"]))
    if run is not None:
        return reply(_told_before(found, run)[0])
    if found is None:
        return reply([])
    known: Sequence[Any] = messages_in(values_of(found))
    return reply(aisdk.ui_messages(known, orjson.loads(dumps(questions_of(found)))))


@operation(
    "DELETE",
    "/ai-sdk/{assistant_id}/{chat_id}/stream",
    auth=("assistants", "read"),
    status=204,
    takes_names=True,
)
async def stop_chat(call: Call) -> Response:
    """Stop the message that is being said in a chat, and answer when it has stopped."""
    await assistant(call)
    await stop(call, thread_of(call["chat_id"]))
    return empty()


async def _given(
    call: Call, asked: aisdk.ChatRequest, thread_id: str, *, is_whole: bool
) -> dict[str, Any]:
    """Return the input of a run, or its command; of a page that `is_whole`, what it lacks goes."""
    if asked.answers:
        return {"command": {"resume": dict(asked.answers)}}
    new = list(asked.new)
    has_answers = any(message["role"] == "tool" for message in new)
    if asked.replaces is None and not has_answers and not is_whole:
        return {"input": {"messages": new}}
    known = await messages_of(call, thread_id)
    if is_whole and not has_answers:
        return {"input": {"messages": as_on_page(asked.history, len(new), known)}}
    answered = {one.get("tool_call_id") for one in known if one.get("type") == "tool"}
    new = [one for one in new if one.get("tool_call_id") not in answered or one["role"] != "tool"]
    gone = [] if asked.replaces is None else without_after(asked.replaces, known)
    return {"input": {"messages": [*gone, *new]}}


def _told_before(
    thread: Mapping[str, Any] | None, run: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], Sequence[Mapping[str, Any]]]:
    """Return the messages of a page before the one that a run says, and what that has already.

    What a run says is in the state when it has ended. If it goes on with a message, the page gets
    all of that as a stream: it reads one that is resumed into an empty message.
    """
    known = () if thread is None else messages_in(values_of(thread))
    found = aisdk.ui_messages(with_new(known, given_to(run)))
    told = run["metadata"].get(FRONT_END)
    goes_on = isinstance(told, Mapping) and told.get("message_id")
    if not goes_on or not found or found[-1]["role"] != "assistant":
        return found, ()
    return found[:-1], found[-1]["parts"]


def _encoder(run_id: str, told: Mapping[str, Any], **more: Any) -> aisdk.Encoder:
    # A page that is loaded anew finds the message by its id: so it is the same. Metadata are what
    # clients say, of runs that were asked for elsewhere too.
    return aisdk.Encoder(
        str(told.get("message_id") or run_id),
        version=7 if told.get("version") == 7 else 6,
        calls=calls_told(told),
        **more,
    )
