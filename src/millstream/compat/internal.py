"""The package `langgraph._internal`, whose modules are spread over millstream; see `names`."""

from __future__ import annotations

__path__: list[str] = []
"""Makes this a package: the import system asks the finder for what is below."""
