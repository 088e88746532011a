"""`Usage`: the tokens that the models of a run have used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Usage:
    """Adds up what messages say of their tokens; false as long as none has said anything."""

    def __init__(self) -> None:
        self.input = 0
        self.output = 0
        self.total = 0
        self.reasoning = 0
        """Of the output."""
        self.cached = 0
        """Of the input, what the provider had read before."""
        self.written = 0
        """Of the input, what the provider has kept for another time."""
        self._told: set[str] = set()
        """The parts that somebody has counted: what nobody has is unknown, not zero."""

    def __bool__(self) -> bool:
        return self.total > 0

    def add(self, usage: Mapping[str, Any]) -> None:
        """Add what a message says of its tokens."""
        self.input += usage.get("input_tokens") or 0
        self.output += usage.get("output_tokens") or 0
        self.total += usage.get("total_tokens") or 0
        given = usage.get("input_token_details") or {}
        self.reasoning += self._part(usage.get("output_token_details") or {}, "reasoning")
        self.cached += self._part(given, "cache_read")
        self.written += self._part(given, "cache_creation")

    def _part(self, details: Mapping[str, Any], name: str) -> int:
        count = details.get(name)
        if count is None:
            return 0
        self._told.add(name)
        return int(count)

    def in_camel_case(self) -> dict[str, int]:
        """Return all that was counted, as JavaScript's front ends name it."""
        parts = {
            "reasoningTokens": ("reasoning", self.reasoning),
            "cachedInputTokens": ("cache_read", self.cached),
            "cacheWriteInputTokens": ("cache_creation", self.written),
        }
        return {
            "inputTokens": self.input,
            "outputTokens": self.output,
            "totalTokens": self.total,
            **{name: count for name, (told, count) in parts.items() if told in self._told},
        }
