"""API keys in a file: for servers whose callers need no handlers of their own."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from millstream.server.auth.guard import Guard
from millstream.server.auth.user import User, as_user
from millstream.server.errors import ApiError, ConfigError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from millstream.server.auth.guard import ReadBody

logger = logging.getLogger("millstream.server")

SHORTEST: Final = 16
"""How many characters a key has at least: keys can be tried as fast as the server answers."""
_HASHED: Final = "sha256:"
_LINE: Final = re.compile(r"([^\s:#]+)\s*:\s*(\S+)")


@dataclass
class KeyGuard(Guard):
    """Lets in whoever has a key of the file; the name beside it is who calls."""

    path: Path
    is_open = False
    _keys: list[tuple[bytes, User]] = field(default_factory=list)
    _seen: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        """Read the file; `ConfigError` if that cannot be."""
        self._seen = _stamp(self.path)
        self._keys = read_keys(self.path)

    async def authenticate(
        self, connection: HTTPConnection, read_body: ReadBody | None = None
    ) -> User | None:
        """Look for the key that the caller has sent, as `x-api-key` or as a bearer token."""
        self._read_again()
        given = connection.headers.get("x-api-key")
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if given is None and scheme.lower() == "bearer":
            given = token.strip()
        if not given:
            raise ApiError(
                401, "An API key is needed: x-api-key, or Authorization: Bearer", _CHALLENGE
            )
        found = None
        digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
        for known, user in self._keys:
            # All of them are compared, each in the same time: how long it takes says nothing.
            if hmac.compare_digest(known, digest):
                found = user
        if found is None:
            raise ApiError(401, "The API key is not known", _CHALLENGE)
        return found

    def _read_again(self) -> None:
        stamp = _stamp(self.path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys = read_keys(self.path)
        except ConfigError as error:
            logger.error("%s. The keys of before go on", error)
        else:
            logger.warning("%s changed: keys read anew", self.path.name)


_CHALLENGE: Final = {"www-authenticate": "Bearer"}


def read_keys(path: Path) -> list[tuple[bytes, User]]:
    """Return hashes and users of a file: lines of `name: key` or `name: sha256:...`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"api_key_file is {str(path)!r}, which cannot be read: {reason}; "
            "write a line `name: key` for each caller into it"
        ) from error
    keys = []
    for n, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            # Without the line, in which there may be a key.
            raise ConfigError(f"{path}, line {n}: a key is written as `name: key`")
        name, key = match.groups()
        keys.append((_digest(path, n, key), as_user(name)))
    if not keys:
        raise ConfigError(f"{path} has no key; a key is written as `name: key`")
    return keys


def _digest(path: Path, n: int, key: str) -> bytes:
    if key.startswith(_HASHED):
        try:
            digest = bytes.fromhex(key[len(_HASHED) :])
        except ValueError:
            digest = b""
        if len(digest) != hashlib.sha256().digest_size:
            raise ConfigError(f"{path}, line {n}: after sha256: there are 64 hexadecimal digits")
        return digest
    if len(key) < SHORTEST:
        raise ConfigError(f"{path}, line {n}: a key has at least {SHORTEST} characters")
    return hashlib.sha256(key.encode()).digest()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
