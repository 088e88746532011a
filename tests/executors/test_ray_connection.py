"""The way to a cluster, with a stand-in for Ray: whose it is, and which ways lead nowhere."""

from __future__ import annotations

import ctypes
import importlib.util
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType
from typing import Any, Final

import pytest

NAME = "millstream.executors.ray_connection"
IGNORED: Final = ctypes.c_void_p(1)
"""The entry of a signal that is ignored."""
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
        # Nothing of the program's is called any more.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        else:
            set_entry = ctypes.pythonapi.PyOS_setsig
            set_entry(signal.SIGTERM, IGNORED)

    def shutdown(self) -> None:
        self.is_here = False

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ray]:
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
    before = signal.getsignal(signal.SIGTERM)
    yield made
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def told(ray: Ray) -> list[int]:
    """Handle SIGTERM, as a server does, and give the test what has come."""
    came: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: came.append(number))
    return came


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


@pytest.mark.parametrize("call", [lambda open: open(), in_thread], ids=["here", "in a thread"])
def test_a_program_that_handles_its_termination_still_does(
    ray: Ray, told: list[int], call: Any
) -> None:
    with closing(connection()) as made:
        call(made.open)
        signal.raise_signal(signal.SIGTERM)

        assert ray.is_here
    assert told == [signal.SIGTERM]


def test_termination_is_rays_affair_where_the_program_does_not_handle_it(ray: Ray) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    connection().open()

    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


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
