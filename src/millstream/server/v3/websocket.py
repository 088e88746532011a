"""A WebSocket of a thread: commands one way, their answers and events the other.

Each subscription has a reader of its own, and one task sends what they have, in the order of the
thread and once: a client that is told of the end of a run looks for nothing before it any more. One
that reads slowly is waited for; what comes meanwhile stays where it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from starlette.websockets import WebSocketDisconnect, WebSocketState

from millstream.server.api.asking import ask
from millstream.server.api.routing import parse_json
from millstream.server.encoding import dumps
from millstream.server.errors import ApiError
from millstream.server.log.signal import Signal
from millstream.server.v3.commands import (
    MALFORMED,
    answer,
    is_command,
    no_subscription,
    refused,
)
from millstream.server.v3.protocol import ProtocolError, failure, seq_of, success, text_of
from millstream.server.v3.source import ProtocolSource, open_source

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from millstream.server.api.routing import Call, Operation

logger = logging.getLogger("millstream.server")

MAX_SUBSCRIPTIONS: Final = 64
"""How many subscriptions a connection may have: a filter has room for any number of channels."""
TOGETHER: Final = 0.03
"""Seconds in which subscriptions follow one another, when a client comes back with all of its."""
GOING_AWAY: Final = 1012
"""The server stops: the client comes back."""


class Connection:
    """One WebSocket, from its handshake to its end."""

    def __init__(self, call: Call, commands: Operation, websocket: WebSocket) -> None:
        """Serve the thread of a call; commands are asked about as the requests they could be."""
        self._call = call
        self._commands = commands
        self._thread_id = call["thread_id"]
        self._websocket = websocket
        self._subscriptions: dict[str, _Subscription] = {}
        self._signal = Signal()
        self._is_filled = False
        """Whether nobody has more to send than what is taken."""

    async def serve(self) -> None:
        """Answer commands and send events until the client goes away, or the server stops."""
        await self._websocket.accept()
        sender = asyncio.get_running_loop().create_task(self._send())
        try:
            while True:
                received = await self._websocket.receive()
                if received["type"] == "websocket.disconnect":
                    return
                await self._take(received.get("text"))
        except (WebSocketDisconnect, OSError):
            return
        finally:
            for subscription in self._subscriptions.values():
                subscription.source.close()
            sender.cancel()
            await asyncio.wait([sender])

    async def _take(self, text: str | None) -> None:
        """Carry out what a client has sent."""
        try:
            # Binary frames are no commands.
            given = parse_json((text or "").encode("utf-8", "replace"))
        except ApiError:
            await self._answer(failure(None, MALFORMED))
            return
        method = given["method"] if is_command(given) else ""
        own = _OWN.get(method)
        limits = self._call.service.limits
        try:
            limits.count(self._call.request, self._call.user)
            if own is not None:
                await own(self, given["id"], given.get("params"))
            else:
                call = await self._permitted(given)
                await self._answer(await answer(call, self._thread_id, given))
        except ProtocolError as error:
            await self._answer(failure(given["id"], error))
        except ApiError as error:
            await self._answer(failure(given["id"] if is_command(given) else None, refused(error)))
        except (WebSocketDisconnect, OSError):
            raise
        except Exception:
            logger.exception("the command %s failed", method)
            fault = ProtocolError("unknown_error", "500: Internal Server Error")
            await self._answer(failure(given["id"], fault))

    async def _permitted(self, given: Any) -> Call:
        """Return the call that a command is, if the caller may."""
        call = replace(self._call, operation=self._commands)
        if not call.service.guard.is_open:
            try:
                await ask(call, None, given)
            except ApiError as error:
                raise _refusal(error) from None
        return call

    async def _subscribe(self, id: int, params: Any) -> None:
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise ProtocolError(
                "not_supported", f"A connection has at most {MAX_SUBSCRIPTIONS} subscriptions."
            )
        source = await self._open(params)
        subscription_id = str(uuid4())
        told = {"subscription_id": subscription_id, "replayed_events": 0}
        try:
            await self._answer(success(id, told))
        except BaseException:
            source.close()
            raise
        self._put(subscription_id, source, params)

    async def _unsubscribe(self, id: int, params: Any) -> None:
        subscription_id = _text_of(params, "subscription_id")
        subscription = self._subscriptions.pop(subscription_id, None)
        if subscription is None:
            raise no_subscription(subscription_id)
        subscription.source.close()
        await self._answer(success(id, {}))

    async def _reconnect(self, id: int, params: Any) -> None:
        """Send again what came after an event, to subscriptions of this connection."""
        given = params if isinstance(params, dict) else {}
        asked, last = given.get("subscriptions"), given.get("last_event_id")
        known = [name for name in asked if isinstance(name, str)] if isinstance(asked, list) else []
        is_restored = bool(known) and all(name in self._subscriptions for name in known)
        if is_restored:
            for name in known:
                before = self._subscriptions[name]
                source = await self._open(before.params, last if isinstance(last, str) else None)
                before.source.close()
                self._put(name, source, before.params)
        await self._answer(success(id, {"restored": is_restored}))

    async def _open(self, params: Any, last_event_id: str | None = None) -> ProtocolSource:
        try:
            return await open_source(
                self._call, self._thread_id, params, last_event_id, self._signal
            )
        except ApiError as error:
            raise _refusal(error) from None

    def _put(self, subscription_id: str, source: ProtocolSource, params: Any) -> None:
        """Have what a source reads sent from now on."""
        self._subscriptions[subscription_id] = _Subscription(source, params)
        self._is_filled = False
        self._signal.ring()

    async def _send(self) -> None:
        """Send what the subscriptions have, until the server stops."""
        websocket = self._websocket
        try:
            while (frame := await self._next()) is not None:
                await websocket.send_text(text_of(frame))
            if websocket.application_state is WebSocketState.CONNECTED:
                await websocket.close(GOING_AWAY)
        except (WebSocketDisconnect, RuntimeError, OSError):
            # The client has gone, which the reader of commands is told too.
            return
        except Exception:
            logger.exception("the events of thread %s cannot be sent", self._thread_id)
            await websocket.close(1011)

    async def _next(self) -> bytes | None:
        """Wait for the event that comes next in the thread; None if there will be none."""
        while True:
            self._signal.clear()
            await self._fill()
            subscriptions = self._subscriptions.values()
            having = [each for each in subscriptions if each.unsent]
            if having:
                frame = min((each.unsent[0] for each in having), key=seq_of)
                for each in having:
                    if each.unsent[0] == frame:
                        each.unsent.popleft()
                        self._is_filled = self._is_filled and bool(each.unsent)
                return frame
            if any(each.source.is_over for each in subscriptions):
                return None
            await self._signal.wait()
            self._is_filled = False

    async def _fill(self) -> None:
        """Take events, until nobody has one that comes before those that are taken.

        Who had nothing is asked again after anybody had something: it may have been said meanwhile.
        """
        while not self._is_filled:
            self._is_filled = True
            for each in [*self._subscriptions.values()]:
                if each.unsent:
                    continue
                each.unsent.extend(await each.source.take_frames())
                if each.unsent:
                    self._is_filled = False
                    if each.is_new:
                        # What is kept for the others comes in between.
                        await asyncio.sleep(TOGETHER)
                each.is_new = False

    async def _answer(self, told: Mapping[str, Any]) -> None:
        await self._websocket.send_text(dumps(told).decode())


_OWN: Final = {
    "subscription.subscribe": Connection._subscribe,
    "subscription.unsubscribe": Connection._unsubscribe,
    "subscription.reconnect": Connection._reconnect,
}
"""The commands that are about the connection."""


class _Subscription:
    """What a client has asked for: where it is read, and what has been read and is not sent yet."""

    __slots__ = ("is_new", "params", "source", "unsent")

    def __init__(self, source: ProtocolSource, params: Any) -> None:
        self.source = source
        self.params = params
        self.is_new = True
        self.unsent: deque[bytes] = deque()


def _refusal(error: ApiError) -> ProtocolError:
    return ProtocolError("permission_denied", f"{error.status}: {error.detail}")


def _text_of(params: Any, name: str) -> str:
    given = params.get(name) if isinstance(params, dict) else None
    if not isinstance(given, str):
        raise ProtocolError("invalid_argument", f"{name} must be a string")
    return given
