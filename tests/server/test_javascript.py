"""The JavaScript clients, as npm has them, against our server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from server import npm
from server.fixtures import Running

# It takes npm and a registry, which a quick look at the product should not need.
pytestmark = [
    pytest.mark.long,
    pytest.mark.real_time(reason="another process takes its time"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm"),
]
VERSIONS: Final = ("1.11.0", "1.12.4", "1.15.0", "2.0.0")


@pytest.fixture(scope="module")
def folder() -> Path:
    """Return the folder of the clients that the lock file names."""
    return npm.installed(Path(__file__).parent / "javascript")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_method_of_the_client_gets_what_it_expects(
    server: Running, folder: Path, version: str
) -> None:
    command = ["node", "calls.mjs", version, server.url]
    # What belongs to LangSmith is nothing for this server.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LANGSMITH")}

    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == 15
    assert [call for call in told if call["wrong"]] == []
