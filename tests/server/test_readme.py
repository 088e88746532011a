"""What the README says of the server, done as it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

from server.recordings import events
from server.test_serving import serving

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = TEXT[TEXT.index("## The server") : TEXT.index("## Speed")]
APP, _CLIENT = re.findall(r"```py\n(.*?)```", SECTION, re.DOTALL)
COMMANDS = re.findall(r"```console\n\$ (.*?)```", SECTION, re.DOTALL)


def test_a_newcomer_sees_tokens(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    _install, start, ask = (shlex.split(command) for command in COMMANDS)

    with serving(tmp_path, *start[1:], "--port", "0") as server:
        url, header, body = ask[2], ask[4], ask[6]
        response = server.http.post(
            url.partition(":2024")[2],
            content=body,
            headers=[tuple(header.split(": "))],
        )
        tokens = [data[0]["content"] for name, data in events(response.text) if name == "messages"]
        question: Any = {"messages": "hi"}
        with get_sync_client(url=str(server.http.base_url)) as client:
            thread = client.threads.create()
            parts = [*client.runs.stream(thread["thread_id"], "graph", input=question)]

    assert "".join(tokens) == "It grinds corn."
    assert len([token for token in tokens if token]) > 2
    assert parts[-1].data["messages"][-1]["content"] == "It grinds corn."


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_newcomer_installs_it_in_an_empty_environment(tmp_path: Path) -> None:
    install, start, ask = COMMANDS
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    # What is installed is what would be published.
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "built", str(ROOT))
    [wheel] = (tmp_path / "built").iterdir()
    run(sys.executable, "-m", "venv", "empty")
    scripts = tmp_path / "empty" / "bin"
    run(str(scripts / "pip"), *shlex.split(install.replace(".[", f"{wheel}["))[1:], "-q")
    (tmp_path / "app.py").write_text(APP)
    command = [str(scripts / "millstream"), *shlex.split(start)[1:], "--port", "0"]
    server = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        found = re.search(r"on (http://\S+) ", server.stdout.readline())
        assert found
        asking = shlex.split(ask.replace("http://127.0.0.1:2024", found[1]))
        told = subprocess.run([*asking, "-sS"], capture_output=True, text=True, timeout=60)
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)

    tokens = [data[0]["content"] for name, data in events(told.stdout) if name == "messages"]
    assert "".join(tokens) == "It grinds corn.", told
    assert len([token for token in tokens if token]) > 2


@pytest.mark.long
def test_the_examples_are_served(tmp_path: Path) -> None:
    config = str(ROOT / "examples" / "langgraph.json")
    database = str(tmp_path / "server.db")
    with serving(
        tmp_path, "serve", "--config", config, "--database", database, "--port", "0"
    ) as server:
        named = json.loads(Path(config).read_text())["graphs"]
        found = [server.http.get(f"/assistants/{graph}/graph").status_code for graph in named]

    assert found == [200] * len(named)
