"""Packages of npm, as a folder of the tests names them in its lock file."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path
from typing import Final

BUILD: Final = Path(__file__).parents[2] / "build"


def installed(source: Path) -> Path:
    """Return a folder with the files of `source`, where its packages are installed."""
    folder = BUILD / source.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # tests run in several processes
        for file in source.iterdir():
            if file.is_file():
                shutil.copy(file, folder)
        lock = (source / "package-lock.json").read_text()
        stamp = folder / "installed"
        if not stamp.exists() or stamp.read_text() != lock:
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, cwd=folder, check=True, timeout=300)
            stamp.write_text(lock)
    return folder
