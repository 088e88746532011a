"""A Redis server that passes on what replicas ring for. It keeps nothing.

PostgreSQL holds a lock of the whole server for each notification; where many replicas ring at once,
or the database has enough to do, Redis takes that from it. Who is without it for a while uses
notifications, and looks by itself: nothing depends on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from millstream._base.cancellation import within
from millstream.server.doorbell.pauses import Pauses
from millstream.server.errors import ConfigError

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

logger = logging.getLogger("millstream.server")

SIGN_OF_LIFE: Final = 5.0
"""Seconds after which a server that has said nothing is asked, and in which it has to answer."""
PATIENCE: Final = 1.0
"""Seconds that it has for a ring: after that a notification is sent."""


def import_redis() -> Any:
    """Return redis.asyncio; `ConfigError` that says how to install it."""
    try:
        import redis.asyncio
    except ImportError as error:
        raise ConfigError(
            f"redis needs {error.name}, which is not installed; "
            "pip install 'millstream[server,postgres,redis]'"
        ) from error
    return redis.asyncio


class Relay:
    """Has what is published to a channel heard, and publishes. Used in one event loop."""

    def __init__(
        self,
        address: str,
        channel: str,
        heard: Callable[[Sequence[str]], None],
        missed: Callable[[], None],
    ) -> None:
        """Take the address of the server.

        `heard` gets what was published, `missed` is called each time that something may have been.
        """
        redis = import_redis()
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        self._lost: Final = (RedisError, OSError, asyncio.TimeoutError)
        # It would connect again in silence: here it has to be known that something was missed.
        never = redis.retry.Retry(NoBackoff(), 0)
        self._client = redis.Redis.from_url(address, retry=never, socket_connect_timeout=10)
        self._channel = channel
        self._heard = heard
        self._missed = missed
        self._task: asyncio.Task[None] | None = None
        self.is_listening = False
        """Whether it hears others at the moment."""

    def start(self) -> None:
        """Begin to listen; waits for no connection."""
        self._task = asyncio.create_task(self._listen(), name="millstream-relay")

    async def publish(self, text: str) -> bool:
        """Have others told something; say whether the server has it."""
        if not self.is_listening:
            return False
        try:
            await within(PATIENCE, self._client.publish(self._channel, text))
        except self._lost as error:
            logger.warning("redis has not taken a ring, it goes by the database: %s", error)
            return False
        return True

    async def close(self) -> None:
        """Let go of the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._client.aclose()

    async def _listen(self) -> None:
        pauses = Pauses()
        while True:
            try:
                async with self._client.pubsub() as hearing:
                    await hearing.subscribe(self._channel)
                    await self._hear(hearing, pauses)
            except self._lost as error:
                logger.log(pauses.level, "redis is not heard, it is tried again: %s", error)
            finally:
                self.is_listening = False
            await pauses.wait()

    async def _hear(self, hearing: PubSub, pauses: Pauses) -> None:
        """Hear what comes, until the server shows no sign of life any more."""
        is_asked = False
        while True:
            message: Any = await hearing.get_message(timeout=SIGN_OF_LIFE)
            if message is None:
                if is_asked:
                    raise OSError(f"the server has not answered for {SIGN_OF_LIFE:g} s")
                await hearing.ping()
                is_asked = True
                continue
            is_asked = False
            if message["type"] == "subscribe":
                pauses.begin_anew()
                self.is_listening = True
                self._missed()
            elif message["type"] == "message":
                self._heard([message["data"].decode(errors="replace")])
