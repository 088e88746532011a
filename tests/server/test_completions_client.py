"""OpenAI's client for JavaScript, against our server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from protocols import scripted
from protocols.judges import judge
from server.fixtures import config_of, running
from server.graphs import make_graphs

pytestmark = [
    pytest.mark.long,
    pytest.mark.real_time(reason="another process takes its time"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm"),
]


def test_a_client_talks_with_a_graph(tmp_path: Path) -> None:
    names = ("team", "failing", "asking")
    graphs = {**make_graphs(), **{name: getattr(scripted, f"make_{name}")() for name in names}}
    with running(config_of(graphs, tmp_path)) as server:
        told = judge("openai.mjs", server.url)

    assert told["whole"] == "hello from the fake model"
    assert told["team"].startswith("I weigh them.\n\nA hundred kilos.")
    assert told["usage"] == 24
    assert told["asked"] == ["interrupt", "You said yes."]
    assert told["response"] == [
        "reasoning", "message", "mcp_call", "mcp_call", "message", "image_generation_call",
    ]  # fmt: skip
    assert "the wheel is stuck" in told["errors"][0]
    assert "There is no model 'nobody'" in told["errors"][1]
