"""Addresses of databases, as they may be shown."""

from __future__ import annotations

import re
from typing import Final

# With one slash it is none, and still somebody's password.
_IN_URL: Final = re.compile(r"(://[^/@:]*|^postgres\w*:/?[^/@:]*):.*@", re.DOTALL)
# Also `sslpassword`; in quotes it may have spaces.
_OPTION: Final = re.compile(r"(?i)(password\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^&\s]*)", re.DOTALL)


def shown(address: str) -> str:
    """Return an address without its passwords."""
    return _OPTION.sub(r"\1...", _IN_URL.sub(r"\1:...@", address))
