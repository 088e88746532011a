"""Workers on a cluster: how many there are, how they die, and that they end with their executor."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cluster import acting_there
from executors import acting
from executors.acting import State, graph_of
from executors.leaving import first_item, has_process
from millstream.errors import UnpicklableError, WorkerDiedError
from millstream.executors import ProcessExecutor, RayExecutor
from millstream.graph import START, StateGraph
from millstream.types import RetryPolicy, Send
from waiting import until

EMPTY: State = {"log": []}
AT_ONCE: Mapping[str, Any] = {"initial_interval": 0.0, "jitter": False}


def killed(executor: Any, tasks: int) -> tuple[Any, int]:
    """Run tasks whose processes are killed three times each; return the result and the kills."""
    builder = StateGraph(State)
    policy = RetryPolicy(max_attempts=4, **AT_ONCE)
    node = acting_there.wait_to_be_killed
    builder.add_node("wait", node, executor=executor, retry_policy=policy)
    sends = [Send("wait", {"count": number}) for number in range(tasks)]
    graph = builder.add_conditional_edges(START, lambda _: sends).compile()
    kills, values = 0, None
    with closing(graph.stream(EMPTY, stream_mode=["custom", "values"])) as items:
        for mode, item in items:
            if mode == "values":
                values = item
            elif item[0] == "process":
                os.kill(item[1], signal.SIGKILL)
                kills += 1
    return values, kills


def test_tasks_whose_workers_are_killed_come_to_the_same(executor: RayExecutor) -> None:
    values, kills = killed(executor, 2)

    assert values == {"log": [(number, 4) for number in range(2)]}
    assert kills == 6


@pytest.mark.long
@pytest.mark.timeout(600)
def test_thirty_kills_in_one_run_change_nothing(executor: RayExecutor) -> None:
    values, kills = killed(executor, 10)

    assert values == {"log": [(number, 4) for number in range(10)]}
    assert kills == 30


def test_a_worker_that_dies_is_an_error_that_names_the_node(
    driver: Any, executor: RayExecutor
) -> None:
    with pytest.raises(WorkerDiedError, match="of node 'n0' has died; a retry policy") as raised:
        driver.invoke(graph_of(acting.die, executor=executor), EMPTY)

    assert (raised.value.node, raised.value.exit_code) == ("n0", None)
    assert raised.value.__cause__ is not None  # what Ray says of it


def test_a_nested_graph_runs_there_as_a_whole(driver: Any, executor: RayExecutor) -> None:
    builder = StateGraph(State).add_node("inner", acting_there.TWO_STEPS, executor=executor)
    graph = builder.add_edge(START, "inner").compile()

    items = driver.stream(graph, EMPTY, stream_mode=["custom", "updates"], subgraphs=True)

    pids = [item for _, mode, item in items if mode == "custom"]
    assert len(pids) == 2
    assert pids[0] == pids[1] != os.getpid()
    assert [item for _, mode, item in items if mode == "updates"] == [
        {"first": {"log": ["step"]}},
        {"second": {"log": ["step"]}},
        {"inner": {"log": ["step", "step"]}},
    ]


def test_nodes_of_a_graph_that_is_called_there_run_in_its_worker(
    driver: Any, executor: RayExecutor
) -> None:
    """They would wait for each other's places."""

    def there(state: State) -> State:
        inner = StateGraph(State)
        inner.add_node("cluster", acting.where, executor=RayExecutor(1))
        inner.add_node("process", acting.where, executor=ProcessExecutor(1))
        inner.add_edge(START, "cluster").add_edge("cluster", "process")
        return {"log": [os.getpid(), *inner.compile().invoke({"log": []})["log"]]}

    pids = driver.invoke(graph_of(there, executor=executor), EMPTY)["log"]

    assert len(pids) == 3
    assert len(set(pids)) == 1
    assert pids[0] != os.getpid()


def test_functions_that_are_in_no_module_go_along(driver: Any, executor: RayExecutor) -> None:
    held = {"sacks": 2}

    def count(state: State) -> State:
        return {"log": [held["sacks"], lambda: held]}

    result = driver.invoke(graph_of(count, executor=executor), EMPTY)["log"]

    assert (result[0], result[1]()) == (2, held)


def test_what_cannot_be_sent_is_named(driver: Any, executor: RayExecutor, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        with pytest.raises(UnpicklableError, match=r"its function.*held"):
            graph_of(acting.Holder(file), executor=executor)
        graph = graph_of(acting.log, executor=executor)
        with pytest.raises(UnpicklableError, match=r"its request.input\['log'\]\[0\]"):
            driver.invoke(graph, {"log": [file]})


def test_what_cannot_be_read_ends_its_task_alone(driver: Any, executor: RayExecutor) -> None:
    with pytest.raises(UnpicklableError, match="made elsewhere"):
        driver.invoke(graph_of(acting_there.return_unreadable, executor=executor), EMPTY)

    with pytest.raises(UnpicklableError, match="made elsewhere"):
        driver.invoke(graph_of(acting.log, executor=executor), {"log": [acting_there.Unreadable()]})

    assert driver.invoke(graph_of(acting.log, executor=executor), EMPTY)["log"] == ["logged"]


def test_a_node_that_does_not_stop_has_its_worker_killed(driver: Any, ray_cluster: None) -> None:
    with RayExecutor(1, num_cpus=0.1, grace=0.1) as executor:
        pid = first_item(driver, graph_of(acting_there.block, executor=executor))

        assert until(lambda: not has_process(pid))


def test_workers_end_with_their_executor(driver: Any, ray_cluster: None) -> None:
    with RayExecutor(1, num_cpus=0.1) as executor:
        graph = graph_of(acting.where, executor=executor)
        pid = driver.invoke(graph, EMPTY)["log"][0]
        assert has_process(pid)

    assert until(lambda: not has_process(pid))
    assert executor.is_closed
    with pytest.raises(RuntimeError, match="executor of node 'n0' is closed"):
        driver.invoke(graph, EMPTY)


def test_a_worker_without_work_gives_back_what_it_has(ray_cluster: None) -> None:
    with RayExecutor(1, num_cpus=0.1, idle=0.0) as executor:
        graph = graph_of(acting.where, executor=executor)
        first = graph.invoke(EMPTY)["log"][0]

        assert until(lambda: not has_process(first))
        assert graph.invoke(EMPTY)["log"][0] != first


def test_tasks_that_wait_for_a_worker_can_be_stopped(ray_cluster: None) -> None:
    """Nothing of this cluster has what the worker needs."""
    with RayExecutor(1, resources={"mill": 1}) as executor:
        graph = graph_of(acting.log, executor=executor)

        async def run() -> None:
            running = asyncio.create_task(graph.ainvoke(EMPTY))
            await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        asyncio.run(run())


def test_an_executor_that_is_sent_is_another_one_on_the_same_terms() -> None:
    executor = RayExecutor(3, num_cpus=0.5, resources={"mill": 1}, grace=1.0)

    again = pickle.loads(pickle.dumps(executor))

    assert again is not executor
    assert again._terms == executor._terms
    executor.close()
    again.close()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 4),
        ({"num_cpus": 3}, 1),
        ({"num_cpus": 0}, 4),
        ({"num_cpus": 0.5, "num_gpus": 1}, 2),
        ({"num_cpus": 1, "resources": {"mill": 1}}, 1),
    ],
)
def test_as_many_workers_as_fit_the_cluster(options: Any, expected: int) -> None:
    from millstream.executors.ray_connection import fitting

    executor = RayExecutor(**options)

    assert fitting({"CPU": 4.0, "GPU": 2.0}, executor._terms) == expected
    executor.close()


PROGRAM = """
import signal
import sys
from pathlib import Path
from typing import TypedDict

import ray

from millstream.executors import RayExecutor
from millstream.graph import START, StateGraph


class State(TypedDict, total=False):
    sacks: int
    grain: object


class Grain:
    def __init__(self, sacks):
        self.sacks = sacks


def grind(state: State, writer) -> State:
    writer(Grain(state["sacks"]))
    return {"grain": Grain(2 * state["sacks"])}


signal.signal(signal.SIGTERM, lambda *_: print("told to end"))
executor = RayExecutor(1)
graph = StateGraph(State).add_node(grind).add_edge(START, "grind").compile(executor=executor)
for mode, item in graph.stream({"sacks": 2}, stream_mode=["custom", "values"]):
    grain = item.get("grain") if mode == "values" else item
    if grain is not None:
        print(mode, type(grain) is Grain, grain.sacks)
signal.raise_signal(signal.SIGTERM)
own = Path("/proc/self/task").glob("*/children")
print("started", *(pid for each in own for pid in each.read_text().split()))
executor.close()
print("is_initialized", ray.is_initialized())
"""


def test_a_program_has_a_cluster_of_its_own_that_ends_with_the_executor(tmp_path: Path) -> None:
    """What is in the program's main module goes there and comes back as it is; what it does when it
    is told to end is still its own affair."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": "local"}

    done = subprocess.run(
        [sys.executable, program],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env=environment,
    )

    lines = done.stdout.splitlines()
    assert "custom True 2" in lines, done.stderr
    assert "values True 4" in lines
    assert "told to end" in lines
    assert "SIGTERM received" not in done.stderr
    assert lines[-1] == "is_initialized False"
    started = next(line.split()[1:] for line in lines if line.startswith("started"))
    assert started
    assert until(lambda: not any(has_process(int(pid)) for pid in started))
