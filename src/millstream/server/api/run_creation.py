"""What all operations that create a run share: asking for it, and answering with it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.utils.uuid import uuid7
from starlette.responses import Response

from millstream.server.encryption.context import sealing_context
from millstream.server.errors import ApiError
from millstream.server.graphs import assistant_of
from millstream.server.headers import request_id_of
from millstream.server.responses import AwaitedJson, EventStream
from millstream.server.runs.reading import RunSource
from millstream.server.runs.requests import Asker, NewRun, Protocol, check, plan_run
from millstream.server.runs.wire import BESIDE_PROTOCOL
from millstream.server.tracing import trace_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from millstream.server.api.bodies.runs import RunCreate
    from millstream.server.api.routing import Call
    from millstream.server.responses import Source
    from millstream.server.runs.requests import Plan
    from millstream.server.runs.turns import Settings
    from millstream.server.storage.run_records import Created

MAX_KEY: int = 255
"""How long an idempotency key may be."""


class Creation:
    """One run that a request asks for."""

    def __init__(
        self,
        call: Call,
        body: RunCreate,
        thread_id: str | None = None,
        *,
        protocol: Protocol | None = None,
        nth: int | None = None,
    ) -> None:
        """Ask for a run in a thread, or for a stateless one, which gets a thread of its own.

        `nth` is its place among those of a batch, which is counted as a whole.
        """
        check(body)
        call.service.webhooks.policy.check(body.webhook)
        self._nth = nth
        self._call = call
        self._body = body
        self._is_stateless = thread_id is None
        self.run_id = str(uuid7())
        self.thread_id = str(uuid7()) if thread_id is None else thread_id
        self._assistant_id = assistant_id_of(call, body.assistant_id)
        self._protocol = protocol

    @property
    def path(self) -> str:
        """Return where the run is found."""
        return run_path(self._call, None if self._is_stateless else self.thread_id, self.run_id)

    async def submit(self) -> Created:
        """Have the run stored, and started if it can."""
        call = self._call
        if self._nth is None:
            call.service.limits.count_runs(call.request, call.user)
        if self._protocol is None and _can_tell(self._body) and await self._is_watched():
            # Who reads the thread is told of all of its runs.
            self._protocol = "too"
        created: Created = await call.service.scheduler.submit(
            self._assistant_id, self._plan(await self._settings()), call.filters
        )
        if not created.is_new:
            self.run_id = created.run["run_id"]
        return created

    async def stream(
        self,
        show: Callable[[Source], Source] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Create the run, and answer with its stream; `show` makes another form of that."""
        service = self._call.service
        # Read from the beginning on, and it may begin before the answer to its creation is here.
        log = service.logs.open(
            self.run_id, self.thread_id, is_resumable=self._body.stream_resumable
        )
        source = RunSource(service.db, log, 0)
        asked_for = self.run_id
        try:
            created = await self.submit()
            if not created.is_new:
                raise ApiError(409, f"This idempotency key was used for run {self.run_id}: join it")
        except BaseException:
            source.close()
            service.logs.close(asked_for, self.thread_id)
            raise
        # A stream that breaks before its first event is read again from its beginning.
        beginning = "?last_event_id=-1" if self._body.stream_resumable else ""
        told = {
            "location": f"{self.path}/stream{beginning}",
            "content-location": self.path,
            **(headers or {}),
        }
        shown = source if show is None else show(source)
        return EventStream(shown, told, on_disconnect=self._on_disconnect())

    async def wait(self) -> Response:
        """Create the run, and answer with its result when it has ended."""
        scheduler = self._call.service.scheduler
        result = scheduler.results.expect(self.run_id)
        try:
            created = await self.submit()
        except BaseException:
            result.cancel()
            raise
        path = run_path(self._call, self.thread_id, self.run_id)
        headers = {"location": f"{path}/join", "content-location": path}

        async def wait() -> bytes:
            if created.is_new:
                return await result
            result.cancel()
            known: bytes = await scheduler.results.of(self.run_id, None, self._call.filters)
            return known

        return AwaitedJson(wait, headers, on_disconnect=self._on_disconnect())

    async def _is_watched(self) -> bool:
        """Say whether somebody reads the protocol events of the thread."""
        service = self._call.service
        if self._is_stateless or service.logs.is_watched(self.thread_id):
            return not self._is_stateless
        return bool(await service.scheduler.elsewhere.want_protocol(self.thread_id))

    async def _settings(self) -> Settings | None:
        priorities = self._call.service.priorities
        if priorities is None:
            return None
        return await priorities.of(
            self._assistant_id,
            None if self._is_stateless else self.thread_id,
            self._call.filters,
            user=self._call.user,
            metadata=self._body.metadata,
        )

    def _plan(self, settings: Settings | None) -> Plan:
        headers = self._call.request.headers
        key = headers.get("idempotency-key")
        if key is not None and not 0 < len(key) <= MAX_KEY:
            raise ApiError(422, f"An idempotency key has 1 to {MAX_KEY} characters")
        user = self._call.user
        if key is not None and user is not None:
            # Others may have thought of the same one. There is no such line end in a header.
            key = f"{user.identity}\n{key}"
        if key is not None and self._nth:
            # The runs of one request share its header.
            key = f"{key}\n{self._nth}"
        ttl = self._call.service.config.ttl_of_threads
        asker = Asker(
            request_id=request_id_of(self._call.request),
            user=user,
            headers=self._call.service.configurable_headers.of(headers),
            marks=self._call.marks,
            trace=trace_of(headers),
            sealing=sealing_context(),
        )
        run_id, thread_id = self.run_id, self.thread_id
        body, is_stateless = self._body, self._is_stateless
        protocol = self._protocol

        def plan(assistant: Mapping[str, Any], now: datetime) -> NewRun:
            return plan_run(
                body,
                run_id=run_id,
                thread_id=thread_id,
                assistant=assistant,
                now=now,
                asker=asker,
                is_stateless=is_stateless,
                idempotency_key=key,
                ttl=ttl,
                protocol=protocol,
                settings=settings,
            )

        return plan

    def _on_disconnect(self) -> Callable[[], object] | None:
        if self._body.on_disconnect != "cancel":
            return None
        return partial(self._call.service.scheduler.cancel_soon, self.run_id)


def _can_tell(body: RunCreate) -> bool:
    """Say whether the stream modes of a run can be told beside protocol events."""
    return not {*body.stream_mode} - BESIDE_PROTOCOL


def run_path(call: Call, thread_id: str | None, run_id: str) -> str:
    """Return the path of a run, with that of where the application is mounted."""
    thread = "" if thread_id is None else f"/threads/{thread_id}"
    return f"{call.root_path}{thread}/runs/{run_id}"


def assistant_id_of(call: Call, name: str) -> str:
    """Return the id of an assistant that is named by it, or by its graph."""
    catalog = call.service.catalog
    if name in catalog:
        return assistant_of(name)
    try:
        return str(UUID(name))
    except ValueError:
        known = ", ".join(catalog.ids())
        raise ApiError(
            422,
            f"Invalid assistant: {name[:100]!r}. Must be either:\n- A valid assistant UUID, or\n"
            f"- One of the registered graphs: {known}",
        ) from None
