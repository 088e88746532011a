"""Telling webhooks of the ends of runs, until they have been told.

A delivery is a row that is stored with the end of its run, and is deleted when somebody has taken
it or nobody does: it survives the process. Whoever takes it may get it twice, with the same id.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import random
import socket
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import httpx

from millstream._base.cancellation import within
from millstream.server.clock import Chore, Clock, stamp
from millstream.server.encoding import dumps
from millstream.server.storage import deliveries as rows
from millstream.server.webhooks.policy import Policy, RefusedUrlError
from millstream.version import __version__

if TYPE_CHECKING:
    from millstream.server.storage.database import Database

logger = logging.getLogger("millstream.server")

MAX_ATTEMPTS: Final = 10
"""With the pauses between them that takes about a quarter of an hour."""
LONGEST_PAUSE: Final = 600.0
_TOGETHER: Final = 50
_PATIENCE: Final = 30.0
_GONE: Final = 410


class Webhooks(Chore):
    """Tells webhooks what is stored for them."""

    def __init__(
        self,
        db: Database,
        policy: Policy,
        clock: Clock,
        holder: Callable[[], str] = str,
        *,
        jitter: Callable[[], float] = random.random,
        again_after: float | None = None,
    ) -> None:
        """Make them; `holder` names the replica that tells.

        After so many seconds they look again by themselves: for what another replica has put off,
        which may be gone.
        """
        super().__init__("millstream-webhooks", clock, again_after=again_after)
        self.policy: Final = policy
        self._holder = holder
        self._db = db
        self._jitter = jitter
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._client: httpx.AsyncClient | None = None

    async def do(self) -> datetime | None:
        """Begin to send what is due; return when something is due next."""
        free = _TOGETHER - len(self._sending)
        # Who has been sent meanwhile wakes this.
        known = list(self._sending)
        time = stamp(self.clock.now())
        due = await self._db.write(rows.claim, time, known, free, self._holder())
        for row in due:
            if row["delivery_id"] not in self._sending:
                task = asyncio.get_running_loop().create_task(self._deliver(row))
                self._sending[row["delivery_id"]] = task
        if len(due) == free:
            return None
        found = await self._db.read(rows.next_attempt)
        return None if found is None else datetime.fromisoformat(found)

    async def close(self) -> None:
        """Stop; what is under way is sent again by the next process."""
        await super().close()
        tasks = list(self._sending.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._client is not None:
            await self._client.aclose()

    async def _deliver(self, row: Mapping[str, Any]) -> None:
        id, attempts = row["delivery_id"], row["attempts"] + 1
        try:
            fault, is_final = await self._send(row)
            if fault is None:
                await self._db.write(rows.remove, id)
            elif is_final or attempts >= MAX_ATTEMPTS:
                logger.warning(
                    "the webhook of run %s is given up after %s attempts: %s",
                    row["run_id"],
                    attempts,
                    fault,
                )
                await self._db.write(rows.remove, id)
            else:
                pause = min(2.0 ** (attempts - 1), LONGEST_PAUSE) * (0.5 + self._jitter())
                again = stamp(self.clock.now() + timedelta(seconds=pause))
                await self._db.write(rows.put_off, id, attempts, again)
        except Exception:
            logger.exception("the webhook of run %s cannot be seen to", row["run_id"])
        finally:
            del self._sending[id]
            self.wake()

    async def _send(self, row: Mapping[str, Any]) -> tuple[str | None, bool]:
        """Return why a webhook was not told, None if it was; and whether to leave it at that."""
        try:
            url = self.policy.parsed(row["url"])
            address = await self._address_of(url)
        except RefusedUrlError as error:
            return str(error), True
        except OSError as error:
            return f"its host cannot be found: {error}", False
        host = url.raw_host.decode("ascii")
        sent_at = self.clock.now()
        content = dumps({**row["body"], "webhook_sent_at": stamp(sent_at)})
        headers = {
            "user-agent": f"millstream/{__version__}",
            **self.policy.headers,
            "host": url.netloc.decode("ascii"),
            "content-type": "application/json",
            **signature(self.policy.secret, row["delivery_id"], sent_at, content),
        }
        # To the very address that was looked at; a name may lead elsewhere a moment later.
        request = self._open_client().build_request(
            "POST",
            url.copy_with(host=address),
            headers=headers,
            content=content,
            extensions={"sni_hostname": host},
        )
        try:
            response = await within(_PATIENCE, self._open_client().send(request, stream=True))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, asyncio.TimeoutError) as error:
            return f"{type(error).__name__}: {error}", False
        # What is answered besides is of no interest.
        await response.aclose()
        if response.is_success:
            return None, True
        return f"it answers with status {response.status_code}", response.status_code == _GONE

    async def _address_of(self, url: httpx.URL) -> str:
        host = url.raw_host.decode("ascii").strip("[]")
        found = await asyncio.get_running_loop().getaddrinfo(
            host, url.port or 0, type=socket.SOCK_STREAM
        )
        addresses = [str(one[4][0]) for one in found]
        for address in addresses:
            self.policy.check_address(address)
        return addresses[0]

    def _open_client(self) -> httpx.AsyncClient:
        if self._client is None:
            # No proxies, which would look the name up themselves, and no redirections.
            self._client = httpx.AsyncClient(trust_env=False, timeout=_PATIENCE)
        return self._client


def signature(secret: bytes | None, id: str, sent_at: datetime, content: bytes) -> dict[str, str]:
    """Return the headers that tell who has sent a webhook, as Standard Webhooks has them."""
    seconds = str(int(sent_at.timestamp()))
    headers = {"webhook-id": id, "webhook-timestamp": seconds}
    if secret is not None:
        signed = hmac.digest(secret, f"{id}.{seconds}.".encode() + content, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
    return headers
