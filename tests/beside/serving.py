"""Both servers with the graphs of the tests, each in a process of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.servers.launching import MILLSTREAM, REFERENCE, running

from server import graphs

NAMES = ("chat", "sink", "hitl", "slow", "tools")


@contextmanager
def serving() -> Iterator[tuple[str, str]]:
    """Lend the addresses of the reference and of ours."""
    with tempfile.TemporaryDirectory(prefix="beside-") as name:
        folder = Path(name)
        text = (
            Path(graphs.__file__).read_text(encoding="utf-8").replace("millstream.", "langgraph.")
        )
        made = "".join(f"{graph} = make_{graph}()\n" for graph in NAMES)
        (folder / "graphs.py").write_text(f"{text}\n\n{made}", encoding="utf-8")
        served = {graph: f"./graphs.py:{graph}" for graph in (*NAMES, "factory")}
        config = {"dependencies": ["."], "graphs": served}
        (folder / "langgraph.json").write_text(json.dumps(config), encoding="utf-8")
        with running(REFERENCE, folder) as reference, running(MILLSTREAM, folder) as ours:
            yield f"http://127.0.0.1:{reference.port}", f"http://127.0.0.1:{ours.port}"
