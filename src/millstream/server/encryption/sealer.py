"""`Sealer`: what is stored goes through the handlers, and comes back through them.

Handlers are coroutines, and what stores is not: they run in an event loop of their own, and whoever
stores waits for them. Beside what they return stands the context in which it was sealed, which they
are given again when it is opened.
"""

from __future__ import annotations

import binascii
import logging
from base64 import b64decode
from collections.abc import Coroutine, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson
from sqlalchemy.exc import DontWrapMixin

from millstream.server.auth.handlers import NOBODY
from millstream.server.encoding import dumps
from millstream.server.encryption.context import sealing_context
from millstream.server.errors import ApiError
from millstream.server.runs.run_loop import RunLoop

if TYPE_CHECKING:
    from langgraph_sdk import Encryption
    from starlette.requests import HTTPConnection

    from millstream.server.auth.user import User

logger = logging.getLogger("millstream.server")
T = TypeVar("T")

MARK: Final = "millstream:sealed"
"""The key that tells a sealed object from others, with the context in which it was sealed."""
SEALED: Final = b"\0S"
"""What sealed bytes begin with: no event does, and no serialized value."""
PATIENCE: Final = 30.0
"""Seconds for which a handler is waited for."""
HEADER: Final = "x-encryption-context"
_OWN: Final = ("graph_id", "assistant_id", "cron_id", "created_by")
"""Metadata that the server looks for itself; handlers do not see it."""
_VALUE: Final = "value"
"""Where handlers, which are given objects, find a value that is none."""


class SealingError(RuntimeError, DontWrapMixin):
    """A handler failed, or did what handlers may not do; nothing is stored then."""


class ReservedKeyError(ApiError, DontWrapMixin):
    """A client names something as what is sealed is marked with."""

    def __init__(self) -> None:
        super().__init__(422, f"{MARK!r} cannot be a key here")


class Sealer:
    """The handlers of an `Encryption`, as they are now, and the event loop in which they run."""

    def __init__(self, encryption: Encryption) -> None:
        self._seal_json = encryption._json_encryptor
        self._open_json = encryption._json_decryptor
        self._seal_blob = encryption._blob_encryptor
        self._open_blob = encryption._blob_decryptor
        self._tell = encryption._context_handler
        self._loop = RunLoop("millstream-encryption")

    @property
    def seals_json(self) -> bool:
        """Whether there are handlers for objects."""
        return self._seal_json is not None

    @property
    def seals_blobs(self) -> bool:
        """Whether there are handlers for bytes."""
        return self._seal_blob is not None

    def close(self) -> None:
        """End the event loop."""
        self._loop.close()

    async def context_of(self, connection: HTTPConnection, user: User | None) -> dict[str, Any]:
        """Return what handlers are told of a request: its header, or what the handler makes of it.

        `ApiError` if the header is none.
        """
        context = _told(connection.headers.get(HEADER))
        if self._tell is None:
            return context
        asked: Any = NOBODY if user is None else user
        try:
            found = await self._tell(asked, _encryption_context(None, None, context))
        except Exception as error:
            raise _failure(self._tell, error) from error
        if not isinstance(found, Mapping):
            raise SealingError(f"{_name(self._tell)} returns a dict, not {type(found).__name__}")
        return dict(found)

    def seal_json(self, model: str, field: str, value: Any) -> Any:
        """Return what is stored of a value of JSON."""
        if value is None or not self.seals_json:
            return value
        return self._wait(self._sealed_json(model, field, value))

    def open_json(self, model: str, field: str, stored: Any) -> Any:
        """Return the value that was stored, which may have been before there were handlers."""
        if not isinstance(stored, dict) or MARK not in stored:
            return stored
        return self._wait(self._opened_json(model, field, stored))

    def seal_bytes(self, model: str, field: str | None, data: bytes) -> bytes:
        """Return what is stored of bytes."""
        if not self.seals_blobs:
            return data
        return self._wait(self._sealed_bytes(model, field, data, sealing_context()))

    def open_bytes(self, model: str, field: str | None, stored: bytes) -> bytes:
        """Return the bytes that were stored."""
        if not stored.startswith(SEALED):
            return stored
        return self._wait(self._opened_bytes(model, field, stored))

    async def _sealed_json(self, model: str, field: str, value: Any) -> Any:
        plain = orjson.loads(dumps(value))
        mark: dict[str, Any] = {"context": sealing_context()}
        if not isinstance(plain, dict):
            plain, mark["of"] = {_VALUE: plain}, _VALUE
        if MARK in plain:
            raise ReservedKeyError
        own = {key: plain.pop(key) for key in _OWN if key in plain} if field == "metadata" else {}
        if not plain:
            return own
        given = _encryption_context(model, field, mark["context"])
        sealed = await self._ask(self._seal_json, given, plain)
        if not isinstance(sealed, Mapping) or sealed.keys() != plain.keys():
            keys = sorted(sealed) if isinstance(sealed, Mapping) else type(sealed).__name__
            raise SealingError(
                f"{_name(self._seal_json)} returned {keys} for {sorted(plain)}: it has to keep the "
                "keys, and may change the values only"
            )
        return {**own, **sealed, MARK: mark}

    async def _opened_json(self, model: str, field: str, stored: Mapping[str, Any]) -> Any:
        if self._open_json is None:
            raise SealingError("something is stored sealed, and there is no handler that opens it")
        sealed = dict(stored)
        mark = sealed.pop(MARK)
        own = {key: sealed.pop(key) for key in _OWN if key in sealed} if field == "metadata" else {}
        given = _encryption_context(model, field, mark["context"])
        opened = _plaintext(await self._ask(self._open_json, given, sealed))
        return opened[_VALUE] if "of" in mark else {**own, **opened}

    async def _sealed_bytes(
        self, model: str, field: str | None, data: bytes, context: Mapping[str, Any]
    ) -> bytes:
        told = dumps(context)
        given = _encryption_context(model, field, context)
        sealed = await self._ask(self._seal_blob, given, data)
        if not isinstance(sealed, bytes):
            raise SealingError(
                f"{_name(self._seal_blob)} returns bytes, not {type(sealed).__name__}"
            )
        return b"".join((SEALED, len(told).to_bytes(4, "big"), told, sealed))

    async def _opened_bytes(self, model: str, field: str | None, stored: bytes) -> bytes:
        if self._open_blob is None:
            raise SealingError("something is stored sealed, and there is no handler that opens it")
        begin = len(SEALED) + 4
        end = begin + int.from_bytes(stored[len(SEALED) : begin], "big")
        given = _encryption_context(model, field, orjson.loads(stored[begin:end]))
        opened: bytes = _plaintext(await self._ask(self._open_blob, given, stored[end:]))
        return opened

    async def _ask(self, handler: Any, context: Any, given: Any) -> Any:
        try:
            return await handler(context, given)
        except Exception as error:
            raise _failure(handler, error) from error

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        # The context of whoever waits is that of the coroutine, too.
        future = self._loop.submit(coroutine)
        try:
            return future.result(PATIENCE)
        except FutureTimeoutError:
            future.cancel()
            raise SealingError(f"no handler has answered within {PATIENCE:.0f} seconds") from None


def _told(header: str | None) -> dict[str, Any]:
    if not header:
        return {}
    try:
        told = orjson.loads(b64decode(header, validate=True))
    except (binascii.Error, ValueError):
        told = None
    if not isinstance(told, dict):
        raise ApiError(422, f"The header {HEADER} has to be an object of JSON in base64")
    return told


def _encryption_context(model: str | None, field: str | None, metadata: Mapping[str, Any]) -> Any:
    from langgraph_sdk.encryption.types import EncryptionContext

    return EncryptionContext(model=model, metadata=dict(metadata), field=field)


def _plaintext(opened: Any) -> Any:
    # Older versions of the SDK have no class for this.
    return getattr(opened, "plaintext", opened)


def _failure(handler: Any, error: Exception) -> SealingError:
    return SealingError(f"{_name(handler)} failed with {type(error).__name__}")


def _name(handler: Any) -> str:
    return f"the encryption handler {getattr(handler, '__qualname__', None) or repr(handler)}"
