"""Nodes on a Ray cluster of this machine: what they cost, and what they bring.

`build/ray/bin/python -m benchmarks.cluster` (`make test-ray` makes the environment) prints a table;
names of parts (`calls events tokens cancel kills work`) measure these alone. `floor` is what Ray
itself takes for the same, with an actor that does nothing else. `make bench` has less of it, in
`remote`.
"""

from __future__ import annotations

import asyncio
import operator
import os
import pickle
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Annotated, Any, Final

import ray
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from typing_extensions import TypedDict

from millstream.executors import ProcessExecutor, RayExecutor
from millstream.graph import START, StateGraph
from millstream.runtime import Runtime
from millstream.types import RetryPolicy, Send, StreamWriter

PROCESSORS: Final = 2
CALLS: Final = 400
EVENTS: Final = 100_000
TOKENS: Final = 10_000
CANCELS: Final = 30
TASKS: Final = 8
ROUNDS: Final = 3


class State(TypedDict, total=False):
    """What nodes share here."""

    n: int
    results: Annotated[list[Any], operator.add]


def step(state: State) -> State:
    """Do nothing."""
    return {"n": state["n"] + 1}


def write(state: State, writer: StreamWriter) -> State:
    """Say many things, and return what that has taken of a processor."""
    begin = time.process_time()
    for index in range(state["n"]):
        writer(index)
    return {"results": [time.process_time() - begin]}


def speak(state: State) -> State:
    """Have a model say many tokens: words, and what is between them."""
    words = AIMessage(" ".join(["flour"] * (state["n"] // 2)))
    GenericFakeChatModel(messages=iter([words])).invoke("How much?")
    return {}


async def wait(state: State, writer: StreamWriter) -> State:
    """Wait to be cancelled."""
    writer("waits")
    await asyncio.sleep(60)
    return {}


def work(state: State) -> State:
    """Compute for a second or so."""
    total = 0
    for number in range(state["n"]):
        total = (total * 31 + number) % 1_000_003
    return {"results": [total]}


def be_killed(state: State, runtime: Runtime, writer: StreamWriter) -> State:
    """Wait to be killed, and come to an end at the fourth attempt."""
    assert runtime.execution_info is not None
    if runtime.execution_info.node_attempt <= 3:
        writer(os.getpid())
        threading.Event().wait()
    return {"results": [state["n"] ** 2]}


class Bare:
    """An actor that does what a worker does, without nodes."""

    def call(self, request: bytes) -> list[bytes]:
        """Answer."""
        return [request]

    def stream(self, count: int, size: int) -> Iterator[list[bytes]]:
        """Say many things, in batches of a size."""
        for begin in range(0, count, size):
            end = min(begin + size, count)
            yield [pickle.dumps(((), index)) for index in range(begin, end)]


def graph_of(node: Any, executor: Any, count: int | None = None, **options: Any) -> Any:
    """Return a graph of one node, or of so many tasks of it side by side."""
    builder = StateGraph(State).add_node("node", node, executor=executor, **options)
    if count is None:
        return builder.add_edge(START, "node").compile()

    def spread(state: State) -> list[Send]:
        return [Send("node", {"n": state["n"] + index}) for index in range(count)]

    return builder.add_conditional_edges(START, spread, ["node"]).compile()


def seconds(do: Callable[[], Any]) -> float:
    """Return how long something takes."""
    begin = time.perf_counter()
    do()
    return time.perf_counter() - begin


def measure_calls(executor: Any) -> Iterator[str]:
    """Yield what a call of a node costs there, beside one here and what Ray takes of it."""
    yield from measure_bare_calls()
    for name, where in (("here", None), ("in a process", "process"), ("on the cluster", "ray")):
        with ProcessExecutor(1) as processes:
            chosen = {"process": processes, "ray": executor}.get(where or "")
            graph = graph_of(step, chosen)
            once = partial(graph.invoke, {"n": 0})
            yield f"run of one node {name}: {_times(once)}"


def measure_bare_calls() -> Iterator[str]:
    """Yield what Ray takes for a call of an actor, and for the first item of a stream of one."""
    actor: Any = ray.remote(num_cpus=1, max_concurrency=2)(Bare).remote()
    stream = actor.stream.options(num_returns="streaming")
    request = bytes(700)  # as long as that of the node above
    yield f"floor, call of an actor: {_times(lambda: ray.get(actor.call.remote(request)))}"
    yield f"floor, first of a stream: {_times(lambda: ray.get(next(stream.remote(1, 1))))}"
    ray.kill(actor)


def measure_events(executor: Any) -> Iterator[str]:
    """Yield how many events come in a second, and what they take of the processors."""
    yield f"floor, {EVENTS} numbers in batches of 64: {max(bare_rates()):,.0f}/s at best"
    for name in ("in a process", "on the cluster"):
        with ProcessExecutor(1) as processes:
            graph = graph_of(write, processes if name == "in a process" else executor)
            graph.invoke({"n": 1})
            took = [read_events(graph) for _ in range(ROUNDS)]
        rates = [EVENTS / seconds for seconds, _, _ in took]
        own, there = (min(part) / EVENTS * 1e6 for part in list(zip(*took, strict=True))[1:])
        yield (
            f"{EVENTS} events of one node {name}: {max(rates):,.0f}/s at best, median "
            f"{_median(rates)}/s; processor time {own:.1f} us here, {there:.1f} us there"
        )


def bare_rates() -> list[float]:
    """Return how many things an actor says in a second that says nothing else, several times."""
    actor: Any = ray.remote(num_cpus=1)(Bare).remote()
    stream = actor.stream.options(num_returns="streaming")

    def read() -> None:
        for batch in stream.remote(EVENTS, 64):
            for data in ray.get(batch):
                pickle.loads(data)

    read()
    rates = [EVENTS / seconds(read) for _ in range(ROUNDS)]
    ray.kill(actor)
    return rates


def read_events(graph: Any) -> tuple[float, float, float]:
    """Return what all events take: seconds, seconds of a processor here, and there."""
    count, there = 0, 0.0
    begin, own = time.perf_counter(), time.process_time()
    for mode, item in graph.stream({"n": EVENTS}, stream_mode=["custom", "updates"]):
        if mode == "custom":
            count += 1
        else:
            [there] = item["node"]["results"]
    assert count == EVENTS
    return time.perf_counter() - begin, time.process_time() - own, there


def measure_tokens(executor: Any) -> Iterator[str]:
    """Yield how many tokens of a model come in a second."""
    for name, chosen in (("here", None), ("on the cluster", executor)):
        read = partial(read_tokens, graph_of(speak, chosen))
        read()
        rates = [TOKENS / seconds(read) for _ in range(ROUNDS)]
        yield f"{TOKENS} tokens of a model {name}: {max(rates):,.0f}/s at best"


def read_tokens(graph: Any) -> None:
    """Read all tokens."""
    seen = sum(1 for _ in graph.stream({"n": TOKENS}, stream_mode="messages"))
    assert seen >= TOKENS - 1


def measure_cancel(executor: Any) -> Iterator[str]:
    """Yield how long a run takes to end that is cancelled while a node waits."""
    graph = graph_of(wait, executor)

    async def cancel() -> float:
        stream = graph.astream({"n": 0}, stream_mode="custom")
        assert await anext(stream) == "waits"
        begin = time.perf_counter()
        await stream.aclose()
        return (time.perf_counter() - begin) * 1e3

    took = sorted(asyncio.run(cancel()) for _ in range(CANCELS))
    yield f"cancelling: median {_median(took, 1)} ms, worst of {CANCELS} {took[-1]:.1f} ms"


def measure_kills(executor: Any) -> Iterator[str]:
    """Yield what comes of a run whose workers are killed thirty times."""
    policy = RetryPolicy(0.0, max_attempts=4, jitter=False)
    graph = graph_of(be_killed, executor, 10, retry_policy=policy)
    kills, values = 0, None
    begin = time.perf_counter()
    with closing(graph.stream({"n": 0}, stream_mode=["custom", "values"])) as items:
        for mode, item in items:
            if mode == "values":
                values = item
            else:
                os.kill(item, signal.SIGKILL)
                kills += 1
    assert values is not None
    is_same = values["results"] == [number**2 for number in range(10)]
    took, kind = time.perf_counter() - begin, "the same" if is_same else "ANOTHER"
    yield f"{kills} workers killed in one run: {kind} result, {took:.0f} s"


def measure_work(executor: Any) -> Iterator[str]:
    """Yield how much quicker nodes that compute are side by side."""
    here, there = (graph_of(work, where, TASKS) for where in (None, executor))
    given = {"n": 8_000_000}
    there.invoke({"n": 10})
    assert here.invoke({"n": 1000}) == there.invoke({"n": 1000})
    times: dict[str, list[float]] = {"here": [], "there": []}
    for _ in range(ROUNDS):
        times["here"].append(seconds(lambda: here.invoke(given)))
        times["there"].append(seconds(lambda: there.invoke(given)))
    best = {name: min(each) for name, each in times.items()}
    yield (
        f"{TASKS} nodes that compute: {best['here']:.2f} s in one process, "
        f"{best['there']:.2f} s on {PROCESSORS} workers: {best['here'] / best['there']:.2f} x"
    )


def _times(once: Callable[[], Any]) -> str:
    """Return how long something takes, in words, when it has been done a few times."""
    for _ in range(20):
        once()
    took = sorted(seconds(once) * 1e3 for _ in range(CALLS))
    return (
        f"median {statistics.median(took):.2f} ms, best tenth {took[CALLS // 10]:.2f} ms, "
        f"worst tenth {took[-CALLS // 10]:.2f} ms"
    )


def _median(values: list[float], digits: int = 0) -> str:
    return f"{statistics.median(values):,.{digits}f}"


PARTS: Final = {
    "calls": measure_calls,
    "events": measure_events,
    "tokens": measure_tokens,
    "cancel": measure_cancel,
    "kills": measure_kills,
    "work": measure_work,
}


def connect(processors: int) -> None:
    """Start a cluster of this machine that has so many processors; it ends with the process."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local",
        num_cpus=processors,
        include_dashboard=False,
        object_store_memory=80_000_000,
        log_to_driver=False,
        logging_level="ERROR",
        # Ray gives its workers less of a busy machine than this process has, by 15.
        _system_config={"worker_niceness": 0},
    )


def main(*names: str) -> None:
    """Measure what is named, or all."""
    connect(PROCESSORS)
    print(f"Python {sys.version.split()[0]}, Ray {ray.__version__}, {os.cpu_count()} processors")
    try:
        with RayExecutor(PROCESSORS, idle=600.0) as executor:
            for name in names or PARTS:
                load = os.getloadavg()[0]
                for line in PARTS[name](executor):
                    print(f"{line} (load before: {load:.1f})", flush=True)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
