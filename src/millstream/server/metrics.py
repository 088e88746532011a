"""What the server counts, in numbers that cost next to nothing until somebody asks for them.

Names that begin with `lg_api_` are those of the reference server, whose dashboards know them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from statistics import fmean
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import Connection, case, func, select

from millstream.server.storage.tables import UNFINISHED, runs
from millstream.server.storage.times import moment

if TYPE_CHECKING:
    from millstream.server.clock import Clock
    from millstream.server.runs.active import ActiveRun
    from millstream.server.storage.run_records import Job

_SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800,
)  # fmt: skip


class Waiting(NamedTuple):
    """The runs that are under way or wait, as rows tell."""

    running: int = 0
    pending: int = 0
    """Those whose time has come."""
    longest: float | None = None
    """How many seconds the one of these waits already that waits longest; None if there is none."""
    free_longest: float | None = None
    """The same of those that only want a slot: nothing else of their thread is before them."""
    median: float | None = None
    """How long these wait usually, if anybody wants to know that."""


def waiting(connection: Connection, *, with_median: bool) -> Waiting:
    """Return how many runs are under way, and how long others wait."""
    now = moment(connection)

    def seconds(due_at: str | None) -> float | None:
        if due_at is None:
            return None
        return max(0.0, (now - datetime.fromisoformat(due_at)).total_seconds())

    is_running, due_at = runs.c.status == "running", runs.c.due_at
    waits = case((runs.c.status == "pending", due_at))
    query = select(
        func.count(case((is_running, 1))),
        func.count(waits),
        func.min(waits),
        func.min(case((runs.c.turn.is_not(None), due_at))),
    ).where(UNFINISHED)
    running, pending, first, first_free = connection.execute(query).one()
    median = None
    if with_median and pending:
        middle = (
            select(due_at)
            .where(UNFINISHED, runs.c.status == "pending", due_at.is_not(None))
            .order_by(due_at)
            .offset((pending - 1) // 2)
            .limit(2 - pending % 2)
        )
        median = fmean(seconds(time) or 0.0 for time in connection.scalars(middle))
    return Waiting(running, pending, seconds(first), seconds(first_free), median)


class Metrics:
    """The numbers of one server."""

    def __init__(self, slots: int, clock: Clock) -> None:
        self._clock = clock
        self.requests: Counter[tuple[str, str, int]] = Counter()
        """By method, path and status."""
        self.runs: Counter[str] = Counter()
        """Those that have ended, by their status."""
        self.refused: Mapping[str, int] = {}
        """What clients were refused, by what they had too much of."""
        self.events = 0
        """What ended runs have said."""
        self.replicas = 1
        """Servers on the same database that show that they live, this one among them."""
        self.takeovers = 0
        """How many of them this one has found dead."""
        self.fenced = 0
        """Runs whose events, supersteps or end were refused here, because another one has them."""
        self.rings_sent = self.rings_received = 0
        """What was said to the others, and what they have said; this one hears itself."""
        self.streams = 0
        """Answers that are being streamed or waited for."""
        self.slots: Final = slots
        self.active = 0
        self.waiting = Waiting()
        self.lag = 0.0
        """Seconds until the graphs' event loop got round to something."""
        self.registry: Final = CollectorRegistry()
        PlatformCollector(self.registry)
        ProcessCollector(registry=self.registry)
        self.registry.register(_Collector(self))
        self._queue = Histogram(
            "millstream_run_queue_seconds",
            "From when a run could begin until it began",
            # There are eleven.
            ["priority"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._first, self._whole = (
            Histogram(name, text, buckets=_SECONDS, registry=self.registry)
            for name, text in (
                (
                    "millstream_first_event_seconds",
                    "From when a run could begin to its first event",
                ),
                ("millstream_run_seconds", "From when a run began to its end"),
            )
        )

    def began(self, job: Job) -> None:
        """Note that a run begins."""
        if job.attempt == 1:
            waited = max(0.0, self._clock.seconds() - _could_begin(job))
            self._queue.labels(job.priority).observe(waited)

    def ended(self, active: ActiveRun, status: str | None) -> None:
        """Note that a run has ended."""
        self.fenced += active.was_refused
        if status == "pending":  # it goes on in another process
            return
        self.runs[status or "lost"] += 1
        self.events += active.log.last
        self._whole.observe(monotonic() - active.began_at)
        if active.log.first_ms and active.job.attempt == 1:
            self._first.observe(max(0.0, active.log.first_ms / 1000 - _could_begin(active.job)))

    def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(self.registry)

    def json(self) -> dict[str, Any]:
        """Return the numbers of the queue, the API and the slots."""
        waiting = self.waiting
        return {
            "queue": {
                "n_pending": waiting.pending,
                "pending_runs_wait_time_max_secs": waiting.longest,
                "pending_runs_wait_time_med_secs": waiting.median,
                "pending_unblocked_runs_wait_time_max_secs": waiting.free_longest,
                "n_running": waiting.running,
            },
            "api": {
                "http_requests_total": [
                    {"method": method, "path": path, "status": status, "count": count}
                    for (method, path, status), count in self.requests.items()
                ]
            },
            "workers": {
                "max": self.slots,
                "active": self.active,
                "available": max(0, self.slots - self.active),
            },
        }


class _Collector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield the numbers as they are now."""
        metrics = self._metrics
        requests = CounterMetricFamily(
            "lg_api_http_requests",
            "Requests that were answered",
            labels=["method", "path", "status"],
        )
        for (method, path, status), count in list(metrics.requests.items()):
            requests.add_metric([method, path, str(status)], count)
        yield requests
        ended = CounterMetricFamily("millstream_runs", "Runs that have ended", labels=["status"])
        for status_, count in list(metrics.runs.items()):
            ended.add_metric([status_], count)
        yield ended
        refused = CounterMetricFamily(
            "millstream_refused", "Requests and runs beyond a client's limits", labels=["limit"]
        )
        for limit, count in list(metrics.refused.items()):
            refused.add_metric([limit], count)
        yield refused
        for name, text, count in (
            ("millstream_events", "Events of runs that have ended", metrics.events),
            (
                "millstream_takeovers",
                "Dead servers that it has found",
                metrics.takeovers,
            ),
            ("millstream_fenced", "Runs given up because others have them", metrics.fenced),
            ("millstream_rings_sent", "Notifications to other servers", metrics.rings_sent),
            ("millstream_rings_received", "Notifications heard", metrics.rings_received),
        ):
            yield CounterMetricFamily(name, text, value=count)
        waiting = metrics.waiting
        for name, text, value in (
            ("lg_api_workers_max", "Runs that may go on at a time", metrics.slots),
            ("lg_api_workers_active", "Runs that go on", metrics.active),
            ("lg_api_workers_available", "Runs that may begin", metrics.slots - metrics.active),
            ("millstream_runs_pending", "Runs that wait", waiting.pending),
            ("millstream_runs_running", "Runs that are under way", waiting.running),
            ("millstream_queue_lag_seconds", "The longest wait", waiting.longest or 0),
            (
                "millstream_queue_free_lag_seconds",
                "The longest wait of a run that only wants a slot",
                waiting.free_longest or 0,
            ),
            ("millstream_replicas", "Servers on the same database", metrics.replicas),
            ("millstream_streams_open", "Answers that are streamed or waited for", metrics.streams),
            ("millstream_loop_lag_seconds", "The delay of the graphs' event loop", metrics.lag),
        ):
            yield GaugeMetricFamily(name, text, value=value)


def _could_begin(job: Job) -> float:
    """Return when a run could have begun, had there been a slot and nothing else on its thread."""
    asked = job.kwargs["config"]["configurable"]
    began: float = asked["__request_start_time_ms__"] / 1000 + asked["__after_seconds__"]
    return began
