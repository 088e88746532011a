"""OpenAI's service, in this process."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from guide.openai_server import OpenAIServer, Request, Step, serve

JOKE = ("Why", " did", " the", " {}", " laugh", "?", " Because", "!")
POEM = ("Soft", " as", " a", " {}", ",", " warm", " as", " tea", ".")
ITEMS = ("bed: to sleep in", ", lamp", ": to read by", ", rug: warm")


def answer_as_the_guide_asks(request: Request) -> tuple[Step, ...]:
    """Return tokens that depend on what is asked, and on the topic."""
    prompt = request["messages"][-1]["content"]
    if "kind of items" in prompt:
        assert "'bedroom'" in prompt
        return ITEMS
    tokens = POEM if "short poem" in prompt else JOKE
    return tuple(token.format(prompt.rpartition(" ")[2]) for token in tokens)


@pytest.fixture
def openai_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """Serve what the guide's examples ask for; clients find the server by the environment.

    What a test left open is found here: a client's connection that is collected unclosed warns.
    """
    with serve(answer_as_the_guide_asks) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
    gc.collect()
