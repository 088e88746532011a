"""The trial: clients talk while replicas are disturbed, and at the end all is compared."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from chaos import cluster, disturbances, ledger, records, scenarios, verdict
from chaos.cluster import Cluster
from chaos.database import Rows, foreign_runs
from chaos.figures import Ended, counted, gaps, percentiles, takeovers
from chaos.records import Told
from chaos.replicas import TESTS
from chaos.scenarios import Conversation
from chaos.verdict import Calm, Census
from server import npm

PATIENCE: Final = 180.0
"""Seconds that clients have to end what they talk about, and runs to end."""
SLACK: Final = 12
"""How many more things a replica may hold at the end: pools grow with what was at once."""
SHOWN: Final = 4
"""So many faults are told of one conversation: one leads to others."""
_REFUSED: Final = re.compile(r"attempt (\d+) is over, another process has run ([0-9a-f-]+)")
"""What the log says of an attempt whose writes were refused, once or more often."""


@dataclass
class Options:
    """What a trial is told."""

    seconds: float = 600
    replicas: int = 3
    clients: int = 40
    seed: int = 0
    lease: float = 6.0
    javascript: bool = True
    folder: Path = TESTS.parent / "build" / "chaos"


@dataclass
class Outcome:
    """What was found."""

    faults: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """The report."""


class Trial:
    """One trial."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.folder = options.folder
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._notes: list[dict[str, Any]] = []
        self._outcome = Outcome()

    def note(self, kind: str, **more: Any) -> None:
        """Note what was done, and tell whoever watches."""
        record = {"at": time.monotonic(), "kind": kind, **more}
        self._notes.append(record)
        with (self.folder / "notes.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        told = " ".join(f"{key}={value}" for key, value in more.items() if key != "text")
        print(f"chaos: {kind} {more.get('text') or told}", flush=True)

    async def run(self) -> Outcome:
        """Carry it out."""
        options = self.options
        packages = await self._packages() if options.javascript else None
        planned = disturbances.plan(options.seed, options.seconds, options.replicas, options.lease)
        async with cluster.running(
            self.folder, options.replicas, options.seed, options.lease, self.note
        ) as running:
            rows = Rows(running.postgres.address())
            await self._talk(running, [("calm", list(scenarios.undisturbed()), None)], None)
            if self._outcome.faults:
                return self._outcome  # there is nothing to compare with
            before = await self._census(running, rows)
            self.note("calm", conversations=len(list(scenarios.undisturbed())))
            await self._talk(running, self._groups(packages), planned)
            await running.calm()
            await self._settle(rows)
            after = await self._census(running, rows)
            self._check_leaks(before, after, await rows.activity())
            await self._judge(running, rows)
            self._outcome.faults += running.faults
        # All are told to end by now.
        self._outcome.faults += [fault for fault in running.faults if "was told" in fault]
        self._outcome.faults += _left_processes(self.folder)
        self._outcome.faults = list(dict.fromkeys(self._outcome.faults))
        return self._outcome

    async def _packages(self) -> Path | None:
        if shutil.which("npm") is None:
            self._outcome.faults.append("there is no npm, so there are no JavaScript clients")
            return None
        return await asyncio.to_thread(npm.installed, Path(__file__).parent / "jsclients")

    def _groups(self, packages: Path | None) -> list[tuple[str, list[Conversation], Path | None]]:
        """Return the clients by process: half of them in each language."""
        options = self.options
        count = 2 + int(options.seconds / 2)  # none takes less than that
        half = options.clients // 2 if packages else 0
        names = {"py": range(options.clients - half), "js": range(half)}
        return [
            (
                language,
                [
                    conversation
                    for number in numbers
                    for conversation in scenarios.conversations(
                        options.seed, f"{language}{number}", count
                    )
                ],
                packages if language == "js" else None,
            )
            for language, numbers in names.items()
            if numbers
        ]

    async def _talk(
        self,
        running: Cluster,
        groups: Sequence[tuple[str, list[Conversation], Path | None]],
        planned: list[disturbances.Disturbance] | None,
    ) -> None:
        """Have clients talk: to the end of all, or for as long as something is planned."""
        clients = [
            await self._clients(running.url, name, conversations, packages)
            for name, conversations, packages in groups
        ]
        ended = asyncio.gather(*(client.wait() for client in clients))
        try:
            if planned is not None:
                began = time.monotonic()
                await running.disturb(planned, began)
                await asyncio.sleep(max(0.0, began + self.options.seconds - time.monotonic()))
                self.note("over")
                for client in clients:
                    assert client.stdin is not None
                    client.stdin.close()
            statuses = await asyncio.wait_for(ended, PATIENCE)
            if any(statuses):
                self._outcome.faults.append(f"clients have ended with {statuses}")
        except asyncio.TimeoutError:
            self._outcome.faults.append(f"clients have not ended {PATIENCE:g} s after the end")
        finally:
            for client in clients:
                if client.returncode is None:
                    client.kill()
                    await client.wait()
            ended.cancel()
            with suppress(asyncio.CancelledError):
                await ended

    async def _clients(
        self, url: str, name: str, conversations: list[Conversation], packages: Path | None
    ) -> asyncio.subprocess.Process:
        """Start the clients of one process."""
        known = self.folder / f"{name}.json"
        known.write_text(json.dumps(conversations))
        told = self.folder / f"{name}.jsonl"
        command = [sys.executable, "-m", "chaos.clients", url, str(known), str(told)]
        if packages is not None:
            shown = self.folder / "scenarios.json"
            shown.write_text(json.dumps(_for_javascript()))
            command = ["node", "clients.mjs", url, str(known), str(shown), str(told)]
        with (self.folder / f"{name}.log").open("w") as log:
            return await asyncio.create_subprocess_exec(
                *command,
                cwd=packages or self.folder,
                env={**os.environ, "PYTHONPATH": str(TESTS)},
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    async def _settle(self, rows: Rows) -> None:
        """Wait until nothing is under way any more."""
        until = time.monotonic() + PATIENCE
        while left := await rows.under_way():
            if time.monotonic() > until:
                self._outcome.faults += [f"{each}, {PATIENCE:g} s after the end" for each in left]
                return
            await asyncio.sleep(0.5)

    async def _census(self, running: Cluster, rows: Rows) -> list[Census]:
        """Return what replicas hold when a moment has passed."""
        await asyncio.sleep(3)
        connections = Counter[str]()
        for name, _, count, _ in await rows.activity():
            connections[name.rpartition(" ")[2]] += count
        found = []
        for replica in running.replicas:
            told = await replica.census()
            found.append(Census(replica.name, **told, connections=connections[str(replica.pid)]))
        self.note("census", replicas=[each._asdict() for each in found], text="of all replicas")
        return found

    def _check_leaks(
        self,
        before: list[Census],
        after: list[Census],
        activity: list[tuple[str, str, int, float]],
    ) -> None:
        self._outcome.faults += verdict.of_census(before, after, SLACK)
        self._outcome.faults += [
            f"{count} connections of {name} are {state}, for {since:.0f} s"
            for name, state, count, since in activity
            if since > 5
        ]

    async def _judge(self, running: Cluster, rows: Rows) -> None:
        """Compare everything."""
        [*calm] = records.read(self.folder / "calm.jsonl")
        calms = {(told.scenario, told.durability): Calm(told) for told in calm}
        stored = await rows.stored()
        known: dict[str, list[str]] = {}
        durability: dict[str, str] = {}
        clients, figures = Counter[str](), Figures()
        async with httpx.AsyncClient(base_url=running.url, timeout=60) as http:
            for told in (*calm, *self._conversations()):
                faults = [
                    *verdict.of_conversation(told, calms[told.scenario, told.durability]),
                    *verdict.of_stored(told, stored),
                ]
                if told.state is not None:
                    faults += verdict.of_history(told, await _history(http, told.thread_id))
                self._outcome.faults += [
                    f"{told.name} ({told.scenario}, {told.durability}): {fault}"
                    for fault in faults[:SHOWN]
                ]
                known[told.thread_id] = [turn.run_id for turn in told.turns]
                durability |= {turn.run_id: told.durability for turn in told.turns}
                clients[told.client[:2]] += 1
                if not told.client.startswith("calm"):
                    figures.take(told)
        figures.holes = sum(map(verdict.holes, stored.values()))
        self._outcome.faults += foreign_runs(await rows.runs(), known)
        entries = [*ledger.read(self.folder / "ledger.jsonl")]
        strict = [entry for entry in entries if durability.get(entry.run_id) == "sync"]
        self._outcome.faults += verdict.of_ledger(strict)
        self._report(entries, figures, await rows.attempts(), running)

    def _conversations(self) -> Iterator[Told]:
        for name in ("py", "js"):
            path = self.folder / f"{name}.jsonl"
            if path.exists():
                yield from records.read(path)

    def _report(
        self,
        entries: list[ledger.Entry],
        figures: Figures,
        attempts: dict[str, int],
        running: Cluster,
    ) -> None:
        disturbed = [note for note in self._notes if note["kind"] == "disturbed"]
        by_kind = Counter(note["what"] for note in disturbed)
        ended = [Ended(note["at"], note["who"], note["what"]) for note in disturbed]
        taken: dict[str, list[float]] = {}
        for kind, seconds in takeovers(entries, ended):
            taken.setdefault(kind, []).append(seconds)
        logs = [replica.log.read_text(errors="replace") for replica in running.replicas]
        refused = len({found for log in logs for found in _REFUSED.findall(log)})
        again = sum(count - 1 for count in attempts.values() if count)
        every = [seconds for each in taken.values() for seconds in each]
        self._outcome.lines += [
            f"seed {self.options.seed}, {self.options.seconds:g} s, {self.options.replicas} "
            f"replicas, lease {self.options.lease:g} s",
            f"disturbances: {counted(by_kind)}",
            f"conversations: {counted(figures.conversations)}; runs {len(attempts)}",
            f"events seen: {figures.events}; streams that were asked for again: {figures.joined}; "
            f"what the SDKs gave up: {figures.failed}; streams that ended before their run: "
            f"{figures.early}; numbers of events left out: {figures.holes}",
            f"attempts beyond the first: {again}; tasks that were repeated: "
            f"{verdict.repeated(entries)}; attempts whose writes were refused: {refused}; "
            f"connections that no replica could take: {running.balancer.turned_away}",
            f"takeover: {percentiles(every)}",
            *(f"  after {kind}: {percentiles(each)}" for kind, each in sorted(taken.items())),
            f"gap seen by a client that came back: {percentiles(figures.gaps)}",
        ]


class Figures:
    """What is counted of conversations."""

    def __init__(self) -> None:
        self.conversations: Counter[str] = Counter()
        self.events = self.joined = self.failed = self.early = self.holes = 0
        self.gaps: list[float] = []

    def take(self, told: Told) -> None:
        """Count one."""
        self.conversations[f"of {told.client[:2]}"] += 1
        for turn in told.turns:
            self.events += len(turn.seen)
            self.joined += len(turn.joined)
            self.failed += len(turn.failed)
            self.early += turn.early
        self.gaps += gaps(told)


async def _history(http: httpx.AsyncClient, thread_id: str) -> list[Any]:
    answer = await http.post(f"/threads/{thread_id}/history", json={"limit": 1000})
    found: list[Any] = answer.raise_for_status().json()
    return found


def _for_javascript() -> dict[str, Any]:
    return {
        "modes": scenarios.MODES,
        "scenarios": {name: each._asdict() for name, each in scenarios.SCENARIOS.items()},
    }


def _left_processes(folder: Path) -> Iterator[str]:
    """Yield the processes that a trial has left behind."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(folder) in command and int(process.name) != os.getpid():
                yield f"process {process.name} is left: {command[:200]}"
