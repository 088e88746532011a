"""A PostgreSQL server of one's own, which is restarted while others use it."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import tempfile
from pathlib import Path

from listening import free_port


class Postgres:
    """The server: in a folder that goes with it."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="millstream-chaos-"))
        self._data = self._folder / "data"
        self.port = free_port()
        self._password = secrets.token_hex(16)

    def address(self, host: str | None = None, port: int | None = None) -> str:
        """Return the address of the database, there or behind something."""
        place = f"{host or self._host}:{port or self.port}"
        return f"postgresql://millstream:{self._password}@{place}/postgres"

    @property
    def place(self) -> tuple[str, int]:
        """Return where it listens."""
        return self._host, self.port

    async def start(self) -> None:
        """Make the server, and start it."""
        secret = self._folder / "password"
        secret.write_text(self._password)
        owner = _owner()
        if owner is not None:
            for path in (self._folder, secret):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        await self._run(
            "initdb", "-D", str(self._data), "-U", "millstream", "-E", "UTF8", "--locale=C",
            "--no-sync", "--auth=scram-sha-256", f"--pwfile={secret}",
        )  # fmt: skip
        with (self._data / "postgresql.conf").open("a") as conf:
            # The machine does not crash, so nothing waits for a disk; the server does, so what is
            # committed is handed to the machine.
            conf.write(
                f"listen_addresses = '{self._host}'\nport = {self.port}\n"
                "unix_socket_directories = ''\nfsync = off\nfull_page_writes = off\njit = off\n"
            )
        await self._control("start")

    async def restart(self, how: str) -> None:
        """Restart it: `fast` ends sessions in order, `immediate` is a crash."""
        await self._control("restart", "-m", how)

    async def stop(self) -> None:
        """Stop it, and remove all of it."""
        if (self._data / "postmaster.pid").exists():
            await self._control("stop", "-m", "immediate")
        shutil.rmtree(self._folder)

    @property
    def log(self) -> str:
        """Return what it has to say."""
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def _control(self, *arguments: str) -> None:
        log = str(self._folder / "log")
        await self._run("pg_ctl", *arguments, "-w", "-s", "-D", str(self._data), "-l", log)

    async def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        owner = _owner()
        if owner is not None:
            command = ["runuser", "-u", owner.pw_name, "--", *command]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            # The server that stays would keep a pipe open.
            stderr=asyncio.subprocess.DEVNULL,
        )
        if await process.wait():
            raise RuntimeError(f"{' '.join(command)} has failed:\n{self.log[-2000:]}")


def _owner() -> pwd.struct_passwd | None:
    """Return who the server belongs to; None for oneself. It must not be root."""
    return pwd.getpwnam("postgres") if os.getuid() == 0 else None


def _programs() -> Path:
    """Return the folder of the newest programs here."""
    # Debian keeps them off PATH.
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    if program is None:
        raise RuntimeError("there is no PostgreSQL: scripts/install-debian postgresql installs it")
    return Path(program).parent
