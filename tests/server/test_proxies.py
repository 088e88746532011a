"""Behind nginx and haproxy, as Debian has them and with the files in `deploy`."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from typing_extensions import TypedDict
from websockets.sync.client import connect

import waiting
from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from server.fixtures import Running, config_of, running
from server.protocol import listening, result
from server.proxying import Kind, Proxy, as_server, program, proxying
from server.streams import Event, live

KINDS: Final[tuple[Kind, ...]] = ("nginx", "haproxy")
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.real_time(reason="other processes take their time"),
    *(pytest.mark.skipif(program(kind) is None, reason=f"there is no {kind}") for kind in KINDS),
]
_names = itertools.count()


class State(TypedDict, total=False):
    gate: str
    count: int
    size: int
    said: int


class Gate:
    """What a node waits at, until a test lets it on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._let = asyncio.Semaphore(0)

    async def wait(self) -> None:
        """Wait; in the node."""
        await self._let.acquire()

    def open(self) -> None:
        """Let the node on once; in the test."""
        self._loop.call_soon_threadsafe(self._let.release)


GATES: Final[dict[str, Gate]] = {}


async def speak(state: State) -> dict[str, Any]:
    """Say one thing after another, each when it is let."""
    gate = GATES[state["gate"]] = Gate()
    writer = get_stream_writer()
    writer({"i": 0})
    for i in range(1, state["count"]):
        await gate.wait()
        writer({"i": i})
    return {"said": state["count"]}


async def shout(state: State) -> dict[str, Any]:
    writer = get_stream_writer()
    for i in range(state["count"]):
        writer({"i": i, "text": "x" * state["size"]})
    return {"said": state["count"]}


def of(node: Callable[[State], Any]) -> Any:
    """Return a graph with one node."""
    return StateGraph(State).add_node("node", node).add_edge(START, "node").compile()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server whose graphs say what they are let say."""
    graphs = {"gated": of(speak), "loud": of(shout)}
    with running(config_of(graphs, tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def proxy(
    request: pytest.FixtureRequest, server: Running, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """Give a proxy before it."""
    with proxying(request.param, server.url, tmp_path_factory.mktemp("proxy")) as proxy:
        yield proxy


def gated(count: int) -> dict[str, Any]:
    """Return the input of a run of its own gate."""
    return {"gate": f"gate {next(_names)}", "count": count}


def pass_gate(input: dict[str, Any]) -> None:
    """Let a run say the next thing."""
    waiting.until(lambda: input["gate"] in GATES)
    GATES[input["gate"]].open()


def customs(events: Iterator[Event]) -> Iterator[Any]:
    """Yield what a node wrote."""
    return (event.data for event in events if event.name == "custom")


def body_of(input: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the body of a run."""
    return {"assistant_id": "gated", "input": input, "stream_mode": ["custom"], **more}


def read_in_turn(input: dict[str, Any], said: Iterator[Any]) -> None:
    """Read each thing before the next one is said: a proxy that waits for more gets no more."""
    assert next(said) == {"i": 0}
    for i in range(1, input["count"]):
        pass_gate(input)
        assert next(said) == {"i": i}


def made(server: Running) -> str:
    """Make a thread, and return its id."""
    return str(server.http.post("/threads", json={}).json()["thread_id"])


def test_events_come_one_by_one_and_not_compressed(proxy: Proxy, server: Running) -> None:
    input = gated(5)
    path = f"/threads/{made(server)}/runs/stream"
    headers = {"accept-encoding": "gzip, deflate, br"}

    with proxy.http.stream("POST", path, json=body_of(input), headers=headers) as response:
        assert "content-encoding" not in response.headers
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["location"].startswith("/threads/")
        said = customs(live(response))
        read_in_turn(input, said)
        assert list(said) == []


def test_who_joins_a_run_reads_it_as_it_goes_on(proxy: Proxy, server: Running) -> None:
    input = gated(4)
    thread = made(server)
    run = server.http.post(
        f"/threads/{thread}/runs", json=body_of(input, stream_resumable=True)
    ).json()["run_id"]
    path = f"/threads/{thread}/runs/{run}/stream"

    with proxy.http.stream("GET", path, headers={"last-event-id": "-1"}) as response:
        read_in_turn(input, customs(live(response)))


def test_events_of_the_protocol_come_one_by_one(proxy: Proxy, server: Running) -> None:
    input = gated(4)
    at = str(uuid.uuid4())

    with listening(as_server(proxy, server), at, "custom") as events:
        result(as_server(proxy, server), at, "run.start", assistant_id="gated", input=input)
        read_in_turn(input, (event.data["params"]["data"]["payload"] for event in events))


def test_events_come_one_by_one_over_a_websocket(proxy: Proxy, server: Running) -> None:
    input = gated(4)
    started = {"assistant_id": "gated", "input": input}

    with connect(f"{proxy.ws}/threads/{uuid.uuid4()}/stream/events") as socket:
        for method, params in (
            ("subscription.subscribe", {"channels": ["custom"]}),
            ("run.start", started),
        ):
            socket.send(json.dumps({"id": 1, "method": method, "params": params}))
        received = (json.loads(socket.recv(timeout=30)) for _ in itertools.count())
        events = (each for each in received if each["type"] == "event")
        read_in_turn(input, (each["params"]["data"]["payload"] for each in events))


def test_who_waits_for_a_result_gets_signs_of_life_meanwhile(proxy: Proxy, server: Running) -> None:
    input = gated(2)
    path = f"/threads/{made(server)}/runs/wait"

    with proxy.http.stream("POST", path, json=body_of(input)) as response:
        pieces = response.iter_raw()
        assert next(pieces) == b"\n"
        pass_gate(input)
        assert json.loads(b"".join(pieces))["said"] == 2


def test_a_connection_is_used_again(proxy: Proxy, server: Running) -> None:
    host = proxy.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    body = json.dumps({"assistant_id": "loud", "input": {"count": 3, "size": 10}})
    headers = {"content-type": "application/json"}
    sockets = set()

    for method, path, sent in (
        ("GET", "/ok", None),
        ("POST", f"/threads/{made(server)}/runs/stream", body),
        ("POST", "/runs/wait", body),
        ("GET", "/threads/nothing", None),
        ("GET", "/info", None),
    ):
        connection.request(method, path, sent, headers)
        sockets.add(connection.sock)
        response = connection.getresponse()
        assert response.version == 11
        assert response.read()
    connection.close()

    assert len(sockets) == 1


@pytest.mark.parametrize("way", ["stream", "wait", "join"])
def test_a_run_is_cancelled_when_its_client_goes_away(
    proxy: Proxy, server: Running, way: str
) -> None:
    input = gated(2)
    thread = made(server)
    body = body_of(input, on_disconnect="cancel")
    method, path = "POST", f"/threads/{thread}/runs/{way}"
    if way == "join":
        run = server.http.post(f"/threads/{thread}/runs", json=body_of(input)).json()["run_id"]
        method, path = "GET", f"/threads/{thread}/runs/{run}/stream?cancel_on_disconnect=true"

    with proxy.http.stream(method, path, json=None if way == "join" else body):
        waiting.until(lambda: input["gate"] in GATES)

    def statuses() -> list[str]:
        return [run["status"] for run in server.http.get(f"/threads/{thread}/runs").json()]

    assert waiting.until(lambda: statuses() == ["interrupted"]), statuses()


def test_who_reads_slowly_reads_everything_and_holds_nobody_up(
    proxy: Proxy, server: Running
) -> None:
    count, size = 4000, 4096
    thread = made(server)
    body = body_of({"count": count, "size": size}) | {"assistant_id": "loud"}

    with proxy.http.stream("POST", f"/threads/{thread}/runs/stream", json=body) as response:
        said = customs(live(response))
        assert next(said)["i"] == 0
        # Nothing is read until the run has ended.
        [run] = server.http.get(f"/threads/{thread}/runs").json()
        server.http.get(f"/threads/{thread}/runs/{run['run_id']}/join")
        assert [each["i"] for each in said] == list(range(1, count))
    # nginx says so when it takes what its client does not, and puts it into a file.
    assert not proxy.errors.exists() or "to a temporary file" not in proxy.errors.read_text()


def test_a_quiet_stream_stays_open_beyond_the_timeouts(server: Running, tmp_path: Path) -> None:
    pause, timeout = 15, 8
    with ExitStack() as stack:
        streams = []
        for kind in KINDS:
            (tmp_path / kind).mkdir()
            proxy = stack.enter_context(proxying(kind, server.url, tmp_path / kind, timeout))
            input = gated(2)
            streaming = proxy.http.stream("POST", "/runs/stream", json=body_of(input))
            streams.append((input, customs(live(stack.enter_context(streaming)))))
        for _, said in streams:
            assert next(said) == {"i": 0}
        time.sleep(pause)
        for input, said in streams:
            pass_gate(input)
            assert next(said) == {"i": 1}
            assert list(said) == []


@pytest.mark.parametrize("kind", KINDS)
def test_several_servers_are_one_and_the_rest_answers_when_one_has_ended(
    kind: Kind, new_database: str, tmp_path: Path
) -> None:
    def serving(name: str) -> ExitStack:
        ending = stack.enter_context(ExitStack())
        directory = tmp_path / name
        directory.mkdir()
        config = config_of({"loud": of(shout)}, directory, database=new_database)
        servers.append(ending.enter_context(running(config)))
        return ending

    def ask(times: int) -> list[int]:
        return [proxy.http.post("/threads", json={}).status_code for _ in range(times)]

    def asked(server: Running) -> int:
        return int(server.service.metrics.requests["POST", "/threads", 200])

    servers: list[Running] = []
    with ExitStack() as stack:
        first, _ = serving("a"), serving("b")
        one, two = servers
        proxy = stack.enter_context(proxying(kind, one.url, tmp_path, other=two.url))
        assert ask(20) == [200] * 20
        assert asked(one) + asked(two) == 20
        assert min(asked(one), asked(two)) > 0
        before = asked(two)
        first.close()
        assert ask(20) == [200] * 20
        assert asked(two) == before + 20
