"""Without Ray there is an executor all the same, which says what it lacks when it is made."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from millstream.executors import RayExecutor

EXAMPLE = Path(__file__).parents[2] / "examples" / "cluster.py"


def test_without_ray_an_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("connection", "pool"):
        monkeypatch.delitem(sys.modules, f"millstream.executors.ray_{name}", raising=False)

    with pytest.raises(ImportError, match=r"pip install 'millstream\[ray\]'"):
        RayExecutor()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_workers": 0}, "max_workers must be at least 1, not 0"),
        ({"num_cpus": -1}, "must not be negative, got -1 and 0"),
        ({"grace": -1.0}, "grace must be a number of seconds, not -1.0"),
        ({"idle": float("inf")}, "idle must be a number of seconds, not inf"),
        ({"idle": float("nan")}, "idle must be a number of seconds, not nan"),
        ({"options": {"num_cpus": 2, "memory": 1}}, "options must not have num_cpus: "),
        ({"options": {"max_concurrency": 2}}, "options must not have max_concurrency: "),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RayExecutor(**options)


def test_the_example_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("connection", "pool"):
        monkeypatch.delitem(sys.modules, f"millstream.executors.ray_{name}", raising=False)

    with pytest.raises(SystemExit, match=r"pip install 'millstream\[ray\]'"):
        runpy.run_path(str(EXAMPLE))["main"]()
