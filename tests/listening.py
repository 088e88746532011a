"""Programs that listen on a port, beside a test."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import waiting


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def listening(
    command: Sequence[str], port: int, told: Path, end: signal.Signals = signal.SIGTERM
) -> Iterator[None]:
    """Run a program from when it listens until the block ends; what it says goes to a file."""
    with told.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        waiting.until(lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None, told.read_text()
        yield
    finally:
        process.send_signal(end)
        process.wait(timeout=30)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
