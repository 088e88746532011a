"""Requests leave no memory behind, but what is bounded."""

from __future__ import annotations

import gc
import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from millstream._base.bounded import BoundedDict
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.held import held, kept
from server.senseless import Senseless, ask, known_to, speak

COUNT: Final = 200
MOST: Final = 600
"""Bytes that a request may leave: what is held is never quite the same, by 20 to 150 kB in all."""


def every_kind(of: type[Any]) -> Iterator[type[Any]]:
    for each in of.__subclasses__():
        yield each
        yield from every_kind(each)


@pytest.fixture
def small_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is remembered of the last ones full at once: it is no leak."""
    for each in every_kind(BoundedDict):
        monkeypatch.setattr(each, "size", 8)


def taken(server: Running, senseless: Senseless, count: int, before: Any) -> int:
    """Return the bytes that are held after so many requests."""
    faults = ask(server, senseless, count) + speak(server, senseless, count // 10)
    assert not faults, "\n".join(faults)
    server.http.post("/runs/cancel", json={"status": "all"})
    assert kept(server, before) == {}
    gc.collect()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def left_by_a_request(directory: Path) -> float:
    """Return how many bytes are left by each of many requests."""
    config = config_of(make_graphs(), directory, n_jobs_per_worker=4)
    with running(config) as server:
        server.service.db.engine._compiled_cache.capacity = 10  # of statements; usually 500
        before = held(server)
        senseless = known_to(server, 1)
        taken(server, senseless, COUNT, before)  # what is made when it is needed first
        tracemalloc.start()
        try:
            few = taken(server, senseless, COUNT, before)
            many = taken(server, senseless, 2 * COUNT, before)
        finally:
            tracemalloc.stop()
    return (many - few) / (2 * COUNT)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("small_caches")
def test_what_is_held_does_not_grow_with_the_requests(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL):  # what is logged is kept for the test
        assert left_by_a_request(tmp_path) < MOST


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("small_caches")
def test_a_kilobyte_that_a_request_leaves_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    leaked: list[bytes] = []
    monkeypatch.setattr(
        "millstream.server.api.routing.log_request", lambda *args: leaked.append(bytes(1000))
    )
    with caplog.at_level(logging.CRITICAL):
        assert left_by_a_request(tmp_path) > MOST
