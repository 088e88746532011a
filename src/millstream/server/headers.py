"""Headers of requests: those that are let in, into configurables or into the log, and the id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from millstream.server.errors import ConfigError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

_ID: Final = "millstream.request_id"
"""Where the scope of a request has its id, once it has one."""
_LONGEST: Final = 200
"""Characters of an id that a client gives its request."""


class HeaderFilter:
    """Which headers are let in: those that fit `includes` and not `excludes`, which have stars."""

    def __init__(self, key: str, given: Mapping[str, Any] | None) -> None:
        """Take what the configuration says under a key."""
        self._includes = _patterns(key, given or {}, "includes", "include")
        self._excludes = _patterns(key, given or {}, "excludes", "exclude")
        for name in given or {}:
            if name not in ("includes", "include", "excludes", "exclude"):
                raise ConfigError(f"{key} has no key {name!r}; it has includes and excludes")

    def of(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that are let in, by their names in lower case."""
        if not self._includes:
            return {}
        return {
            name: value
            for name, value in ((name.lower(), value) for name, value in headers.items())
            if _fits(name, self._includes) and not _fits(name, self._excludes)
        }


def _patterns(key: str, given: Mapping[str, Any], *names: str) -> Sequence[str]:
    for name in names:
        patterns = given.get(name)
        if patterns is None:
            continue
        if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
            raise ConfigError(f"{key}.{name} is a list of texts, not {patterns!r}")
        return [one.lower() for one in patterns]
    return ()


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def request_id_of(connection: HTTPConnection) -> str:
    """Return what a request is called: as its client says, else as nothing else is."""
    scope = connection.scope
    if _ID not in scope:
        scope[_ID] = connection.headers.get("x-request-id", "")[:_LONGEST] or str(uuid4())
    id: str = scope[_ID]
    return id
