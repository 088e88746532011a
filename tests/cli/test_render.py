"""The live view shows tokens next to each other, whoever else speaks meanwhile."""

from __future__ import annotations

import io
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.messages.tool import tool_call, tool_call_chunk

from millstream.cli.render import BlockRenderer


class Screen:
    """A live view and what stands on it."""

    def __init__(self) -> None:
        self._out = io.StringIO()
        self.view = BlockRenderer(self._out)

    def hear(self, node: str, message: Any, *namespace: str) -> str:
        """Show one event of the mode `messages` and return all that is printed by then."""
        metadata = {"langgraph_node": node, "langgraph_checkpoint_ns": f"{node}:1"}
        self.view.show(namespace, "messages", (message, metadata))
        return self.text

    def token(self, node: str, text: str, *, is_last: bool = False) -> str:
        """Show one token of a model that `node` asked."""
        position = "last" if is_last else None
        return self.hear(node, AIMessageChunk(text, id=f"run-{node}", chunk_position=position))

    @property
    def text(self) -> str:
        """All that is printed."""
        return self._out.getvalue()


def test_tokens_are_appended_to_one_line_as_they_come() -> None:
    screen = Screen()

    assert screen.token("poet", "") == ""
    assert screen.token("poet", "A :cat:") == "● messages poet\nA :cat:"
    assert screen.token("poet", "  [b]sits") == "● messages poet\nA :cat:  [b]sits"
    assert screen.token("poet", ".", is_last=True) == "● messages poet\nA :cat:  [b]sits.\n"


def test_what_others_say_is_kept_until_the_line_is_free() -> None:
    screen = Screen()

    screen.token("poet", "one ")
    screen.token("clown", "ha ")
    screen.token("judge", "no", is_last=True)
    screen.token("poet", "two")
    assert screen.text == "● messages poet\none two"
    screen.token("poet", "", is_last=True)
    assert screen.text == "● messages poet\none two\n● messages clown\nha "
    screen.token("clown", "ha", is_last=True)

    assert screen.text.splitlines() == [
        *("● messages poet", "one two"),
        *("● messages clown", "ha ha"),
        *("● messages judge", "no"),
    ]


def test_another_event_shows_what_was_kept_and_stands_on_its_own_line() -> None:
    screen = Screen()

    screen.token("poet", "one ")
    screen.token("clown", "ha ")
    screen.view.show((), "updates", {"other": {"x": 1}})
    screen.token("poet", "two")
    screen.view.stop()

    assert screen.text.splitlines() == [
        *("● messages poet", "one "),
        *("● messages clown", "ha "),
        *("● updates other", "    x: 1"),
        *("● messages poet", "two"),
    ]


def test_calls_of_tools_are_shown_as_they_grow() -> None:
    screen = Screen()

    def chunk(**call: Any) -> AIMessageChunk:
        return AIMessageChunk("", id="1", tool_call_chunks=[tool_call_chunk(**call)])

    screen.token("chat", "I look.")
    for call in ({"name": "look", "args": "", "index": 0}, {"args": '{"at', "index": 0}):
        screen.hear("chat", chunk(**call).model_copy(update={"id": "run-chat"}))

    assert screen.text == '● messages chat\nI look.\ncalls look {"at'


def test_whole_messages_say_who_speaks_and_from_where() -> None:
    screen = Screen()
    call = tool_call(name="look", args={"at": "ü"}, id="1")

    screen.hear("chat", AIMessage("", tool_calls=[call]), "outer:1234567890")
    screen.hear("tools", ToolMessage("a cat", tool_call_id="1", name="look"))
    image = {"type": "image", "base64": "A" * 356_000}
    screen.hear("guest", HumanMessage([{"type": "text", "text": "hm "}, image]))

    assert screen.text.splitlines() == [
        *("● messages chat  in outer:12345678", 'calls look {"at": "ü"}'),
        *("● messages tools (tool look)", "a cat"),
        *("● messages guest (human)", "hm [image, 267 kB]"),
    ]
