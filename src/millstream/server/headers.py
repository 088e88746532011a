"""Headers of requests that are let in, into configurables or into the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from millstream.server.errors import ConfigError


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
