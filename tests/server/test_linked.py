"""Requests that follow the links of the API's own description, from what was made to its end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
import requests
from hypothesis import HealthCheck, Phase, seed, settings

from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.held import held, kept

ROUNDS: Final = 10
SCENARIOS: Final = 30
STEPS: Final = 25
ITEMS: Final = "/store/items"
MADE: Final = (
    "/assistants/{assistant_id}",
    "/threads/{thread_id}",
    "/threads/{thread_id}/runs/{run_id}",
    "/runs/crons/{cron_id}",
)
"""What there is to be got, and deleted."""
UNLIKELY: Final = (
    "checkpoint",
    "checkpoint_id",
    "config",
    "context",
    "end_time",
    "supersteps",
    "thread_id",
    "timezone",
    "webhook",
)
"""What is refused with nearly any value that somebody makes up."""
ENDLESS: Final = r"/stream(/events)?$"


def described(server: Running) -> dict[str, Any]:
    """Return the description, with links for items: their address is in what was asked."""
    found: dict[str, Any] = server.http.get("/openapi.json").json()
    item = {"namespace": "$request.body#/namespace", "key": "$request.body#/key"}
    found["paths"][ITEMS]["put"]["responses"]["204"]["links"] = {
        "get": {"operationId": "store_get", "parameters": {"key": item["key"]}},
        "delete": {"operationId": "store_delete", "requestBody": item},
    }
    # Nothing begins with a PUT.
    begun = found["paths"]["/threads"]["post"]["responses"]["200"]["links"]
    begun["put"] = {"operationId": "store_put"}
    return found


class Told:
    """What a server has answered, and where it contradicts itself."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.succeeded: Counter[str] = Counter()
        self._gone: set[str] = set()
        """Paths that something was deleted from."""
        self._shown: dict[str, Any] = {}
        """By path, what a change was answered with."""

    def note(self, case: Any, response: Any) -> None:
        """Note an answer, and what is wrong with it."""
        method, path = case.operation.method.upper(), case.operation.path
        where = case.formatted_path
        said = response.content.decode(errors="replace")  # a recording is no text
        told = f"{method} {where} {str(case.body)[:300]}: {response.status_code} {said}"
        if response.status_code >= 500:
            self.faults.append(told)
        is_done = response.status_code < 300
        if is_done:
            self.succeeded[f"{method} {path}"] += 1
        if is_done and method == "POST":
            # A run may make its thread anew.
            self._gone -= {gone for gone in self._gone if where.startswith(gone)}
        if not is_done or path not in MADE:
            return
        if method == "GET":
            if where in self._gone:
                self.faults.append(f"it was deleted: {told}")
            if self._shown.get(where, response.json()) != response.json():
                self.faults.append(f"it was changed to {self._shown[where]}: {told}")
        self._shown.pop(where, None)
        if method == "DELETE":
            self._gone.add(where)
        elif method == "PATCH" and not path.startswith("/threads") and response.content:
            self._shown[where] = response.json()


def follow(server: Running, is_enough: Callable[[Told], bool]) -> Told:
    """Follow links, each time from something new, until enough was seen or nobody believes in it.

    Where they lead depends on ids, which are others each time.
    """
    import schemathesis

    schema = schemathesis.openapi.from_dict(described(server)).exclude(path_regex=ENDLESS)
    schema.config.phases.stateful.inference.algorithms = []  # our links, no guessed ones
    told = Told()
    session = requests.Session()
    namespaces: dict[str, list[str]] = {}

    class Machine(schema.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: Any) -> None:
            """Have what is asked for make sense, mostly: few texts are a schedule."""
            random = Random(f"{case.operation.label} {case.body}")  # the same for the same case
            sensible = {"assistant_id": "chat", "graph_id": "chat", "schedule": "0 0 1 1 *"}
            body = case.body
            if isinstance(body, dict):
                for name, value in sensible.items():
                    if name in body and random.random() < 0.9:
                        body[name] = value
                for name in UNLIKELY:
                    if random.random() < 0.9:
                        body.pop(name, None)
                body.pop("after_seconds", None)  # whoever joins it would wait as long
                if case.path == "/assistants":
                    body.pop("assistant_id", None)
                if case.path == ITEMS and "value" in body and isinstance(body.get("key"), str):
                    if random.random() < 0.9:
                        body["namespace"] = random.choice([["a"], ["a", "b"], ["é"]])
                    namespaces[body["key"]] = body.get("namespace", [])
            if case.path == ITEMS and isinstance(case.query, dict):
                labels = namespaces.get(case.query.get("key", ""))
                if isinstance(labels, list):
                    case.query["namespace"] = ".".join(map(str, labels))

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"base_url": server.url, "session": session, "timeout": 20}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            told.note(case, response)

    for number in range(ROUNDS):
        seed(number)(Machine)
        Machine.run(
            settings=settings(
                max_examples=SCENARIOS,
                stateful_step_count=STEPS,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
        )
        if told.faults or is_enough(told):
            break
    session.close()
    return told


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:Do not use the .random. module inside strategies")  # others do
def test_what_was_made_is_got_changed_and_gone_when_it_is_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(make_graphs(), tmp_path, n_jobs_per_worker=4)
    wanted = {f"{method} {path}" for path in (*MADE, ITEMS) for method in ("GET", "DELETE")}
    wanted |= {f"PATCH {path}" for path in MADE if "run_id" not in path}
    with caplog.at_level(logging.ERROR), running(config) as server:
        before = held(server)
        told = follow(server, lambda told: wanted <= told.succeeded.keys())
        assert not told.faults, "\n".join(told.faults)
        server.http.post("/runs/cancel", json={"status": "all"})
        assert kept(server, before) == {}
    assert wanted <= told.succeeded.keys()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:Do not use the .random. module inside strategies")
@pytest.mark.parametrize(
    ("planted", "said"),
    [("crons.delete", "it was deleted"), ("assistants.patch", "it was changed")],
)
def test_links_notice_what_is_not_done(
    planted: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def do_nothing(*args: Any, **named: Any) -> Any:
        return {"nothing": "done"}

    monkeypatch.setattr(f"millstream.server.storage.{planted}", do_nothing)
    with running(config_of(make_graphs(), tmp_path)) as server:
        told = follow(server, lambda told: False)
    assert any(fault.startswith(said) for fault in told.faults)
