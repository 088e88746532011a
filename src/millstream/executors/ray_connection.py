"""The way to a Ray cluster: that of the program, or one that ends with the executor."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray.util.client import ray as client

GET_ENTRY: Final = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_int)(
    ("PyOS_getsig", ctypes.pythonapi)
)
SET_ENTRY: Final = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
    ("PyOS_setsig", ctypes.pythonapi)
)
"""What the process calls when a signal comes, which other threads than the main one can set too."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What workers there may be, where, and for how long; see `RayExecutor`."""

    max_workers: int | None
    num_cpus: float
    num_gpus: float
    resources: Mapping[str, float]
    options: Mapping[str, Any]
    address: str | None
    grace: float
    idle: float


class Connection:
    """Reaches the cluster when it is first needed."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._lock = threading.Lock()
        self._is_own = False
        """Ray was started here, or the cluster was gone to from here."""
        self._holder: threading.Thread | None = None
        self._closing = threading.Event()

    def open(self) -> int:
        """Reach the cluster, and return how many workers fit it.

        Raises:
            ValueError: It is reached with Ray's client, or would be.
        """
        with self._lock:
            is_there = ray.is_initialized()
            if client.is_connected() if is_there else leads_to_client(self._terms.address):
                raise ValueError(
                    "nodes cannot be run with Ray's client (ray://...): it does not hear what "
                    "actors say while they work. Run the program on the cluster, with `ray job "
                    "submit`, or on one of its machines with address='auto'"
                )
            if not is_there:
                self._start()
                self._is_own = True
        return fitting(ray.cluster_resources(), self._terms)

    def close(self) -> None:
        """End what was begun here."""
        with self._lock:
            if not self._is_own:
                return
            self._is_own = False
            self._closing.set()
            if self._holder is not None:
                self._holder.join()
            else:
                ray.shutdown()

    def _start(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._init()
            return
        # Processes of Ray's end with the thread that has started them.
        started: Future[None] = Future()
        holder = threading.Thread(
            target=self._hold, args=(started,), name="millstream-ray-connection", daemon=True
        )
        holder.start()
        started.result()
        self._holder = holder

    def _hold(self, started: Future[None]) -> None:
        try:
            self._init()
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(None)
        self._closing.wait()
        ray.shutdown()

    def _init(self) -> None:
        with termination_kept():
            ray.init(address=self._terms.address, include_dashboard=False)


@contextmanager
def termination_kept() -> Iterator[None]:
    """Leave it to the program to handle SIGTERM, if it does.

    `ray.init` sets a handler that writes stacks to stderr before that of the program has its turn,
    and the process aborts if the program has done what it has to and then passes the signal on, as
    servers do. A program that does not handle it is left to Ray, which ends what it has started.
    """
    handler, entry = signal.getsignal(signal.SIGTERM), GET_ENTRY(signal.SIGTERM)
    try:
        yield
    finally:
        # None: it is handled by what is not Python.
        if handler != signal.SIG_DFL:
            if handler is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)
            else:
                SET_ENTRY(signal.SIGTERM, entry)


def leads_to_client(address: str | None) -> bool:
    """Return whether `ray.init` would take an address for one of Ray's client."""
    if address is None or address == "auto":
        address = os.environ.get("RAY_ADDRESS", "")
    return "://" in address


def fitting(cluster: Mapping[str, float], terms: Terms) -> int:
    """Return how many workers fit what a cluster has, at least one.

    One that asks for nothing is taken to need a processor.
    """
    asked = {"CPU": terms.num_cpus, "GPU": terms.num_gpus, **terms.resources}
    wanted = {name: amount for name, amount in asked.items() if amount > 0} or {"CPU": 1}
    return max(1, min(int(cluster.get(name, 0) / amount) for name, amount in wanted.items()))
