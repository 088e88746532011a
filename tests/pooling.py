"""PgBouncer as Debian has it, before a PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from listening import free_port, listening

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
    own_port = free_port()
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
    with listening([str(PROGRAM), str(configuration)], own_port, told, signal.SIGINT):
        yield conninfo.make_conninfo(address, host="127.0.0.1", port=own_port)
