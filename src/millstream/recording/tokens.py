"""`TokenTemplate`: what the tokens of a message have in common, as it is read from a recording."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage

from millstream.modes.names import MESSAGES
from millstream.recording.lines import BLOCKS, shown_mode
from millstream.recording.values import with_content

if TYPE_CHECKING:
    from millstream.modes.parts import Part

WithText = Callable[[str], Any]


class TokenTemplate:
    """Makes the parts of tokens that differ in their text alone."""

    def __init__(self, template: Mapping[str, Any], modes: Collection[str] | None) -> None:
        """Read a template; of its parts those of these modes are wanted, all by default."""
        namespace = tuple(template["ns"])
        self._makers: list[tuple[tuple[str, ...], str, WithText, Any]] = []
        for mode, with_text in ((MESSAGES, _with_message), (BLOCKS, _with_event)):
            if modes is None or mode in modes:
                said, metadata = template[mode]
                maker = namespace, shown_mode(mode), with_text(said), metadata
                self._makers.append(maker)

    def parts(self, text: str) -> list[Part]:
        """Return the parts of the token with a text."""
        if type(text) is not str:
            raise TypeError(f"its text is {text!r:.80}")
        return [
            (namespace, mode, (with_text(text), metadata), None)
            for namespace, mode, with_text, metadata in self._makers
        ]


def _with_message(message: Any) -> WithText:
    if not isinstance(message, BaseMessage):
        raise TypeError(f"the template of a token is no message: {message!r:.80}")
    return with_content(message)


def _with_event(event: Any) -> WithText:
    event, delta = dict(event), dict(event["delta"])
    return lambda text: {**event, "delta": {**delta, "text": text}}
