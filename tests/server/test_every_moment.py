"""A server that ends at a moment, whichever it is: clients read of its runs as if it had not.

Whenever a run has something for its saver, before it is stored and after, the files of its server
are copied, as a process leaves them that ends in this moment. Another server goes on with a copy.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import operator
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from sqlalchemy import Connection, select
from typing_extensions import TypedDict

from executors.apart import Threads
from millstream.config import get_stream_writer
from millstream.func import entrypoint, task
from millstream.graph import END, START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode
from millstream.saving.carrier import Carrier
from millstream.server.storage.tables import run_events
from millstream.types import Send, interrupt
from server.copies import copy_files
from server.fixtures import Running, config_of, running
from server.protocol import result
from server.streams import Event, parse, start, thread

STATE: Final = ["values", "updates", "tasks", "checkpoints", "debug", "lifecycle"]
MODES: Final = [*STATE, "custom", "messages-tuple"]
LIVE: Final = ("custom", "messages", "tools")
_CHANGING: Final = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}"
    r'|\d{4}-\d\d-\d\dT[\d:.]+(?:\+00:00|Z)?|"run_attempt":\s*\d+'
)
_TIME: Final = re.compile(r'^\d{4}-|"run_attempt"')


class Steps(TypedDict, total=False):
    seen: Annotated[list[int], operator.add]
    asked: str


async def step(state: Steps) -> dict[str, Any]:
    get_stream_writer()(len(state.get("seen", ())))
    return {"seen": [len(state.get("seen", ()))]}


def sync_step(state: Steps) -> dict[str, Any]:
    get_stream_writer()("in a thread")
    return {"seen": [len(state.get("seen", ()))]}


def ask(state: Steps) -> dict[str, Any]:
    return {"asked": interrupt("what?")}


def loop(count: int = 3, node: Any = step) -> Any:
    """Return a graph of supersteps that take no time."""
    builder = StateGraph(Steps).add_node("step", node).add_edge(START, "step")
    return builder.add_conditional_edges(
        "step", lambda state: "step" if len(state["seen"]) < count else END
    )


def nested() -> Any:
    inner = loop(2).compile()
    builder = StateGraph(Steps).add_node("before", step).add_node("inner", inner)
    builder.add_node("after", step).add_edge(START, "before").add_edge("before", "inner")
    return builder.add_edge("inner", "after").compile()


def nested_in_a_thread(executor: Any = None) -> Any:
    inner = loop(2, sync_step).compile()

    def call(state: Steps) -> Any:
        return {"seen": inner.invoke({"seen": []})["seen"]}

    builder = StateGraph(Steps).add_node("call", call, executor=executor)
    builder.add_node("after", sync_step)
    return builder.add_edge(START, "call").add_edge("call", "after").compile()


def sends() -> Any:
    async def each(state: Any) -> dict[str, Any]:
        # One after the other, as in the run that is compared.
        for _ in range(20 * state["n"]):
            await asyncio.sleep(0)
        get_stream_writer()(state["n"])
        return {"seen": [state["n"]]}

    builder = StateGraph(Steps).add_node("each", each).add_node("after", step)
    builder.add_conditional_edges(
        START, lambda state: [Send("each", {"n": n}) for n in range(3)], ["each"]
    )
    return builder.add_edge("each", "after").compile()


def asking() -> Any:
    inner = StateGraph(Steps).add_node("step", step).add_node("ask", ask)
    inner.add_edge(START, "step").add_edge("step", "ask")
    builder = StateGraph(Steps).add_node("before", step).add_node("inner", inner.compile())
    return builder.add_edge(START, "before").add_edge("before", "inner").compile()


def calls() -> Any:
    @task
    async def square(n: int) -> int:
        return n * n

    @entrypoint()
    async def workflow(numbers: list[int]) -> list[int]:
        return [await square(n) for n in numbers]

    return workflow


def tools() -> Any:
    @tool
    def look(what: str) -> str:
        """Look something up."""
        return f"about {what}"

    async def model(state: MessagesState) -> dict[str, Any]:
        if len(state["messages"]) > 1:
            return {"messages": [AIMessage("done", id="answer")]}
        call = {"name": "look", "args": {"what": "it"}, "id": "1", "type": "tool_call"}
        return {"messages": [AIMessage("", id="call", tool_calls=[call])]}

    builder = StateGraph(MessagesState).add_node("model", model)
    builder.add_node("tools", ToolNode([look])).add_edge(START, "model")
    builder.add_conditional_edges("model", lambda s: "tools" if len(s["messages"]) < 3 else END)
    return builder.add_edge("tools", "model").compile()


KINDS: Final[dict[str, tuple[Any, Any]]] = {
    "loop": (loop().compile(), {"seen": []}),
    "nested": (nested(), {"seen": []}),
    "thread": (nested_in_a_thread(), {"seen": []}),
    # As in a worker process, which says all it has to say over a line.
    "apart": (nested_in_a_thread(Threads()), {"seen": []}),
    "sends": (sends(), {"seen": []}),
    "asking": (asking(), {"seen": []}),
    "calls": (calls(), [1, 2]),
    "tools": (tools(), {"messages": [{"role": "user", "content": "hi", "id": "question"}]}),
}


class Moment(NamedTuple):
    """The files of a server at a moment, and what a client could have read until then."""

    files: Path
    read: Sequence[bytes]


@contextmanager
def moments(
    server: Running, here: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> Iterator[list[Moment]]:
    """Copy what a server has whenever something is stored, before and after: one time of some."""
    found: list[Moment] = []
    numbers = itertools.count()

    def copy() -> None:
        logs = list(server.service.logs._runs.values())
        if not logs or (number := next(numbers)) % every:
            return
        (log,) = logs
        read = [entry.frame for entry in log.since(0) if entry.seq <= log.shown]
        found.append(Moment(copy_files(here.parent / "first", here / str(number)), read))

    carry_out, acarry_out = Carrier.carry_out, Carrier.acarry_out

    def watched(carrier: Carrier, operations: Any) -> None:
        copy()
        carry_out(carrier, operations)
        copy()

    async def awatched(carrier: Carrier, operations: Any) -> None:
        copy()
        await acarry_out(carrier, operations)
        copy()

    with monkeypatch.context() as patched:
        patched.setattr(Carrier, "carry_out", watched)
        patched.setattr(Carrier, "acarry_out", awatched)
        yield found


def plain(events: Sequence[Event]) -> list[str]:
    """Return what events tell of the state, without what differs from run to run."""
    told = []
    for event in events:
        if event.name.partition("|")[0] in ("metadata", *LIVE):
            continue
        data = event.data
        if isinstance(data, dict) and data.get("type") == "event":
            data = {key: value for key, value in data["params"].items() if key != "timestamp"}
        told.append(f"{event.name} {json.dumps(_named(data))}")
    return anonymous("\n".join(told)).split("\n")


def anonymous(text: str) -> str:
    """Return a text with numbers in the place of ids."""
    known: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        text = found[0]
        return "..." if _TIME.search(text) else known.setdefault(text, f"#{len(known)}")

    return _CHANGING.sub(name, text)


def _named(data: Any) -> Any:
    """Return data of checkpoints with what is the same of those that are read and of the run's own.

    These have the whole config beside the place of the one before, those all of their metadata.
    """
    if not isinstance(data, dict):
        return data
    data = {key: _named(value) for key, value in data.items()}
    if data.get("parent_config"):
        named = data["parent_config"]["configurable"]
        data["parent_config"] = [named.get("checkpoint_ns", ""), named["checkpoint_id"]]
    if "parent_config" in data:
        told = data["metadata"]
        data["metadata"] = {key: told[key] for key in ("source", "step", "parents")}
    return data


def begin(server: Running, at: str, kind: str, *, is_protocol: bool, **body: Any) -> str:
    """Start a run that tells everything, and return its id."""
    input = KINDS[kind][1]
    if is_protocol:
        return str(result(server, at, "run.start", assistant_id=kind, input=input)["run_id"])
    shown = {"stream_mode": MODES, "stream_resumable": True, "stream_subgraphs": True}
    return str(start(server, at, kind, input, **shown, **body)["run_id"])


def read_run(server: Running, at: str, run_id: str) -> list[bytes]:
    """Return all that a run has said, when it has ended."""
    server.http.get(f"/threads/{at}/runs/{run_id}/join")
    return asyncio.run(server.service.db.read(frames_of, run_id))


def frames_of(connection: Connection, run_id: str) -> list[bytes]:
    """Return what is stored of what a run has said."""
    events = run_events.c
    query = select(events.frame).where(events.run_id == run_id).order_by(events.seq)
    return [bytes(frame) for frame in connection.scalars(query)]


def parsed(frames: Sequence[bytes]) -> list[Event]:
    """Return the events that are in frames."""
    return parse("".join(frame.decode() for frame in frames))


def check(
    here: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    every: int,
    *,
    is_protocol: bool = False,
    **body: Any,
) -> None:
    """Go on from moments of a run, and compare its stream with that of the run itself."""
    graphs = {kind: KINDS[kind][0]}
    with running(config_of(graphs, here / "first")) as server:
        at = thread(server)
        with moments(server, here / "moments", monkeypatch, every) as found:
            run_id = begin(server, at, kind, is_protocol=is_protocol, **body)
            undisturbed = parsed(read_run(server, at, run_id))
        left = server.http.get(f"/threads/{at}").json()
    assert len(found) > 1
    for moment in found:
        with running(config_of(graphs, moment.files)) as server:
            frames = read_run(server, at, run_id)
            now = server.http.get(f"/threads/{at}").json()
        events = parsed(frames)
        assert "\n".join(plain(events)) == "\n".join(plain(undisturbed)), moment.files
        # What a client had read is what it finds when it comes back.
        assert frames[: len(moment.read)] == moment.read, moment.files
        assert _live(events) == _live(undisturbed)
        assert now["status"] == left["status"]
        assert anonymous(json.dumps(now["values"])) == anonymous(json.dumps(left["values"]))


def _live(events: Sequence[Event]) -> set[str]:
    """Return what tasks have said in their course: those that run again say it again."""
    told = [event.data for event in events if event.name.startswith("custom")]
    return {str(one["params"]["data"] if "params" in one else one) for one in map(_as_dict, told)}


def _as_dict(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {"said": data}


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_stream_is_whole_whenever_its_server_ends(
    durability: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(tmp_path, "nested", monkeypatch, 4 if durability == "async" else 7, durability=durability)


def test_protocol_events_are_whole_whenever_their_server_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(tmp_path, "asking", monkeypatch, 3, is_protocol=True)


@pytest.mark.long
@pytest.mark.timeout(600)  # a server is started for each write
@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize("kind", KINDS)
def test_streams_of_all_kinds_of_graphs_are_whole_whenever_their_server_ends(
    kind: str, durability: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(tmp_path, kind, monkeypatch, 1, durability=durability)


@pytest.mark.long
@pytest.mark.timeout(600)  # a server is started for each write
@pytest.mark.parametrize("kind", KINDS)
def test_protocol_events_of_all_kinds_of_graphs_are_whole_whenever_their_server_ends(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(tmp_path, kind, monkeypatch, 1, is_protocol=True)
