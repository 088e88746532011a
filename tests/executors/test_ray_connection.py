"""The way to a cluster, with a stand-in for Ray: whose it is, and which ways lead nowhere."""

from __future__ import annotations

import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

import pytest

NAME = "millstream.executors.ray_connection"
TERMS: dict[str, Any] = {
    "max_workers": None,
    "num_cpus": 1,
    "num_gpus": 0,
    "resources": {},
    "options": {},
    "grace": 5.0,
    "idle": 10.0,
}


class Ray(ModuleType):
    """What the connection uses of Ray.

    Attributes:
        failing: How many calls of `init` fail.
        is_client: Whether Ray's client is connected.
    """

    def __init__(self) -> None:
        super().__init__("ray")
        self.ray = self
        self.failing = 0
        self.is_here = self.is_client = False

    def is_initialized(self) -> bool:
        return self.is_here

    def is_connected(self) -> bool:
        return self.is_client

    def init(self, **options: Any) -> None:
        if self.failing:
            self.failing -= 1
            raise ConnectionError("no cluster")
        self.is_here = True

    def shutdown(self) -> None:
        self.is_here = False

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    """Have the connection find the stand-in."""
    made = Ray()
    for name in ("ray", "ray.util", "ray.util.client"):
        monkeypatch.setitem(sys.modules, name, made)
    spec = importlib.util.find_spec(NAME)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, NAME, module)
    spec.loader.exec_module(module)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return made


def connection(address: str | None = None) -> Any:
    module: Any = sys.modules[NAME]
    return module.Connection(module.Terms(**TERMS, address=address))


def in_thread(call: Any) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def test_what_was_begun_ends_with_it(ray: Ray) -> None:
    made = connection()

    assert made.open() == 2
    assert ray.is_here
    made.close()
    assert not ray.is_here


def test_what_could_not_be_begun_is_not_ended(ray: Ray) -> None:
    made = connection()
    ray.failing = 1

    with pytest.raises(ConnectionError):
        made.open()
    ray.init()
    made.open()
    made.close()

    assert ray.is_here


def test_a_failure_in_a_thread_leaves_nothing_for_later(ray: Ray) -> None:
    made = connection()
    ray.failing = 1

    def fail() -> None:
        with pytest.raises(ConnectionError):
            made.open()

    in_thread(fail)
    made.open()
    made.close()

    assert not ray.is_here


@pytest.mark.parametrize(
    ("address", "variable"),
    [("ray://host:10001", ""), (None, "ray://host:10001"), ("auto", "ray://host:10001")],
)
def test_rays_client_is_refused_before_it_connects(
    ray: Ray, monkeypatch: pytest.MonkeyPatch, address: str | None, variable: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", variable)

    with pytest.raises(ValueError, match="Run the program on the cluster, with `ray job submit`"):
        connection(address).open()

    assert not ray.is_here


def test_a_client_of_the_programs_own_is_refused_and_left_alone(ray: Ray) -> None:
    ray.is_here = ray.is_client = True
    made = connection()

    with pytest.raises(ValueError, match=r"Ray's client \(ray://\.\.\.\)"):
        made.open()
    made.close()

    assert ray.is_here


def test_a_cluster_that_the_program_has_reached_is_taken_whatever_the_address(ray: Ray) -> None:
    ray.is_here = True

    assert connection("ray://host:10001").open() == 2
