"""PgBouncer as Debian has it, before a PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import waiting

PROGRAM: Final = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
_CONFIGURATION: Final = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = md5
auth_file = {folder}/users.txt
pool_mode = {mode}
default_pool_size = 4
ignore_startup_parameters = extra_float_digits
{user}
"""


@contextmanager
def pooled(address: str, folder: Path, mode: str = "transaction") -> Iterator[str]:
    """Have a PgBouncer before a database, and give the address of the database through it."""
    from psycopg import conninfo

    options: dict[str, Any] = conninfo.conninfo_to_dict(address)
    with socket.create_server(("127.0.0.1", 0)) as free:
        own_port = free.getsockname()[1]
    (folder / "users.txt").write_text(f'"{options["user"]}" "{options["password"]}"\n')
    told, configuration = folder / "told.txt", folder / "pgbouncer.ini"
    configuration.write_text(
        _CONFIGURATION.format(
            host=options["host"],
            port=options["port"],
            own_port=own_port,
            folder=folder,
            mode=mode,
            # It refuses to run as root, and reads its files before it becomes another user.
            user="user = nobody" if os.getuid() == 0 else "",
        )
    )
    with told.open("w") as output:
        process = subprocess.Popen([str(PROGRAM), configuration], stdout=output, stderr=output)
    try:
        waiting.until(lambda: process.poll() is not None or _answers(own_port))
        assert process.poll() is None, told.read_text()
        yield conninfo.make_conninfo(address, host="127.0.0.1", port=own_port)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
