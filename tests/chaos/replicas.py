"""The replicas: `millstream serve` as processes that are killed, stopped and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from chaos import ledger
from chaos.balancer import Backend
from chaos.links import Link
from chaos.network import Place
from chaos.postgres import Postgres

TESTS: Final = Path(__file__).parents[1]
GRACE: Final = 2
"""Seconds that runs go on when a replica is told to end."""
END: Final = 20
"""Seconds after which a replica has to have ended that was told to."""
SLOTS: Final = 60
"""Runs that go on in one replica: nobody waits for a slot, which would look like a takeover."""


class Settings:
    """What all replicas are started with."""

    def __init__(self, folder: Path, lease: float) -> None:
        self.folder = folder
        self.lease = lease
        self.ledger = folder / "ledger.jsonl"
        self.config = folder / "langgraph.json"
        here = Path(__file__).parent
        graphs = ("tools", "nested", "sends", "asks")
        config = {
            "graphs": {name: f"{here / 'graphs.py'}:{name}" for name in graphs},
            "http": {"app": f"{here / 'census.py'}:app"},
            # What is stored is compared with what clients have seen.
            "event_retention_seconds": 86400,
        }
        self.config.write_text(json.dumps(config))

    def environment(self, name: str) -> Mapping[str, str]:
        """Return the environment of a replica."""
        known = {k: v for k, v in os.environ.items() if not k.startswith("LANGSMITH")}
        paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **known,
            "PYTHONPATH": os.pathsep.join(paths),
            "MILLSTREAM_LEASE_SECONDS": f"{self.lease:g}",
            ledger.LEDGER: str(self.ledger),
            ledger.REPLICA: name,
        }


class Replica:
    """One replica, in whatever process."""

    def __init__(self, number: int, settings: Settings, place: Place, postgres: Postgres) -> None:
        self.number = number
        self.settings = settings
        self.link: Final = Link(postgres.place)
        self._place = place
        self._postgres = postgres
        self._process: asyncio.subprocess.Process | None = None
        self._database = ""
        self.incarnation = 0
        """How often it was started."""
        self.backend: Backend
        self.log = settings.folder / f"r{number}.log"

    @property
    def name(self) -> str:
        """What the ledger knows the present process by."""
        return f"r{self.number}.{self.incarnation}"

    @property
    def pid(self) -> int | None:
        """Return the id of the process; None if there is none."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def prepare(self, port: int) -> None:
        """Make what is between it and others."""
        host = self._place.host(self.number)
        self.backend = Backend(f"r{self.number}", host, port)
        here = self._place.here
        self._database = self._postgres.address(here, await self.link.listen(here))

    async def start(self) -> None:
        """Start a process."""
        self.incarnation += 1
        command = [
            *self._place.command(self.number),
            sys.executable, "-m", "millstream.cli", "serve",
            "--config", str(self.settings.config),
            "--host", self.backend.host, "--port", str(self.backend.port),
            "--database", self._database,
            "--workers-per-process", str(SLOTS), "--grace", str(GRACE),
        ]  # fmt: skip
        with self.log.open("a") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self.settings.folder,
                env=self.settings.environment(self.name),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if there is a process."""
        if self.pid is not None:
            assert self._process is not None
            self._process.send_signal(number)

    async def ended(self) -> int:
        """Return how the process has ended, when it has."""
        assert self._process is not None
        return await self._process.wait()

    async def terminate(self) -> int:
        """Tell it to end, and return how it has; one that does not in time is killed."""
        self.signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.ended(), END)
        except asyncio.TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.ended()

    async def census(self) -> dict[str, Any]:
        """Return what it holds."""
        import httpx

        async with httpx.AsyncClient(timeout=20) as http:
            backend = self.backend
            answer = await http.get(f"http://{backend.host}:{backend.port}/chaos/census")
            found: dict[str, Any] = answer.raise_for_status().json()
            return found
