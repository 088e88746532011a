"""Webhooks: what they are told, where they may go, and that they are told in the end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, func, select

import waiting
from millstream.server.errors import ApiError, ConfigError
from millstream.server.service import Service
from millstream.server.storage import deliveries, tables
from millstream.server.webhooks.policy import is_public, policy_of
from server.clocks import HandClock
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.recordings import FOLDER, WITH_RECORDINGS

HERE = {"url": {"allow_private": True, "require_https": False}}
SLOW = {"assistant_id": "slow", "input": {"n": 1, "delay": 0}}


class Receiver:
    """Somebody who is told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.statuses: list[int] = []
        """What is answered first; 200 from then on."""
        self.got: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def bodies(self) -> list[Any]:
        """Return what came."""
        return [json.loads(content) for _, _, content in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give somebody who is told."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): text for name, text in self.headers.items()}
            known.got.append((self.path, headers, content))
            self.send_response(known.statuses.pop(0) if known.statuses else 200)
            self.send_header("location", "http://127.0.0.1:9/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook?token=x")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def serving(directory: Path, webhooks: Any = None) -> Iterator[Running]:
    """Serve with a policy."""
    with running(config_of(make_graphs(), directory, webhooks=webhooks)) as server:
        yield server


def left(connection: Connection) -> int:
    """Return how many deliveries are stored."""
    return connection.scalar(select(func.count()).select_from(tables.deliveries)) or 0


def recorded_bodies() -> list[dict[str, Any]]:
    """Return what the recorded webhook was told: of a success, and of a failure."""
    lines = (FOLDER / "webhook_received.txt").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"run_id"')]


@WITH_RECORDINGS
def test_a_webhook_is_told_what_the_recorded_one_was_told(
    tmp_path: Path, receiver: Receiver
) -> None:
    with serving(tmp_path, HERE) as server:
        thread = server.http.post("/threads", json={}).json()["thread_id"]
        for boom in ({}, {"boom": True}):
            run = {
                "assistant_id": "slow",
                "input": {"n": 1, "delay": 0, **boom},
                "webhook": receiver.url,
                "metadata": {"mm": 1},
            }
            server.http.post(f"/threads/{thread}/runs/wait", json=run)
            assert waiting.until(lambda known=bool(boom): len(receiver.got) > known)

    for got, expected in zip(receiver.bodies, recorded_bodies(), strict=True):
        assert list(got) == list(expected)
        for key in ("status", "error", "multitask_strategy"):
            assert got.get(key) == expected.get(key)
        assert got["values"] == {**expected["values"], "delay": 0}
        assert got["kwargs"]["webhook"] == receiver.url
        assert got["run_started_at"] <= got["run_ended_at"] <= got["webhook_sent_at"]
    path, headers, _ = receiver.got[0]
    assert path == "/hook?token=x"
    assert headers["content-type"] == "application/json"
    assert "webhook-signature" not in headers


@pytest.mark.parametrize("path", ["/runs", "/runs/wait", "/runs/stream"])
def test_a_run_without_a_thread_tells_what_it_has_left(
    tmp_path: Path, receiver: Receiver, path: str
) -> None:
    with serving(tmp_path, HERE) as server:
        server.http.post(path, json={**SLOW, "webhook": receiver.url})
        assert waiting.until(lambda: receiver.got)

    assert receiver.bodies[0]["values"]["seen"] == [1, -1]
    assert receiver.bodies[0]["status"] == "success"


def test_who_is_told_can_see_who_tells(tmp_path: Path, receiver: Receiver) -> None:
    policy = {**HERE, "secret": "whsec_c2VjcmV0", "headers": {"X-Team": "blue"}}
    with serving(tmp_path, policy) as server:
        server.http.post("/runs/wait", json={**SLOW, "webhook": receiver.url})
        assert waiting.until(lambda: receiver.got)

    _, headers, content = receiver.got[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + content
    expected = base64.b64encode(hmac.digest(b"secret", signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["x-team"] == "blue"


@asynccontextmanager
async def opened(directory: Path, clock: HandClock, policy: Any = HERE) -> Any:
    """Give a service at a time of day."""
    config = config_of(make_graphs(), directory, webhooks=policy)
    async with Service.open(config, clock) as service:
        service.webhooks._jitter = lambda: 0.5
        yield service


async def settled(service: Service, clock: HandClock) -> None:
    """Wait until all that is due has been tried."""
    webhooks = service.webhooks
    assert await waiting.auntil(
        lambda: not webhooks.is_awake and not webhooks._sending and clock.is_quiet
    )


def test_who_fails_is_told_again_later_and_at_last_left_alone(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    clock = HandClock("2026-11-20T12:00:00+00:00")
    start = clock.now()
    receiver.statuses = [500, 302, 404] + [503] * 20

    async def main() -> list[float]:
        pauses = []
        async with opened(tmp_path, clock) as service:
            await service.db.write(deliveries.add, "r", receiver.url, {"run_id": "r"})
            service.webhooks.wake()
            while True:
                await settled(service, clock)
                following = await service.db.read(deliveries.next_attempt)
                if following is None:
                    break
                last = clock.now()
                clock.put(start.fromisoformat(following) - timedelta(microseconds=1))
                await settled(service, clock)
                count = len(receiver.got)
                clock.put(start.fromisoformat(following))
                pauses.append((clock.now() - last).total_seconds())
                assert await waiting.auntil(lambda known=count: len(receiver.got) > known)
            assert await service.db.read(left) == 0
        return pauses

    assert asyncio.run(main()) == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert len(receiver.got) == 10
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    assert "the webhook of run r is given up after 10 attempts" in caplog.text


def test_a_webhook_is_told_by_the_next_process_if_this_one_ends(
    tmp_path: Path, receiver: Receiver
) -> None:
    clock = HandClock("2026-11-20T12:00:00+00:00")

    async def main() -> None:
        receiver.statuses = [503]
        async with opened(tmp_path, clock) as service:
            await service.db.write(deliveries.add, "r", receiver.url, {"run_id": "r"})
            service.webhooks.wake()
            assert await waiting.auntil(lambda: receiver.got)
            await settled(service, clock)
        assert len(receiver.got) == 1
        clock.advance(seconds=5)
        async with opened(tmp_path, clock) as service:
            await settled(service, clock)
            assert await service.db.read(left) == 0
        assert len(receiver.got) == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://localhost:2024/threads",
        "http://LOCALHOST./",
        "https://a.localhost/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/",
        "http://[fd00::1]/",
        "http://224.0.0.1/",
        "http://metadata.google.internal/",
        "http://user@127.0.0.1/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "/runs",
        "nonsense",
        "http://",
        "http://example.com:99999/",
        "https://example.com/" + "x" * 3000,
    ],
)
def test_trap_35_a_webhook_that_leads_inwards_is_refused_at_once(server: Running, url: str) -> None:
    thread = server.http.post("/threads", json={}).json()["thread_id"]
    cron = {**SLOW, "schedule": "0 0 1 1 *", "webhook": url}
    for path in (f"/threads/{thread}/runs", "/runs", "/runs/wait", "/runs/stream", "/runs/crons"):
        response = server.http.post(path, json=cron)
        assert (response.status_code, response.json()["detail"][:16]) == (422, "Invalid webhook:")
    response = server.http.post("/runs/batch", json=[SLOW, cron])
    assert response.status_code == 422
    assert server.http.get(f"/threads/{thread}/runs").json() == []


@pytest.mark.parametrize("host", ["hooks.example.com", "[2606:4700::1111]"])
def test_trap_35_a_name_that_leads_inwards_is_refused_when_it_is_looked_up(
    host: str, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one as if there were a route that does so."""
    clock = HandClock("2026-11-20T12:00:00+00:00")
    port = int(receiver.url.partition("?")[0].rpartition(":")[2].partition("/")[0])

    async def main(policy: Any) -> None:
        async with opened(tmp_path, clock, policy) as service:
            loop = asyncio.get_running_loop()
            looked_up = []

            async def found(host: str, port: int, **_: Any) -> Any:
                looked_up.append(host)
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

            monkeypatch.setattr(loop, "getaddrinfo", found, raising=False)
            url = f"http://{host}:{port}/hook"
            await service.db.write(deliveries.add, "r", url, {"run_id": "r"})
            service.webhooks.wake()
            await waiting.auntil(lambda: looked_up)
            await settled(service, clock)
            assert await service.db.read(left) == 0
            assert looked_up[0] == host.strip("[]")

    asyncio.run(main({"url": {"require_https": False}}))
    assert receiver.got == []
    # Where it is allowed it goes to the address that was found, by the name that was given.
    asyncio.run(main(HERE))
    assert [headers["host"] for _, headers, _ in receiver.got] == [f"{host}:{port}"]


def test_a_policy_says_where_webhooks_may_go() -> None:
    policy = policy_of(
        {
            "url": {"allowed_domains": ["*.Example.com", "hooks.test"], "allowed_ports": [443]},
            "headers": {"authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}"},
        },
        environment={"LG_WEBHOOK_TOKEN": "abc"},
    )

    policy.check("https://a.example.com/hook")
    policy.check("https://hooks.test:443/")
    policy.check(None)
    assert policy.headers == {"authorization": "Bearer abc"}
    for url, said in (
        ("http://a.example.com/", "https://"),
        ("https://a.example.com:8443/", "port 8443"),
        ("https://example.org/", "example.org is none of"),
        ("https://a.example.com.evil.org/", "is none of"),
    ):
        with pytest.raises(ApiError, match=said):
            policy.check(url)
    with pytest.raises(ApiError, match="disabled"):
        policy_of(None, is_disabled=True).check("https://example.com/")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"urls": {}}, "no key 'urls'"),
        ({"url": {"require_http": True}}, "no key 'require_http'"),
        ({"url": {"allowed_ports": 443}}, "allowed_ports is a list"),
        ({"url": 1}, "webhooks.url is an object"),
        ({"headers": {"a": 1}}, "webhooks.headers.a is a text"),
        ({"headers": {"a": "${{ env.HOME }}"}}, "does not begin with 'LG_WEBHOOK_'"),
        ({"headers": {"a": "${{ env.LG_WEBHOOK_X }}"}}, "not in the environment"),
        ({"secret": "whsec_%"}, "no base64"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(given: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        policy_of(given, environment={"HOME": "/root"})


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "1.1.1.1", "2002:5db8:d822::1"],
)
def test_public_addresses_may_be_told(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "::1",
        "::",
        "fe80::1%eth0",
        "fec0::1",
        "ff0e::1",
        "2001:0:1::1",
        "2001:db8::1",
        "5f00::1",
        # IPv4 addresses in disguise
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:a00:1::1",
        # what machines in somebody's cloud ask about themselves
        "169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "192.88.99.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
def test_other_addresses_are_not_told(address: str) -> None:
    assert not is_public(address)


@pytest.mark.long
@pytest.mark.parametrize("status", [302, 307])
def test_who_is_told_cannot_send_it_elsewhere(
    status: int, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def send(client: Any, request: httpx.Request, **options: Any) -> httpx.Response:
        asked.append(str(request.url))
        return await sends(client, request, **options)

    sends = httpx.AsyncClient.send
    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    receiver.statuses = [status]
    with serving(tmp_path, HERE) as server:
        server.http.post("/runs/wait", json={**SLOW, "webhook": receiver.url})
        assert waiting.until(lambda: len(receiver.got) == 2)
    # It has location 127.0.0.1:9, which nobody has gone to: the second time is a time like others.
    assert {httpx.URL(url).port for url in asked} == {httpx.URL(receiver.url).port}
