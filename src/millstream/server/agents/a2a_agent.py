"""An assistant as an agent, by the SDK of the Agent2Agent protocol, versions 1.0 and 0.3.

A context is a thread, a task one run in it: its id consists of both. Nothing else is kept.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import orjson
from a2a.server.request_handlers import RequestHandler
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.types import (
    Artifact,
    ContentTypeNotSupportedError,
    InvalidParamsError,
    ListTasksResponse,
    Message,
    Part,
    PushNotificationNotSupportedError,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskNotCancelableError,
    TaskNotFoundError,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
    UnsupportedOperationError,
)
from google.protobuf.json_format import (  # type: ignore[import-untyped]  # it has no types
    MessageToDict,
    ParseDict,
)
from google.protobuf.struct_pb2 import Value  # type: ignore[import-untyped]  # the same
from starlette.requests import Request

from millstream.server.api.bodies.runs import RunCreate
from millstream.server.api.delegation import Delegated, as_operation, error_in
from millstream.server.errors import ApiError
from millstream.server.storage import runs, threads

if TYPE_CHECKING:
    from a2a.server.context import ServerCallContext
    from a2a.types import (
        CancelTaskRequest,
        GetTaskRequest,
        ListTasksRequest,
        SendMessageRequest,
        SubscribeToTaskRequest,
    )
    from starlette.responses import Response
    from starlette.types import Message as Received

    from millstream.server.api.routing import Call

SCOPE_HEADER: Final = "langgraph-a2a-history-scope"
STATES: Final = {
    "pending": TaskState.TASK_STATE_SUBMITTED,
    "running": TaskState.TASK_STATE_WORKING,
    "success": TaskState.TASK_STATE_COMPLETED,
    "error": TaskState.TASK_STATE_FAILED,
    "timeout": TaskState.TASK_STATE_FAILED,
    "interrupted": TaskState.TASK_STATE_CANCELED,
}
"""The state of a task by the status of its run."""
ENDED: Final = frozenset(("success", "error", "timeout", "interrupted"))
ROLES: Final = {"human": Role.ROLE_USER, "ai": Role.ROLE_AGENT}
MAX_TASKS: Final = 100

MISTAKES: Final = ("Failed to validate", "Failed to parse request")
"""What the SDK begins its log with when a client has made one, which the answer tells it."""

Event = Message | Task | TaskStatusUpdateEvent | TaskArtifactUpdateEvent


def _is_no_mistake(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(MISTAKES)


for _name in ("server.routes.jsonrpc_dispatcher", "compat.v0_3.jsonrpc_adapter"):
    logging.getLogger(f"a2a.{_name}").addFilter(_is_no_mistake)


async def answer(call: Call, assistant: Mapping[str, Any], body: bytes) -> Response:
    """Answer a request for an assistant."""
    is_read = False

    async def replay() -> Received:
        nonlocal is_read
        if is_read:
            return await call.request.receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    dispatcher = JsonRpcDispatcher(Agent(call, assistant), enable_v0_3_compat=True)
    return await dispatcher.handle_requests(Request(call.request.scope, replay))


class Agent(RequestHandler):
    """What the protocol can ask of an assistant."""

    def __init__(self, call: Call, assistant: Mapping[str, Any]) -> None:
        self._call = call
        self._assistant = assistant
        self._id = str(assistant["assistant_id"])
        self._shows_all = call.request.headers.get(SCOPE_HEADER, "context") != "task"

    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Task:
        """Have the assistant run, and return the task as it then is."""
        turn = await self._turn(params)
        if params.configuration.return_immediately:
            await turn.run.creation.submit()
            return turn.task(TaskState.TASK_STATE_SUBMITTED, [turn.said])
        return turn.ended(await turn.run.result(), shows_all=self._shows_all)

    async def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        """Have the assistant run, and yield what it says meanwhile."""
        turn = await self._turn(params, stream_mode=["messages-tuple"])
        waiting = self._call.service.scheduler.results.expect(turn.run.creation.run_id)
        try:
            async with turn.run.events() as events:
                yield turn.task(TaskState.TASK_STATE_SUBMITTED, [turn.said])
                async for text in _texts(events):
                    reply = turn.message(Role.ROLE_AGENT, [Part(text=text)])
                    yield turn.update(TaskState.TASK_STATE_WORKING, reply)
            result = orjson.loads(await waiting)
        finally:
            waiting.cancel()
        for event in turn.endings(result):
            yield event

    async def on_get_task(self, params: GetTaskRequest, context: ServerCallContext) -> Task:
        """Return a task as it is now."""
        turn = await self._known(params.id)
        return _shortened(await self._task_now(turn), params)

    async def on_list_tasks(
        self, params: ListTasksRequest, context: ServerCallContext
    ) -> ListTasksResponse:
        """Return the tasks of a context, the newest first."""
        if not params.context_id:
            raise UnsupportedOperationError("Tasks are listed by their context: give a contextId")
        thread_id = _uuid(params.context_id, "contextId")
        path = "/threads/{thread_id}/runs"
        own = await self._as("GET", path, thread_id=thread_id)
        size = min(params.page_size or 50, MAX_TASKS)
        found = await self._call.service.db.read(
            runs.list_runs, thread_id, own.filters, status=None, limit=size, offset=0,
        )  # fmt: skip
        turns = [_Turn(self._id, thread_id, run["run_id"]) for run in found or ()]
        tasks = [await self._task_now(turn) for turn in turns]
        return ListTasksResponse(tasks=tasks, page_size=size, total_size=len(tasks))

    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task:
        """Cancel a task that has not ended."""
        turn = await self._known(params.id)
        run = await self._run(turn)
        if run["status"] in ENDED:
            raise TaskNotCancelableError(f"Task {params.id} has ended: {run['status']}")
        path = "/threads/{thread_id}/runs/{run_id}/cancel"
        own = await self._as("POST", path, thread_id=turn.thread_id, run_id=turn.run_id)
        scheduler = self._call.service.scheduler
        await scheduler.cancel(
            "interrupted", own.filters, thread_id=turn.thread_id, run_ids=[turn.run_id]
        )
        await scheduler.stopped([turn.run_id])
        return turn.task(TaskState.TASK_STATE_CANCELED)

    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        """Yield a task as it is, and its end."""
        turn = await self._known(params.id)
        if (await self._run(turn))["status"] in ENDED:
            raise UnsupportedOperationError(f"Task {params.id} has ended: get it instead")
        yield await self._task_now(turn)
        own = await self._as("GET", "/threads/{thread_id}/runs/{run_id}/join",
                             thread_id=turn.thread_id, run_id=turn.run_id)  # fmt: skip
        result = await self._call.service.scheduler.results.of(
            turn.run_id, turn.thread_id, own.filters
        )
        for event in turn.endings(orjson.loads(result)):
            yield event

    async def on_create_task_push_notification_config(self, params: Any, context: Any) -> Any:
        """Refuse: there are no push notifications."""
        raise PushNotificationNotSupportedError

    on_get_task_push_notification_config = on_create_task_push_notification_config
    on_list_task_push_notification_configs = on_create_task_push_notification_config
    on_delete_task_push_notification_config = on_create_task_push_notification_config

    async def on_get_extended_agent_card(self, params: Any, context: Any) -> Any:
        """Refuse: there is one card for everybody."""
        raise UnsupportedOperationError("There is no extended card")

    async def _turn(self, params: SendMessageRequest, **options: Any) -> _Turn:
        """Return what a message asks for."""
        said = params.message
        thread_id = _uuid(said.context_id, "contextId") if said.context_id else str(uuid4())
        given: dict[str, Any] = {"input": _input(said)}
        if said.task_id:
            known = await self._known(said.task_id)
            if said.context_id and known.thread_id != thread_id:
                raise InvalidParamsError("The task belongs to another context")
            thread_id = known.thread_id
            task = await self._task_now(known)
            if task.status.state != TaskState.TASK_STATE_INPUT_REQUIRED:
                raise InvalidParamsError(f"Task {said.task_id} does not wait for an answer")
            given = {"command": {"resume": _answer(said)}}
        body = RunCreate(assistant_id=self._id, if_not_exists="create", **given, **options)
        run = await _checked(Delegated.of(self._call, body, thread_id))
        turn = _Turn(self._id, thread_id, run.creation.run_id)
        turn.run, turn.said = run, turn.message(Role.ROLE_USER, said.parts, said.message_id)
        return turn

    async def _as(self, method: str, path: str, **ids: str) -> Call:
        own: Call = await _checked(as_operation(self._call, method, path, **ids))
        return own

    async def _known(self, task_id: str) -> _Turn:
        thread_id, _, run_id = task_id.partition(":")
        try:
            turn = _Turn(self._id, str(UUID(thread_id)), str(UUID(run_id)))
        except ValueError:
            raise TaskNotFoundError(f"There is no task {task_id!r}") from None
        await self._run(turn)
        return turn

    async def _run(self, turn: _Turn) -> Mapping[str, Any]:
        path = "/threads/{thread_id}/runs/{run_id}"
        own = await self._as("GET", path, thread_id=turn.thread_id, run_id=turn.run_id)
        found = await self._call.service.db.read(runs.get, turn.run_id, turn.thread_id, own.filters)
        if found is None or str(found["assistant_id"]) != self._id:
            raise TaskNotFoundError(f"There is no task {turn.task_id!r}")
        row: Mapping[str, Any] = found
        return row

    async def _task_now(self, turn: _Turn) -> Task:
        run = await self._run(turn)
        if run["status"] not in ("success", "interrupted"):
            return turn.task(STATES[run["status"]])
        own = await self._as("GET", "/threads/{thread_id}", thread_id=turn.thread_id)
        thread = await self._call.service.db.read(threads.need, turn.thread_id, filters=own.filters)
        asked = [one for many in (thread["interrupts"] or {}).values() for one in many]
        values = orjson.loads(orjson.dumps(thread["values"])) or {}
        if asked:
            return turn.ended({**values, "__interrupt__": asked}, shows_all=self._shows_all)
        if run["status"] == "interrupted":
            return turn.task(TaskState.TASK_STATE_CANCELED)
        return turn.ended(values, shows_all=self._shows_all)


class _Turn:
    """A run as a task of its context."""

    run: Delegated
    said: Message

    def __init__(self, assistant_id: str, thread_id: str, run_id: str) -> None:
        self._assistant_id = assistant_id
        self.thread_id = thread_id
        self.run_id = run_id
        self.task_id = f"{thread_id}:{run_id}"

    def message(self, role: Role, parts: Sequence[Part], message_id: str = "") -> Message:
        return Message(
            message_id=message_id or str(uuid4()),
            context_id=self.thread_id,
            task_id=self.task_id,
            role=role,
            parts=parts,
        )

    def task(
        self, state: Any, history: Sequence[Message] = (), reply: Message | None = None
    ) -> Task:
        return Task(
            id=self.task_id,
            context_id=self.thread_id,
            status=_status(state, reply),
            history=history,
        )

    def update(self, state: Any, reply: Message | None = None) -> TaskStatusUpdateEvent:
        return TaskStatusUpdateEvent(
            task_id=self.task_id, context_id=self.thread_id, status=_status(state, reply)
        )

    def ended(self, result: Any, *, shows_all: bool) -> Task:
        """Return the task whose run has this result."""
        state, parts = _outcome(result)
        is_done = state == TaskState.TASK_STATE_COMPLETED
        reply = None if is_done else self.message(Role.ROLE_AGENT, parts)
        task = self.task(state, self._history(result, shows_all=shows_all), reply)
        if is_done:
            task.artifacts.append(self._artifact(parts))
        return task

    def endings(self, result: Any) -> list[Event]:
        """Return the events that tell how the run has ended."""
        state, parts = _outcome(result)
        if state != TaskState.TASK_STATE_COMPLETED:
            return [self.update(state, self.message(Role.ROLE_AGENT, parts))]
        artifact = TaskArtifactUpdateEvent(
            task_id=self.task_id,
            context_id=self.thread_id,
            artifact=self._artifact(parts),
            append=False,
            last_chunk=True,
        )
        return [artifact, self.update(state)]

    def _artifact(self, parts: Sequence[Part]) -> Artifact:
        return Artifact(
            artifact_id=str(uuid4()),
            name="Assistant Response",
            description=f"Response from assistant {self._assistant_id}",
            parts=parts,
        )

    def _history(self, result: Any, *, shows_all: bool) -> list[Message]:
        known = result.get("messages") if isinstance(result, dict) else None
        spoken = [one for one in known or () if isinstance(one, dict) and one.get("type") in ROLES]
        if not shows_all:
            said = getattr(self, "said", None)
            ids = [one.get("id") for one in spoken]
            if said is not None and said.message_id in ids:
                spoken = spoken[ids.index(said.message_id) :]
        return [
            self.message(ROLES[one["type"]], [Part(text=_text(one))], one.get("id") or "")
            for one in spoken
            if _text(one)
        ]


def _status(state: Any, reply: Message | None) -> TaskStatus:
    status = TaskStatus(state=state, message=reply)
    status.timestamp.GetCurrentTime()
    return status


def _outcome(result: Any) -> tuple[Any, list[Part]]:
    """Return the state of a task with this result, and what the agent says."""
    if (error := error_in(result)) is not None:
        return TaskState.TASK_STATE_FAILED, [Part(text=error)]
    asked = result.get("__interrupt__") if isinstance(result, dict) else None
    if asked:
        values = [question.get("value") for question in asked]
        parts = [Part(text=value) if isinstance(value, str) else _data(value) for value in values]
        return TaskState.TASK_STATE_INPUT_REQUIRED, parts
    messages = result.get("messages") if isinstance(result, dict) else None
    last = messages[-1] if messages else None
    if isinstance(last, dict) and last.get("type") == "ai" and _text(last):
        return TaskState.TASK_STATE_COMPLETED, [Part(text=_text(last))]
    return TaskState.TASK_STATE_COMPLETED, [_data(result)]


def _data(value: Any) -> Part:
    return Part(data=ParseDict(value, Value()))


def _received(value: Value) -> Any:
    """Return what JSON a value was: protobuf knows no whole numbers."""
    return _with_ints(MessageToDict(value))


def _with_ints(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_ints(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_ints(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else ()
    return "".join(b.get("text", "") if isinstance(b, dict) else str(b) for b in blocks)


def _input(said: Message) -> dict[str, Any]:
    """Return the input that a message is: its text as the user's, its data as the state's."""
    given: dict[str, Any] = {}
    texts = []
    for part in said.parts:
        kind = part.WhichOneof("content")
        if kind == "text":
            texts.append(part.text)
        elif kind == "data":
            data = _received(part.data)
            if not isinstance(data, dict):
                raise InvalidParamsError("A data part has to be an object: keys of the state")
            given.update(data)
        else:
            raise ContentTypeNotSupportedError("Send text or data: files are not taken")
    if texts:
        content = "\n".join(texts)
        given["messages"] = [{"role": "user", "content": content, "id": said.message_id or None}]
    if not given:
        raise InvalidParamsError("The message is empty")
    return given


def _answer(said: Message) -> Any:
    """Return the answer that a message is: its text, or the data in its first part."""
    first = said.parts[0] if said.parts else Part(text="")
    if first.WhichOneof("content") == "data":
        return _received(first.data)
    return "\n".join(part.text for part in said.parts)


async def _texts(events: AsyncIterator[tuple[str, Any]]) -> AsyncIterator[str]:
    """Yield what the agent has said so far in its message, each time that it has said more."""
    said: dict[str | None, str] = {}
    async for name, data in events:
        if name != "messages" or not isinstance(data, list):
            continue
        message = data[0]
        if message.get("type") not in ("AIMessageChunk", "ai") or not _text(message):
            continue
        known = said.get(message.get("id"), "")
        said[message.get("id")] = known + _text(message)
        yield said[message.get("id")]


async def _checked(asked: Any) -> Any:
    """Await what may be refused; what is refused is an error of the protocol."""
    try:
        return await asked
    except ApiError as error:
        if error.status == 404:
            raise TaskNotFoundError(error.detail) from None
        raise InvalidParamsError(error.detail) from None


def _uuid(text: str, what: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise InvalidParamsError(f"{what} must be a UUID, not {text[:100]!r}") from None


def _shortened(task: Task, params: GetTaskRequest) -> Task:
    if params.HasField("history_length"):
        kept = list(task.history)[-params.history_length :] if params.history_length else []
        del task.history[:]
        task.history.extend(kept)
    return task
