"""What nodes in files wait for: their modules come and go, this one stays."""

from __future__ import annotations

from typing import Final

GATES: Final[dict[str, bool]] = {}
"""By name, whether a gate is open; those that nobody has named are."""
