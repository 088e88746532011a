"""Two servers behind a proxy that are started anew one after the other, under load."""

from __future__ import annotations

import asyncio
import signal
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

import waiting
from listening import free_port
from server.proxying import Kind, program, proxying
from server.test_serving import Process

KINDS: Final[tuple[Kind, ...]] = ("nginx", "haproxy")
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.real_time(reason="other processes take their time"),
    *(pytest.mark.skipif(program(kind) is None, reason=f"there is no {kind}") for kind in KINDS),
]

STEPS: Final = 8
APP: Final = """
import asyncio
import operator
from typing import Annotated, TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    count: int
    seen: Annotated[list[int], operator.add]


async def step(state: State):
    done = len(state.get("seen", ()))
    get_stream_writer()({"i": done})
    await asyncio.sleep(0.15)
    return {"seen": [done]}


def next_of(state: State):
    return "step" if len(state["seen"]) < state["count"] else "__end__"


steps = (
    StateGraph(State)
    .add_node("step", step)
    .add_edge(START, "step")
    .add_conditional_edges("step", next_of, ["step", "__end__"])
    .compile()
)
"""


@dataclass
class Load:
    """Clients that ask for one thing after the other, until they are told to end."""

    client: LangGraphClient
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    async def go_on(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do one thing again and again, and note what goes wrong."""
        name = getattr(act, "__name__", "")
        while not self.is_over.is_set():
            try:
                await act()
            except Exception as error:
                self.faults.append(f"{name}: {error!r}")
            self.done[name] += 1

    def check(self, what: str, found: Any, expected: Any) -> None:
        """Note what is not as it has to be."""
        if found != expected:
            self.faults.append(f"{what}: {found} instead of {expected}")

    async def wait(self) -> None:
        """Wait for a run's result."""
        at = (await self.client.threads.create())["thread_id"]
        result: Any = await self.client.runs.wait(at, "steps", input={"count": 3})
        self.check("a result", result.get("seen"), [0, 1, 2])

    async def stream(self) -> None:
        """Read what a run says, each thing once."""
        at = (await self.client.threads.create())["thread_id"]
        said: list[Any] = []
        states: list[Any] = []
        stream = self.client.runs.stream(
            at,
            "steps",
            input={"count": STEPS},
            stream_mode=["custom", "values"],
            stream_resumable=True,
        )
        async for part in stream:
            data: Any = part.data
            if part.event == "custom":
                said.append(data["i"])
            elif part.event == "values":
                states.append(len(data.get("seen", ())))
        self.check("what was said", said, list(range(STEPS)))
        self.check("states", states, list(range(STEPS + 1)))

    async def run(self) -> None:
        """Have a run in the background, join it and read its thread."""
        at = (await self.client.threads.create())["thread_id"]
        run = await self.client.runs.create(at, "steps", input={"count": STEPS})
        await self.client.runs.join(at, run["run_id"])
        self.check("a run", (await self.client.runs.get(at, run["run_id"]))["status"], "success")
        state: Any = await self.client.threads.get_state(at)
        self.check("a state", state["values"]["seen"], list(range(STEPS)))

    async def read(self) -> None:
        """Make a thread and read it."""
        at = (await self.client.threads.create())["thread_id"]
        self.check("a thread", (await self.client.threads.get(at))["status"], "idle")
        await asyncio.sleep(0.02)


class Replica:
    """A server that is started anew at the same address."""

    def __init__(self, here: Path, database: str) -> None:
        here.mkdir()
        (here / "app.py").write_text(APP)
        self.port = free_port()
        self._here = here
        self._database = database
        self.process: Process | None = None

    def start(self, revision: str) -> None:
        """Start, and wait until requests may be sent there."""
        options = {"--port": str(self.port), "--database": self._database, "--revision": revision}
        said = [each for option in options.items() for each in option]
        process = self.process = Process(self._here, "serve", "app.py:steps", "--grace", "2", *said)
        assert waiting.until(lambda: process.http.get("/readyz").status_code == 200, 60)

    def end(self) -> int:
        """Tell it to end, and return how it did."""
        assert self.process is not None
        self.process.http.close()
        self.process.process.send_signal(signal.SIGTERM)
        self.process.process.communicate(timeout=60)
        code, self.process = self.process.process.returncode, None
        return code

    def kill(self) -> None:
        """End it, if it has not ended."""
        if self.process is not None:
            self.process.http.close()
            self.process.process.kill()
            self.process.process.communicate()

    @property
    def errors(self) -> list[str]:
        """What it has logged that nobody should see."""
        lines = (self._here / "stderr.txt").read_text().splitlines()
        return [line for line in lines if " ERROR " in line or "Traceback" in line]


@pytest.fixture
def replicas(new_database: str, tmp_path: Path) -> Iterator[list[Replica]]:
    """Give two servers on one database."""
    made = [Replica(tmp_path / name, new_database) for name in ("a", "b")]
    with ExitStack() as stack:
        for replica in made:
            stack.callback(replica.kill)
            replica.start("v1")
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_servers_are_started_anew_one_after_the_other_and_nobody_notices(
    kind: Kind, replicas: list[Replica], tmp_path: Path
) -> None:
    async def main(url: str) -> Load:
        load = Load(get_client(url=url))
        acts = [load.wait, load.stream, load.stream, load.run, load.read, load.read]
        tasks = [asyncio.create_task(load.go_on(act)) for act in acts]

        async def reach(count: int) -> None:
            """Wait until that much more of each has been done."""
            before = dict(load.done)
            names = {act.__name__ for act in acts}
            assert await waiting.auntil(
                lambda: all(load.done[name] >= before.get(name, 0) + count for name in names)
            )

        await reach(2)
        for replica in replicas:
            assert await asyncio.to_thread(replica.end) == -signal.SIGTERM
            await reach(1)
            await asyncio.to_thread(replica.start, "v2")
            await reach(1)
        load.is_over.set()
        await asyncio.gather(*tasks)
        await load.client.aclose()
        return load

    one, other = (f"http://127.0.0.1:{replica.port}" for replica in replicas)
    (tmp_path / kind).mkdir()
    with (
        proxying(kind, one, tmp_path / kind, other=other) as proxy,
        warnings.catch_warnings(),
    ):
        # The client says when it comes back.
        warnings.simplefilter("ignore")
        load = asyncio.run(main(proxy.url))

    assert load.faults == []
    assert min(load.done.values()) >= 5
    assert [error for replica in replicas for error in replica.errors] == []
