"""What `/metrics` tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

import waiting
from millstream.server.config import LimitsConfig
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs

SLOW = {"assistant_id": "slow", "input": {"n": 1, "delay": 0}}
LONG = {"assistant_id": "slow", "input": {"n": 1, "delay": 600}}


def read(server: Running) -> dict[tuple[str, ...], float]:
    """Return samples by their names and labels."""
    response = server.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_metrics_tell_what_runs_have_come_to(tmp_path: Path) -> None:
    with running(config_of(make_graphs(), tmp_path)) as server:
        thread = server.http.post("/threads", json={}).json()["thread_id"]
        path = f"/threads/{thread}/runs"
        for boom in (False, True):
            server.http.post(
                f"{path}/wait", json={**SLOW, "input": {**SLOW["input"], "boom": boom}}
            )
        assert waiting.until(lambda: ("millstream_runs_total", "error") in read(server))
        found = read(server)

    assert found["millstream_runs_total", "success"] == 1
    assert found["millstream_runs_total", "error"] == 1
    assert found["millstream_run_queue_seconds_count", "0"] == 2
    assert 0 <= found["millstream_run_queue_seconds_sum", "0"] < 60
    for name in ("first_event", "run"):
        assert found[f"millstream_{name}_seconds_count",] == 2
        assert 0 <= found[f"millstream_{name}_seconds_sum",] < 60
    assert found["millstream_events_total",] > 4
    waited = ("lg_api_http_requests_total", "POST", "/threads/{thread_id}/runs/wait", "200")
    assert found[waited] == 2
    assert found["millstream_loop_lag_seconds",] < 60


def test_metrics_tell_how_long_runs_wait_by_their_priority(tmp_path: Path) -> None:
    with running(config_of(make_graphs(), tmp_path)) as server:
        for priority in (-5, 5, 5):
            server.http.post("/runs/wait", json={**SLOW, "priority": priority})
        found = read(server)

    counts = {
        labels: value
        for (name, *labels), value in found.items()
        if name == "millstream_run_queue_seconds_count"
        for labels in ["".join(labels)]
    }
    assert counts == {"-5": 1, "5": 2}


def test_metrics_tell_what_was_refused(tmp_path: Path) -> None:
    limits = LimitsConfig(runs_per_minute=1)
    with running(config_of(make_graphs(), tmp_path, limits=limits)) as server:
        codes = [server.http.post("/runs/wait", json=SLOW).status_code for _ in range(3)]
        found = read(server)

    assert codes == [200, 429, 429]
    assert found["millstream_refused_total", "runs"] == 2


def test_metrics_tell_what_waits_and_for_how_long(tmp_path: Path) -> None:
    def get() -> Any:
        return server.http.get("/metrics", params={"format": "json"}).json()

    with running(config_of(make_graphs(), tmp_path, n_jobs_per_worker=1)) as server:
        idle = get()
        thread = server.http.post("/threads", json={}).json()["thread_id"]
        with server.http.stream("POST", f"/threads/{thread}/runs/stream", json=LONG) as response:
            chunks = response.iter_raw()
            next(chunks)
            server.http.post(f"/threads/{thread}/runs", json=SLOW)
            server.http.post("/runs", json=SLOW)
            server.http.post("/runs", json={**SLOW, "after_seconds": 600})
            # By the clock of the database they may have come just now.
            # Another look may be by a clock that has been corrected by a moment since.
            looks: list[Any] = []

            def is_waiting() -> bool:
                looks.append(get())
                return bool(looks[-1]["queue"]["pending_runs_wait_time_max_secs"])

            assert waiting.until(is_waiting)
            busy = looks[-1]
            samples = read(server)
            server.http.post("/runs/cancel", json={"status": "all"})
        assert waiting.until(lambda: read(server)["millstream_streams_open",] == 0)

    assert idle["queue"] == {
        "n_pending": 0,
        "pending_runs_wait_time_max_secs": None,
        "pending_runs_wait_time_med_secs": None,
        "pending_unblocked_runs_wait_time_max_secs": None,
        "n_running": 0,
    }
    assert idle["workers"] == {"max": 1, "active": 0, "available": 1}
    assert (busy["queue"]["n_pending"], busy["queue"]["n_running"]) == (2, 1)
    assert busy["queue"]["pending_runs_wait_time_max_secs"] > 0
    assert busy["workers"] == {"max": 1, "active": 1, "available": 0}
    created = {"method": "POST", "path": "/threads", "status": 200, "count": 1}
    assert created in busy["api"]["http_requests_total"]
    assert samples["millstream_streams_open",] == 1
    assert samples["millstream_queue_lag_seconds",] >= samples["millstream_queue_free_lag_seconds",]
    assert samples["millstream_runs_pending",] == 2
