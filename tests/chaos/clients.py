"""Clients with the official Python SDK: `python -m chaos.clients URL CONVERSATIONS RECORDS`.

A client has one conversation after the other, and writes down all that it is told. It goes on where
it was whatever happens, as an application would: the SDK reconnects some times, and then the client
joins the run again. It ends with the conversation that it has when its input ends. The JavaScript
clients do the same (`javascript/clients.mjs`), and write the same records.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.errors import APIStatusError, ConflictError

from chaos.scenarios import MODES, SCENARIOS, Conversation

PAUSE: Final = 0.5
"""Seconds before a client tries again what the SDK has given up."""
UNDER_WAY: Final = ("pending", "running")
PATIENCE: Final = 120.0
"""Seconds for which a client is refused in a row before it complains."""
_USED: Final = re.compile(r"was used for run ([0-9a-f-]{36})")


class Client:
    """One client of a server."""

    def __init__(self, url: str, records: TextIO) -> None:
        # What is asked next may be answered by another replica.
        self._sdk = get_client(url=url, api_key=None, headers={"connection": "close"})
        self._sdk.http.client.event_hooks["response"].append(self._note_response)
        self._records = records
        self._has: dict[str, Any] = {}
        self._failing_since: float | None = None

    async def close(self) -> None:
        """Close its connections."""
        await self._sdk.aclose()

    async def converse(self, conversation: Conversation) -> None:
        """Have a conversation."""
        self._has = {"client": conversation.client, "conversation": conversation.name}
        self._note("begun", **conversation._asdict())
        for number, turn in enumerate(SCENARIOS[conversation.scenario].turns):
            self._has["turn"] = number
            await self._run(conversation, turn, f"{conversation.name}-{number}")
        state = await self._asked(lambda: self._sdk.threads.get_state(conversation.thread_id))
        self._note("ended", state={"values": state["values"], "next": state["next"]})

    async def _run(self, conversation: Conversation, turn: Mapping[str, Any], key: str) -> None:
        """Have a run, and read it to its end."""
        run_id, last = "", "-1"

        def created(metadata: Any) -> None:
            nonlocal run_id
            run_id = metadata["run_id"]
            self._note("created", run=run_id)

        thread_id = conversation.thread_id
        status = ""
        while not status:
            if run_id:
                parts = self._sdk.runs.join_stream(thread_id, run_id, last_event_id=last)
            else:
                parts = self._sdk.runs.stream(
                    thread_id,
                    SCENARIOS[conversation.scenario].graph,
                    **turn,
                    stream_mode=MODES,
                    stream_subgraphs=True,
                    stream_resumable=True,
                    durability=conversation.durability,
                    if_not_exists="create",
                    on_disconnect="continue",
                    headers={"Idempotency-Key": key},
                    on_run_created=created,
                )
            try:
                async for id, event, data in _read(parts):
                    if id:
                        last = id
                    self._failing_since = None
                    self._note("event", run=run_id, event=event, id=id, data=data)
            except ConflictError as error:
                # It was created by a request whose answer has not come.
                if (found := _USED.search(str(error))) is None:
                    raise
                run_id = found[1]
                self._note("created", run=run_id)
                continue
            except (httpx.HTTPError, APIStatusError) as error:
                await self._bear(error)
                continue
            status = await self._status(thread_id, run_id)
        self._note("over", run=run_id, status=status)

    async def _status(self, thread_id: str, run_id: str) -> str:
        """Return how a run has ended; nothing if its stream has ended before it."""
        run = await self._asked(lambda: self._sdk.runs.get(thread_id, run_id))
        if run["status"] in UNDER_WAY:
            self._note("early", run=run_id)
            return ""
        return str(run["status"])

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            try:
                answer = await ask()
                self._failing_since = None
                return answer
            except (httpx.HTTPError, APIStatusError) as error:
                await self._bear(error)

    async def _bear(self, error: Exception) -> None:
        """Wait a moment; what is the client's own fault does not pass, and not all else does."""
        if isinstance(error, APIStatusError) and error.status_code < 500:
            raise error
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if now - self._failing_since > PATIENCE:
            raise error
        self._note("failed", error=f"{type(error).__name__}: {error}"[:200])
        await asyncio.sleep(PAUSE)

    async def _note_response(self, response: httpx.Response) -> None:
        request = response.request
        if request.method == "GET" and request.url.path.endswith("/stream"):
            self._note("joined", status=response.status_code)

    def _note(self, kind: str, **more: Any) -> None:
        record = {"at": time.monotonic(), "kind": kind, **self._has, **more}
        self._records.write(json.dumps(record, separators=(",", ":")) + "\n")


async def _read(parts: AsyncIterator[Any]) -> AsyncIterator[tuple[str | None, str, Any]]:
    async for part in parts:
        yield part.id, part.event, part.data


async def serve(
    url: str, conversations: list[Conversation], records: TextIO, is_over: asyncio.Event
) -> None:
    """Have all conversations, those of a client one after the other, until it is over."""
    by_client: dict[str, list[Conversation]] = defaultdict(list)
    for conversation in conversations:
        by_client[conversation.client].append(conversation)

    async def have(mine: list[Conversation]) -> None:
        client = Client(url, records)
        try:
            for conversation in mine:
                if is_over.is_set():
                    return
                await client.converse(conversation)
        finally:
            await client.close()

    await asyncio.gather(*map(have, by_client.values()))


async def main(url: str, known: list[Conversation], records: TextIO) -> None:
    """Serve until the input ends, or there is nothing more to talk about."""
    is_over = asyncio.Event()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def watch() -> None:
        await reader.read()
        is_over.set()

    watching = asyncio.create_task(watch())
    await serve(url, known, records, is_over)
    watching.cancel()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    listed = json.loads(Path(sys.argv[2]).read_text())
    with Path(sys.argv[3]).open("a", encoding="utf-8") as file:
        asyncio.run(main(sys.argv[1], [Conversation(*each) for each in listed], file))
