"""Network namespaces: each replica alone in one, on a cable that can be pulled."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Protocol


class Place(Protocol):
    """Where replicas run, and what is between them and everybody else."""

    here: str
    """The address that replicas reach this process and the database by."""

    def host(self, number: int) -> str:
        """Return the address of a replica."""

    def command(self, number: int) -> Sequence[str]:
        """Return what a replica's command begins with."""

    async def pull(self, number: int) -> bool:
        """Let nothing through to a replica, nor from it; say whether that is possible."""

    async def plug(self, number: int) -> None:
        """Let everything through again."""

    async def close(self) -> None:
        """Leave nothing."""


class Loopback:
    """All on one machine, with nothing between them."""

    here = "127.0.0.1"

    def host(self, number: int) -> str:
        """Return the address of all."""
        return self.here

    def command(self, number: int) -> Sequence[str]:
        """Return nothing."""
        return ()

    async def pull(self, number: int) -> bool:
        """Say that it is not possible."""
        return False

    async def plug(self, number: int) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class Namespaces:
    """Namespaces on a bridge. A pulled cable is not noticed at its ends, as behind a switch."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._net = f"10.213.{os.getpid() % 254 + 1}"
        self._tag = f"{os.getpid() % 100000:x}"
        self._bridge = f"chb{self._tag}"
        self.here = f"{self._net}.1"

    @classmethod
    async def made(cls, count: int) -> Namespaces:
        """Return as many as there are replicas."""
        self = cls(count)
        try:
            await self._ip(f"link add {self._bridge} type bridge")
            await self._ip(f"address add {self.here}/24 dev {self._bridge}")
            await self._ip(f"link set {self._bridge} up")
            for number in range(count):
                await self._make(number)
        except BaseException:
            await self.close()
            raise
        return self

    async def _make(self, number: int) -> None:
        name, outer, inner = self._names(number)
        await self._ip(f"netns add {name}")
        await self._ip(f"link add {outer} type veth peer name {inner}")
        await self._ip(f"link set {inner} netns {name}")
        await self._ip(f"link set {outer} master {self._bridge} up")
        await self._ip(f"-n {name} address add {self.host(number)}/24 dev {inner}")
        await self._ip(f"-n {name} link set {inner} up")
        await self._ip(f"-n {name} link set lo up")

    def host(self, number: int) -> str:
        """Return the address of a replica."""
        return f"{self._net}.{number + 2}"

    def command(self, number: int) -> Sequence[str]:
        """Return what has a command run in its namespace."""
        return ("ip", "netns", "exec", self._names(number)[0])

    async def pull(self, number: int) -> bool:
        """Take the cable off the bridge."""
        await self._ip(f"link set {self._names(number)[1]} nomaster")
        return True

    async def plug(self, number: int) -> None:
        """Put it back."""
        await self._ip(f"link set {self._names(number)[1]} master {self._bridge}")

    async def close(self) -> None:
        """Delete all."""
        for number in range(self._count):
            name, outer, _ = self._names(number)
            await self._ip(f"link delete {outer}", may_fail=True)
            await self._ip(f"netns delete {name}", may_fail=True)
        await self._ip(f"link delete {self._bridge}", may_fail=True)

    def _names(self, number: int) -> tuple[str, str, str]:
        """Return the names of a namespace and of both ends of its cable."""
        return f"chaos-{self._tag}-{number}", f"cho{self._tag}{number}", f"chi{self._tag}{number}"

    async def _ip(self, arguments: str, *, may_fail: bool = False) -> None:
        process = await asyncio.create_subprocess_exec(
            "ip",
            *arguments.split(),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()
        if process.returncode and not may_fail:
            raise RuntimeError(f"ip {arguments}: {errors.decode().strip()}")


def may_namespaces() -> bool:
    """Say whether this process may make network namespaces and bridges."""
    if os.getuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"chp{os.getpid() % 100000:x}"
    made = [_ip(f"netns add {name}"), _ip(f"link add {name} type bridge")]
    _ip(f"link delete {name}")
    _ip(f"netns delete {name}")
    return all(made)


def _ip(arguments: str) -> bool:
    return not subprocess.run(
        ["ip", *arguments.split()], capture_output=True, check=False
    ).returncode
