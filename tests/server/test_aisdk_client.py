"""The AI SDK's own chat, against our server."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from millstream.graph import START, StateGraph
from protocols import scripted
from protocols.judges import judge
from server.fixtures import config_of, running
from server.graphs import make_graphs

pytestmark = [
    pytest.mark.long,
    pytest.mark.real_time(reason="another process takes its time"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm"),
]
SAID = "hello from the fake model"


def slow_words() -> Any:
    """Return a graph that says many words, one every now and then."""
    pause = threading.Event()
    words = [scripted.chunk("one ")]
    said = [each for word in words * 40 for each in (word, lambda: pause.wait(0.02))]
    builder = StateGraph(scripted.State).add_node("speak", scripted.speaking(*said))
    return builder.add_edge(START, "speak").compile()


@pytest.mark.parametrize("version", [6, 7])
def test_a_page_talks_with_a_graph(version: int, tmp_path: Path) -> None:
    graphs = {
        **make_graphs(), "reviewed": scripted.make_reviewed(), "slow-words": slow_words(),
    }  # fmt: skip
    with running(config_of(graphs, tmp_path)) as server:
        least = 20 if version == 6 else 22
        told = judge("chat.mjs", f"ai-{version}", server.url, least=least)

    assert told["wrong"] == [None] * 4
    assert told["turns"] == [
        ["user", ["hi"]],
        ["assistant", [SAID]],
        ["user", ["again"]],
        ["assistant", [SAID]],
    ]
    assert told["again"] == [told["turns"], True]
    (_, (role, parts)) = told["reviewed"]
    assert role == "assistant"
    assert parts[2:4] == ["output-available", "output-denied"]
    assert "A hundred kilos." in parts
    first, second = told["read"]
    assert first == second
    assert first[1] == "one " * 40
