"""Requests that are made from the API's own description: each is answered, and leaves nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from millstream.server.api.routing import OPERATIONS
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.held import held, kept
from server.streams import start, thread

TAGS: Final = sorted({each.tag for each in OPERATIONS})
EXAMPLES: Final = 20
"""Of each operation, right ones and as many wrong ones."""
LONG: Final = ("/stream", "/stream/events", "/wait", "/join")
"""What may be answered for as long as a run takes, and longer."""


class Fire:
    """Sends what is generated to a server, and keeps what it failed at."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.session = requests.Session()
        self.faults: list[str] = []
        self.answers = 0
        self.succeeded = 0
        at = thread(server)
        run = start(server, at, "chat", {"messages": []})
        assistants = server.http.post("/assistants/search", json={}).json()
        cron = server.http.post(
            "/runs/crons", json={"assistant_id": "chat", "schedule": "0 0 1 1 *"}
        ).json()
        self.ids: Mapping[str, list[str]] = {
            "thread_id": [at],
            "run_id": [run["run_id"]],
            "assistant_id": [each["assistant_id"] for each in assistants],
            "cron_id": [cron["cron_id"]],
        }

    def send(self, case: Any, random: Random) -> None:
        """Send a request, mostly about something that there is."""
        for name, known in self.ids.items():
            for place in (case.path_parameters, case.body):
                if isinstance(place, dict) and name in place and random.random() < 0.7:
                    place[name] = random.choice(known)
        request = case.as_transport_kwargs(base_url=self.server.url)
        told = f"{request['method']} {request['url']} {str(request)[:500]}"
        try:
            with self.session.request(
                **request, timeout=20, stream=True, allow_redirects=False
            ) as response:
                self.answers += 1
                self.succeeded += response.status_code < 300
                text = "" if case.operation.path.endswith(LONG) else response.text
                if response.status_code >= 500:
                    self.faults.append(f"{response.status_code} {text or response.text}: {told}")
        except requests.RequestException as error:
            self.faults.append(f"{error!r}: {told}")

    def close(self) -> None:
        """Close the connections."""
        self.session.close()


def fire(server: Running, tags: list[str], examples: int) -> Fire:
    """Send right and wrong requests to all operations of some resources."""
    import schemathesis

    described = server.http.get("/openapi.json").json()
    operations = [
        found.ok() for found in schemathesis.openapi.from_dict(described).get_all_operations()
    ]
    known = {(each.method, each.path) for each in OPERATIONS if each.tag in tags}
    at = Fire(server)
    for operation in operations:
        if (operation.method.upper(), operation.path) not in known:
            continue
        modes = [schemathesis.GenerationMode.POSITIVE]
        asked = described["paths"][operation.path][operation.method]
        body = asked.get("requestBody", {}).get("content", {}).get("application/json", {})
        if body.get("schema") or any(
            each["in"] == "query" or "format" in each["schema"]
            for each in asked.get("parameters", ())
        ):
            modes.append(schemathesis.GenerationMode.NEGATIVE)
        for mode in modes:

            @seed(4)
            @settings(
                max_examples=examples,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(operation.as_strategy(generation_mode=mode), st.randoms(use_true_random=False))
            def send(case: Any, random: Random) -> None:
                at.send(case, random)

            send()
    at.close()
    return at


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:Do not use the .random. module inside strategies")  # others do
@pytest.mark.parametrize("tag", TAGS)
def test_requests_made_from_the_description_are_answered(
    tag: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(make_graphs(), tmp_path, n_jobs_per_worker=4)
    with caplog.at_level(logging.ERROR), running(config) as server:
        before = held(server)
        at = fire(server, [tag], EXAMPLES)
        assert not at.faults, "\n".join(at.faults)
        server.http.post("/runs/cancel", json={"status": "all"})
        assert kept(server, before) == {}
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
