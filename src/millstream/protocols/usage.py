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

    def __bool__(self) -> bool:
        return self.total > 0

    def add(self, usage: Mapping[str, Any]) -> None:
        """Add what a message says of its tokens."""
        self.input += usage.get("input_tokens") or 0
        self.output += usage.get("output_tokens") or 0
        self.total += usage.get("total_tokens") or 0
        self.reasoning += (usage.get("output_token_details") or {}).get("reasoning") or 0
        self.cached += (usage.get("input_token_details") or {}).get("cache_read") or 0

    def in_camel_case(self) -> dict[str, int]:
        """Return all of it, as JavaScript's front ends name it."""
        return {
            "inputTokens": self.input,
            "outputTokens": self.output,
            "totalTokens": self.total,
            "reasoningTokens": self.reasoning,
            "cachedInputTokens": self.cached,
        }
