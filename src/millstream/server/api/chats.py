"""What the endpoints of front ends share: threads of chats, and their runs that are under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID, uuid5

import orjson

from millstream.protocols.contents import attribute
from millstream.server.api.bodies.runs import JoinQuery, RunCreate
from millstream.server.api.delegation import as_operation
from millstream.server.api.runs import source_of
from millstream.server.encoding import dumps
from millstream.server.errors import ApiError
from millstream.server.frontends.events import MODES
from millstream.server.log.event_ids import START
from millstream.server.storage import runs as rows
from millstream.server.storage import threads

if TYPE_CHECKING:
    from millstream.server.api.bodies.base import Body
    from millstream.server.api.bodies.frontends import RunOptions
    from millstream.server.api.routing import Call
    from millstream.server.responses import Source

T = TypeVar("T")

CHATS: Final = UUID("5c6f3f6e-64b5-4b5e-9d58-7f4f0b6c2a11")
"""The namespace of the threads of chats whose ids are no UUIDs."""
FRONT_END: Final = "front_end"
"""The key of a run's metadata that says what its front end has to be told again."""
MAX_ID: Final = 255


def thread_of(chat_id: str) -> str:
    """Return the thread of a chat: its id, if that is a UUID, else one that is made of it."""
    try:
        return str(UUID(chat_id))
    except ValueError:
        if len(chat_id) > MAX_ID:
            raise ApiError(422, f"The id of a chat has at most {MAX_ID} characters") from None
        return str(uuid5(CHATS, chat_id))


def of_client(config: Mapping[str, Any], **given: Sequence[Any]) -> dict[str, Any]:
    """Return a config in whose configurable is what a client says of itself."""
    told = {key: list(value) for key, value in given.items() if value}
    known = config.get("configurable") or {}
    if not told or not isinstance(known, Mapping):
        # One that is no object is refused where the run is made.
        return dict(config)
    return {**config, "configurable": {**known, **told}}


def asked_by(read: Callable[[Any], T], body: Body) -> T:
    """Return what a request asks for, as the library of its protocol reads it."""
    try:
        return read(body.model_dump(by_alias=True, exclude_unset=True))
    except ValueError as error:
        raise ApiError(422, str(error)) from None


def run_of(
    assistant: Mapping[str, Any], options: RunOptions, given: Mapping[str, Any], **more: Any
) -> RunCreate:
    """Return the run that a front end asks for: given an input or a command, and `more`."""
    usual = {
        "config": options.config,
        "metadata": options.metadata,
        "stream_mode": list(MODES),
        "if_not_exists": "create",
    }
    return RunCreate(
        assistant_id=str(assistant["assistant_id"]),
        context=options.context,
        multitask_strategy=options.multitask_strategy,
        on_disconnect=options.on_disconnect,
        stream_subgraphs=True,
        **{**usual, **given, **more},
    )


async def thread_now(call: Call, thread_id: str) -> Mapping[str, Any] | None:
    """Return a thread; None if there is none that the caller may see."""
    own = await as_operation(call, "GET", "/threads/{thread_id}", thread_id=thread_id)
    found: Mapping[str, Any] | None = await call.service.db.read(
        threads.get, thread_id, filters=own.filters
    )
    return found


async def state_of(call: Call, thread_id: str) -> Mapping[str, Any]:
    """Return the state of a thread, as JSON; nothing if there is no such thread."""
    found = await thread_now(call, thread_id)
    return {} if found is None else values_of(found)


def values_of(thread: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the state in the row of a thread, as JSON."""
    values = orjson.loads(dumps(thread["values"]))
    return values if isinstance(values, Mapping) else {}


async def messages_of(call: Call, thread_id: str) -> Sequence[Mapping[str, Any]]:
    """Return the messages in the state of a thread, as JSON; none if there is no such thread."""
    return messages_in(await state_of(call, thread_id))


def messages_in(values: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the messages in a state."""
    known = values.get("messages")
    return [one for one in known if isinstance(one, Mapping)] if isinstance(known, list) else []


def given_to(run: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the messages in the input of a run."""
    given = run["kwargs"].get("input")
    return messages_in(given) if isinstance(given, Mapping) else ()


def calls_told(told: Mapping[str, Any]) -> dict[str, str]:
    """Return the calls, id -> name, in what a front end has to be told again of a run.

    It is metadata, which clients may have said too.
    """
    calls = told.get("calls")
    return {str(id): str(name) for id, name in calls.items()} if isinstance(calls, dict) else {}


def without_after(message_id: str, known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what removes the messages of a thread that come after one of them."""
    ids = [one.get("id") for one in known]
    if message_id not in ids:
        return []
    after = ids[ids.index(message_id) + 1 :]
    return [_removed(id) for id in after if id is not None]


def as_on_page(
    page: Sequence[Mapping[str, Any]], new: int, known: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return what makes the messages of a thread those of a page, the last of which are new.

    What the assistant has said has other ids on a page: so what the user has said is compared. From
    where that differs, the messages of the thread go. Those of the page come that are new, and
    those before them that the thread has not, or no longer.
    """
    asked = [place for place, one in enumerate(page) if one["role"] == "user"]
    had = [place for place, one in enumerate(known) if one.get("type") == "human"]
    first_new = len(page) - new
    same = 0
    for there, here in zip(asked, had, strict=False):
        if there >= first_new or page[there].get("id") != known[here].get("id"):
            break
        same += 1
    comes = page[min([first_new, *asked[same:]]) :]
    ids = {one.get("id") for one in comes}
    gone = [one.get("id") for one in known[had[same] :]] if same < len(had) else []
    return [*(_removed(id) for id in gone if id is not None and id not in ids), *comes]


def _removed(id: str) -> dict[str, Any]:
    return {"type": "remove", "id": id, "content": ""}


def with_new(
    known: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return messages with those that a run was given: some change others, or remove them."""
    ids = {one["id"] for one in new if one.get("id") is not None}
    added = [one for one in new if one.get("type") != "remove"]
    return [*(one for one in known if one.get("id") not in ids), *added]


async def run_under_way(call: Call, thread_id: str) -> Mapping[str, Any] | None:
    """Return the run of a thread that goes on, or is the next to begin; None if there is none."""
    for status in ("running", "pending"):
        found = await _first_run(call, thread_id, status=status, is_oldest_first=True)
        if found is not None:
            return found
    return None


async def last_run(call: Call, thread_id: str) -> Mapping[str, Any] | None:
    """Return the run of a thread that was asked for last; None if there is none."""
    return await _first_run(call, thread_id, status=None)


async def _first_run(call: Call, thread_id: str, **which: Any) -> Mapping[str, Any] | None:
    path = "/threads/{thread_id}/runs"
    own = await as_operation(call, "GET", path, thread_id=thread_id)
    found: list[dict[str, Any]] | None = await call.service.db.read(
        rows.list_runs, thread_id, own.filters, limit=1, offset=0, **which
    )
    return found[0] if found else None


async def answers_in(call: Call, thread_id: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers to what a thread asks; all, while a run is under way that may ask it."""
    if await run_under_way(call, thread_id) is not None:
        return dict(answers)
    found = await thread_now(call, thread_id)
    asked = {str(attribute(one, "id")) for one in questions_of(found or {})}
    return {id: answer for id, answer in answers.items() if id in asked}


async def resumed(call: Call, thread_id: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the command that answers what a thread asks; raises `ApiError` if it asks nothing."""
    known = await answers_in(call, thread_id, answers)
    if not known:
        raise ApiError(422, f"The thread {thread_id} asks none of {sorted(answers)}")
    return {"command": {"resume": known}}


def questions_of(thread: Mapping[str, Any]) -> list[Any]:
    """Return what a thread asks."""
    return [one for many in (thread.get("interrupts") or {}).values() for one in many]


async def thread_and_run(
    call: Call, thread_id: str
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Return a thread as it was before its run that is under way, and that run."""
    run = await run_under_way(call, thread_id)
    while True:
        found = await thread_now(call, thread_id)
        again = await run_under_way(call, thread_id)
        if (run and run["run_id"]) == (again and again["run_id"]):
            return found, again
        # It has ended meanwhile, and the thread may have what it has said.
        run = again


async def source_from_the_beginning(call: Call, run: Mapping[str, Any]) -> Source:
    """Return all that a run has said, and what it says from now on."""
    ids = {"thread_id": str(run["thread_id"]), "run_id": str(run["run_id"])}
    path = "/threads/{thread_id}/runs/{run_id}/stream"
    own = await as_operation(call, "GET", path, **ids)
    return await source_of(own, JoinQuery(), ids["thread_id"], START)


async def stop(call: Call, thread_id: str) -> None:
    """Cancel the run of a thread that is under way, and wait until it has stopped.

    Runs that wait behind it begin then: they are what the client has said since.
    """
    run = await run_under_way(call, thread_id)
    if run is None:
        return
    run_id = str(run["run_id"])
    path = "/threads/{thread_id}/runs/{run_id}/cancel"
    own = await as_operation(call, "POST", path, thread_id=thread_id, run_id=run_id)
    scheduler = call.service.scheduler
    if await scheduler.cancel("interrupted", own.filters, thread_id=thread_id, run_ids=[run_id]):
        await scheduler.stopped([run_id])
