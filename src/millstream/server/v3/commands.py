"""Commands of the protocol: what a client wants to happen in a thread, carried out.

A command that cannot be carried out is answered with an error of the protocol, and no HTTP error:
clients take those for the end of the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from pydantic import ValidationError

from millstream._base.cancellation import within
from millstream.server import state
from millstream.server.api.bodies.runs import RunCreate
from millstream.server.api.run_creation import Creation
from millstream.server.encoding import loads
from millstream.server.errors import ApiError
from millstream.server.storage import threads
from millstream.server.v3.protocol import (
    EventFilter,
    ProtocolError,
    failure,
    invalid,
    is_namespace,
    success,
)
from millstream.server.v3.tree import tree_of

if TYPE_CHECKING:
    from millstream.server.api.routing import Call

Params = Mapping[str, Any]
Result = dict[str, Any]
Handler = Callable[["Call", str, Params], Awaitable[Result]]

MALFORMED: Final = invalid("Protocol commands must include an integer id and string method.")
ENDING: Final = 10.0
"""For how many seconds an answer waits for the end of the run that has asked."""
READING: Final = ("state.get", "state.listCheckpoints", "agent.getTree")
"""The commands that change nothing."""
TOO_MANY: Final = 429
_CODES: Final = {403: "permission_denied", 501: "not_supported"}


def is_command(given: Any) -> bool:
    """Say whether something has the form of a command."""
    return (
        isinstance(given, dict)
        and type(given.get("id")) is int
        and isinstance(given.get("method"), str)
    )


async def answer(call: Call, thread_id: str, given: Any) -> dict[str, Any]:
    """Carry out a command, and return the answer to it; `ApiError` if there are too many."""
    if not is_command(given):
        id = given.get("id") if isinstance(given, dict) else None
        return failure(id if type(id) is int else None, MALFORMED)
    id, method, params = given["id"], given["method"], given.get("params") or {}
    try:
        handler = _HANDLERS.get(method)
        if handler is None:
            raise ProtocolError("unknown_command", f"Unknown protocol command: {method[:100]}")
        if not isinstance(params, dict):
            raise invalid(f"{method} takes an object as params.")
        return success(id, await handler(call, thread_id, params))
    except ProtocolError as error:
        return failure(id, error)
    except ApiError as error:
        if error.status == TOO_MANY:
            # Clients come again when it is the status of the answer.
            raise
        return failure(id, refused(error))


def refused(error: ApiError) -> ProtocolError:
    """Return what a command is told that was refused as any other request would be."""
    code = _CODES.get(error.status, "unknown_error")
    return ProtocolError(code, f"{error.status}: {error.detail}")


async def _start(call: Call, thread_id: str, params: Params) -> Result:
    if not isinstance(params.get("assistant_id"), str):
        raise invalid("run.start requires an assistant_id.")
    body = _body(
        params,
        assistant_id=params["assistant_id"],
        input=params.get("input"),
        multitask_strategy=_either(params, "multitask_strategy", "multitaskStrategy"),
        priority=params.get("priority"),
    )
    fork = _either(params, "fork_from", "forkFrom")
    if isinstance(fork, dict):
        fork = _either(fork, "checkpoint_id", "checkpointId")
    if fork is not None:
        body["checkpoint_id"] = _text(fork, "run.start", "forkFrom")
    return {"run_id": await _run(call, thread_id, body)}


async def _respond(call: Call, thread_id: str, params: Params) -> Result:
    many = params.get("responses")
    if many is None:
        many = [params]
    if not isinstance(many, list) or not many or not all(isinstance(one, dict) for one in many):
        raise invalid("input.respond requires an interrupt_id, or responses.")
    answers: dict[str, Any] = {}
    for one in many:
        interrupt_id = one.get("interrupt_id")
        if not isinstance(interrupt_id, str):
            raise invalid("input.respond requires an interrupt_id.")
        if "response" not in one:
            raise invalid("input.respond requires a response.")
        answers[interrupt_id] = one["response"]
    found = await _thread(call, thread_id)
    if found is not None and not answers.keys() <= _waiting(found):
        found = await _once_asked(call, found, answers)
    for interrupt_id in answers:
        if found is None or interrupt_id not in _waiting(found):
            raise _consumed(interrupt_id)
    assert found is not None
    command = {"resume": answers}
    command.update({key: params[key] for key in ("update", "goto") if params.get(key) is not None})
    body = _body(
        params,
        assistant_id=found["metadata"].get("assistant_id"),
        command=command,
        # Nobody answers what is being answered.
        multitask_strategy="reject",
        priority=params.get("priority"),
    )
    try:
        return {"run_id": await _run(call, thread_id, body)}
    except ApiError as error:
        if error.status == 409:
            raise _consumed(next(iter(answers))) from None
        raise


def _waiting(found: Mapping[str, Any]) -> set[str]:
    """Return the ids of the questions that a thread waits for."""
    asked = (found.get("interrupts") or {}).values()
    return {question["id"] for questions in asked for question in questions}


async def _once_asked(
    call: Call, found: dict[str, Any], answers: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return a thread when the run has ended that has asked something, if one is about to.

    Who reads the state sees a question as soon as it is stored, and the end of the run comes later.
    """
    if found["status"] != "busy":
        return found
    shown = loads(await state.read(_stateful(call, found), None, subgraphs=False))
    if not answers.keys() <= {question["id"] for question in shown["interrupts"]}:
        return found
    thread_id, service = found["thread_id"], call.service
    with suppress(asyncio.TimeoutError):
        run = await service.scheduler.running_in(thread_id)
        if run is not None:
            ended = service.scheduler.results.of(run, thread_id, call.filters)
            await within(ENDING, ended)
    return await _thread(call, thread_id)


async def _inject(call: Call, thread_id: str, params: Params) -> Result:
    if _namespace(params):
        raise ProtocolError("not_supported", "input.inject reaches the root graph only.")
    message = params.get("message")
    if not isinstance(message, dict) or not isinstance(message.get("content"), str):
        raise invalid("input.inject requires a message with a role and content.")
    if message.get("role") not in ("user", "system"):
        raise invalid("The role of an injected message is user or system.")
    found = await _thread(call, thread_id)
    if found is None or "assistant_id" not in found["metadata"]:
        raise ProtocolError("no_such_run", "No run has been made on this thread.")
    given = {"messages": [{"id": str(uuid4()), **message}]}
    body = _body(params, assistant_id=found["metadata"]["assistant_id"], input=given)
    await _run(call, thread_id, body)
    return {}


async def _get_state(call: Call, thread_id: str, params: Params) -> Result:
    keys = params.get("keys")
    if keys is not None and not is_namespace(keys):
        raise invalid("keys must be an array of strings")
    namespace = _namespace(params)
    known = await _thread(call, thread_id)
    if known is None:
        if namespace:
            raise _no_namespace(namespace)
        return {"values": {}}
    place = {"checkpoint_ns": "|".join(namespace)} if namespace else None
    try:
        found = loads(await state.read(_stateful(call, known), place, subgraphs=False))
    except ValueError:
        # The engine knows no graph there.
        raise _no_namespace(namespace) from None
    if found["checkpoint"] is None:
        if namespace:
            raise _no_namespace(namespace)
        return {"values": found["values"]}
    values = found["values"]
    if keys is not None and isinstance(values, dict):
        values = {key: values[key] for key in keys if key in values}
    checkpoint = {"id": found["checkpoint_id"]}
    if namespace:
        checkpoint["ns"] = "|".join(namespace)
    return {"values": values, "checkpoint": checkpoint}


async def _list_checkpoints(call: Call, thread_id: str, params: Params) -> Result:
    limit, before = params.get("limit", 10), params.get("before")
    if type(limit) is not int or not 1 <= limit <= 1000:
        raise invalid("limit must be an integer from 1 to 1000")
    if before is not None and not isinstance(before, str):
        raise invalid("before must be the id of a checkpoint")
    namespace = _namespace(params)
    known = await _thread(call, thread_id)
    if known is None:
        return {"checkpoints": []}
    place = {"checkpoint_ns": "|".join(namespace)} if namespace else None
    until = None if before is None else {**(place or {}), "checkpoint_id": before}
    states = loads(
        await state.history(_stateful(call, known), place, limit=limit, before=until, metadata={})
    )
    return {
        "checkpoints": [
            {
                "id": one["checkpoint_id"],
                "timestamp": one["created_at"],
                "step": one["metadata"]["step"],
                "metadata": one["metadata"],
            }
            for one in states
        ]
    }


async def _fork(call: Call, thread_id: str, params: Params) -> Result:
    checkpoint_id = _text(params.get("checkpoint_id"), "state.fork", "checkpoint_id")
    known = await _thread(call, thread_id)
    place = {"checkpoint_id": checkpoint_id}
    missing = ProtocolError("no_such_checkpoint", f"Unknown checkpoint: {checkpoint_id[:100]}")
    if known is None:
        raise missing
    found = loads(await state.read(_stateful(call, known), place, subgraphs=False))
    if found["metadata"] is None:
        raise missing
    body = _body(
        params,
        assistant_id=known["metadata"].get("assistant_id"),
        input=params.get("input"),
        checkpoint_id=checkpoint_id,
    )
    return {"run_id": await _run(call, thread_id, body), "thread_id": thread_id}


async def _get_tree(call: Call, thread_id: str, params: Params) -> Result:
    run_id = params.get("run_id")
    if run_id is not None:
        _text(run_id, "agent.getTree", "run_id")
    tree = None
    if await _thread(call, thread_id) is not None:
        service = call.service
        elsewhere = service.scheduler.elsewhere
        tree = await tree_of(service.db, service.logs, elsewhere, thread_id, run_id)
    if tree is None:
        if run_id is not None:
            raise ProtocolError("no_such_run", f"Unknown run: {run_id[:100]}")
        raise ProtocolError("no_such_run", "No active run is bound to this thread.")
    return {"tree": tree}


async def _subscribe(call: Call, thread_id: str, params: Params) -> Result:
    # Without a connection to send anything over: as the reference server answers.
    EventFilter(params)
    return {"subscription_id": str(uuid4()), "replayed_events": 0}


async def _unsubscribe(call: Call, thread_id: str, params: Params) -> Result:
    subscription_id = _text(
        params.get("subscription_id"), "subscription.unsubscribe", "subscription_id"
    )
    raise no_subscription(subscription_id)


async def _reconnect(call: Call, thread_id: str, params: Params) -> Result:
    _text(params.get("run_id"), "subscription.reconnect", "run_id")
    # Subscriptions end with their connection; events are asked for again with their last id.
    return {"restored": False}


_HANDLERS: Final[Mapping[str, Handler]] = {
    "run.start": _start,
    "input.respond": _respond,
    "input.inject": _inject,
    "state.get": _get_state,
    "state.listCheckpoints": _list_checkpoints,
    "state.fork": _fork,
    "agent.getTree": _get_tree,
    "subscription.subscribe": _subscribe,
    "subscription.unsubscribe": _unsubscribe,
    "subscription.reconnect": _reconnect,
}


def no_subscription(subscription_id: str) -> ProtocolError:
    """Return the error for a subscription that there is not."""
    return ProtocolError("no_such_subscription", f"Unknown subscription: {subscription_id[:100]}")


def _consumed(interrupt_id: str) -> ProtocolError:
    return ProtocolError(
        "no_such_interrupt", f"Unknown or already-consumed interrupt: {interrupt_id[:100]}"
    )


def _no_namespace(namespace: list[str]) -> ProtocolError:
    return ProtocolError("no_such_namespace", f"Unknown namespace: {'|'.join(namespace)[:200]}")


def _body(params: Params, **given: Any) -> dict[str, Any]:
    """Return the body of a run that a command asks for."""
    taken = {"config": params.get("config"), "metadata": params.get("metadata"), **given}
    return {
        **{key: value for key, value in taken.items() if value is not None},
        "if_not_exists": "create",
    }


async def _run(call: Call, thread_id: str, body: dict[str, Any]) -> str:
    try:
        wanted = RunCreate.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise invalid(f"{place}: {problem['msg']}") from None
    creation = Creation(call, wanted, thread_id, protocol="only")
    await creation.submit()
    return creation.run_id


async def _thread(call: Call, thread_id: str) -> dict[str, Any] | None:
    """Return a thread, None if there is none that the caller may see."""
    found: dict[str, Any] | None = await call.service.db.read(
        threads.get, thread_id, filters=call.filters
    )
    return found


def _stateful(call: Call, found: Mapping[str, Any]) -> state.Thread:
    return state.Thread(call.service, found["thread_id"], found["metadata"], call.user)


def _namespace(params: Params) -> list[str]:
    given = params.get("namespace")
    if given is not None and not is_namespace(given):
        raise invalid("namespace must be an array of strings")
    return given or []


def _either(params: Params, *names: str) -> Any:
    return next((params[name] for name in names if params.get(name) is not None), None)


def _text(given: Any, method: str, name: str) -> str:
    if not isinstance(given, str) or not given:
        raise invalid(f"{method} requires a {name}.")
    return given
