"""What is left of runs that have ended: no handle of the engine, and so nothing that it holds."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from millstream.runs.handle import RunHandle
from server.fixtures import Running
from server.streams import stream, thread

QUICK = {"n": 3, "delay": 0.0}


def handles() -> int:
    """Count the handles that there are."""
    gc.collect()
    return sum(isinstance(one, RunHandle) for one in gc.get_objects())


@pytest.mark.parametrize(
    ("given", "options"),
    [
        (QUICK, {"stream_mode": ["custom", "values"]}),
        (QUICK, {"stream_mode": ["custom"], "stream_resumable": True}),
        ({**QUICK, "boom": True}, {}),
    ],
)
def test_nothing_is_left_of_runs_that_have_ended(
    server: Running, given: Any, options: dict[str, Any]
) -> None:
    stream(server, "slow", given, at=thread(server), **options)
    before = handles()

    for _ in range(5):
        stream(server, "slow", given, at=thread(server), **options)

    # One may just be on its way out.
    assert handles() <= before + 1
