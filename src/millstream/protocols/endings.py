"""Why a model has stopped: providers have many words for it, protocols a few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

Ending = Literal["stop", "length", "filtered", "calls", "other"]

_WORDS: Final[Mapping[Ending, str]] = {
    "stop": "stop end_turn stop_sequence complete eos eos_token",
    "length": "length max_tokens max_output_tokens model_length model_context_window_exceeded",
    "filtered": "content_filter content_filtered guardrail_intervened refusal safety image_safety "
    "recitation blocklist prohibited_content spii error_toxic",
    "calls": "tool_calls tool_use tool_call function_call",
}
_ENDINGS: Final = {word: ending for ending, words in _WORDS.items() for word in words.split()}


def ending_of(reason: str | None) -> Ending:
    """Return what a provider's word means; that a model has stopped, if it says nothing."""
    return "stop" if reason is None else _ENDINGS.get(reason.lower(), "other")


def reason_in(metadata: Mapping[str, Any]) -> str | None:
    """Return a provider's word for why its model has stopped; None if it says nothing."""
    incomplete = metadata.get("incomplete_details")
    told = [metadata.get(name) for name in ("finish_reason", "stop_reason", "done_reason")]
    told.append(incomplete.get("reason") if isinstance(incomplete, Mapping) else None)
    return next((str(reason) for reason in told if reason), None)
