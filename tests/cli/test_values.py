"""Values in one line, and what stands for pictures in them."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from millstream.cli.values import media_in, one_line, size

PNG = "A" * 356_000


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        ({"type": "image", "base64": PNG, "mime_type": "image/png"}, "[image, 267 kB]"),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            "[image, 267 kB]",
        ),
        ({"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}, "[image, 267 kB]"),
        ({"type": "image", "source": {"type": "base64", "data": PNG}}, "[image, 267 kB]"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "[audio, 3 B]"),
        (
            {"type": "file", "file": {"file_data": f"data:image/png;base64,{PNG}"}},
            "[image, 267 kB]",
        ),
        (
            {"type": "image", "url": "https://example.org/mill.png"},
            "[image https://example.org/mill.png]",
        ),
        ({"type": "text", "text": "words"}, None),
        ({"type": "image"}, None),
        ("words", None),
    ],
)
def test_media_of_all_forms_are_named(block: Any, shown: str | None) -> None:
    assert list(media_in([block])) == ([] if shown is None else [shown])


def test_messages_are_shown_by_what_they_say() -> None:
    call: Any = {"name": "look", "args": {}, "id": "1"}
    image: Any = {"type": "image", "base64": PNG}

    assert one_line(HumanMessage("hm"), 80) == "human: 'hm'"
    assert one_line([AIMessage("", tool_calls=[call])], 80) == "[ai: look]"
    assert one_line({"m": HumanMessage([image])}, 80) == "{'m': human: '[image, 267 kB]'}"


def test_what_is_inline_anywhere_is_named() -> None:
    assert one_line({"a": [f"data:image/png;base64,{PNG}"]}, 80) == "{'a': [[image, 267 kB]]}"
    assert one_line(b"x" * 1234, 80) == "[bytes, 1 kB]"
    assert one_line(b"x", 80) == "b'x'"


def test_emoji_and_letters_that_are_joined_stay_so() -> None:
    family, persian = "\U0001f469\u200d\U0001f467", "\u0645\u06cc\u200c\u062e\u0648"

    assert one_line({"a": family, "b": HumanMessage(persian)}, 80) == (
        f"{{'a': '{family}', 'b': human: '{persian}'}}"
    )
    assert one_line(f"{family}\x1b", 80) == f"'{family}\\x1b'"
    # Text that only looks like one.
    assert one_line("a\\u200d", 80) == r"'a\\u200d'"


def test_a_value_that_cannot_be_shown_is_named() -> None:
    class Odd(dict):  # type: ignore[type-arg]
        def __repr__(self) -> str:
            raise RuntimeError

        def items(self) -> Any:
            raise RuntimeError

        __iter__ = items

    assert "error" in one_line(Odd(a=1), 80)


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 B"), (267_000, "267 kB"), (999_600, "1.0 MB"), (1_230_000, "1.2 MB")],
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert size(count) == text
