"""Nodes in worker processes that fail, are stopped, or whose process ends."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langgraph.cache.memory import InMemoryCache

from executors import acting
from executors.acting import State, graph_of
from executors.leaving import first_item, has_process
from millstream.errors import (
    NodeTimeoutError,
    WorkerDiedError,
)
from millstream.executors import InlineExecutor, ProcessExecutor
from millstream.graph import START, StateGraph
from millstream.types import CachePolicy, RetryPolicy, Send, TimeoutPolicy
from waiting import auntil, until

EMPTY: State = {"log": []}
AT_ONCE = {"initial_interval": 0.0, "jitter": False}


def test_an_error_is_the_one_that_was_raised(driver: Any, executor: ProcessExecutor) -> None:
    with pytest.raises(acting.Broken) as raised:
        driver.invoke(graph_of(acting.fail, executor=executor), EMPTY)

    assert (raised.value.part, raised.value.count) == ("wheel", 2)
    assert "in fail" in str(raised.value.__cause__)  # where it was raised


def test_an_error_that_cannot_be_read_is_told(driver: Any, executor: ProcessExecutor) -> None:
    with pytest.raises(RuntimeError, match="Unreadable in node 'n0': wheel broke 2 times"):
        driver.invoke(graph_of(acting.fail_unreadably, executor=executor), EMPTY)


def test_failures_are_tried_again(driver: Any, executor: ProcessExecutor) -> None:
    policy = RetryPolicy(max_attempts=3, **AT_ONCE)
    graph = graph_of(acting.fail_twice, executor=executor, retry_policy=policy)

    items = driver.stream(graph, EMPTY, stream_mode=["custom", "values"])

    assert items[1:-1] == [("custom", 1), ("custom", 2), ("custom", 3)]
    assert items[-1] == ("values", {"log": [3]})


def test_handlers_are_given_the_failure(driver: Any, executor: ProcessExecutor) -> None:
    builder = StateGraph(State).add_node("n", acting.fail, error_handler=acting.handle)
    graph = builder.add_edge(START, "n").compile(executor=executor)

    items = driver.stream(graph, EMPTY, stream_mode=["custom", "values"], subgraphs=True)

    assert items[1:] == [
        ((), "custom", "n"),
        ((), "values", {"log": [("n", "Broken", "wheel broke 2 times")]}),
    ]


def test_handlers_are_told_what_an_error_said_that_cannot_be_sent(
    driver: Any, executor: ProcessExecutor
) -> None:
    builder = StateGraph(State).add_node("n", acting.fail_unreadably, executor=InlineExecutor())
    builder.set_node_defaults(error_handler=acting.handle)
    graph = builder.add_edge(START, "n").compile(executor=executor)

    said = "Unreadable in node 'n': wheel broke 2 times"
    assert driver.invoke(graph, EMPTY)["log"] == [("n", "RuntimeError", said)]


def test_code_that_outlives_its_task_is_not_heard_in_another(driver: Any) -> None:
    with ProcessExecutor(1) as executor:
        graph = graph_of(acting.outlive, acting.look_back, executor=executor)

        items = driver.stream(graph, EMPTY, stream_mode=["custom", "values"])

    assert items[-2:] == [
        ("custom", "mine"),
        ("values", {"log": ["left", "RunAbandoned"]}),
    ]


def test_a_worker_that_dies_is_an_error_that_names_the_node(
    driver: Any, executor: ProcessExecutor
) -> None:
    with pytest.raises(WorkerDiedError, match="node 'n0' has died with signal 9") as raised:
        driver.invoke(graph_of(acting.die, executor=executor), EMPTY)

    assert (raised.value.node, raised.value.exit_code) == ("n0", -9)


def test_a_worker_that_dies_is_tried_again(driver: Any, executor: ProcessExecutor) -> None:
    policy = RetryPolicy(max_attempts=2, **AT_ONCE)
    graph = graph_of(acting.die_once, executor=executor, retry_policy=policy)

    assert driver.invoke(graph, EMPTY)["log"] == [2]


def test_tasks_fail_for_which_no_process_can_be_started(
    driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: Any) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
    builder = StateGraph(State).set_node_defaults(error_handler=acting.handle)
    with ProcessExecutor(2) as executor:
        builder.add_node("one", acting.one, executor=executor)
        sends = [Send("one", {"count": n}) for n in range(5)]
        graph = builder.add_conditional_edges(START, lambda _: sends).compile()

        result = driver.invoke(graph, EMPTY)

    assert result["log"] == [("one", "OSError", "no more processes")] * 5


def test_a_program_that_is_no_module_is_told_what_it_lacks(tmp_path: Path) -> None:
    """Each process begins with the program's main module, and would start processes itself."""
    program = tmp_path / "program.py"
    program.write_text(
        "from millstream.executors import ProcessExecutor\n"
        "from millstream.func import entrypoint\n"
        "def flow(x): return x\n"
        "with ProcessExecutor(1) as executor:\n"
        "    work = entrypoint(executor=executor)(flow)\n"
        "    work.invoke(1)\n"
    )

    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 1
    assert "must do its work under if __name__ == '__main__'" in done.stderr


def test_a_worker_that_dies_takes_no_other_with_it(driver: Any, executor: ProcessExecutor) -> None:
    builder = StateGraph(State).add_node("one", acting.one, executor=executor)
    policy = RetryPolicy(max_attempts=2, **AT_ONCE)
    builder.add_node("die", acting.die_once, executor=executor, retry_policy=policy)
    sends = [Send("die", {}), *(Send("one", {"count": n}) for n in range(20))]
    builder.add_conditional_edges(START, lambda _: sends)

    result = driver.invoke(builder.compile(), EMPTY)

    assert result["log"] == [2, *(("one", number) for number in range(20))]


def test_results_are_kept_in_a_cache(driver: Any, executor: ProcessExecutor) -> None:
    builder = StateGraph(State)
    builder.add_node("n", acting.where, executor=executor, cache_policy=CachePolicy())
    graph = builder.add_edge(START, "n").compile(cache=InMemoryCache())

    first = driver.invoke(graph, EMPTY)

    assert driver.stream(graph, EMPTY, stream_mode="updates")[0]["__metadata__"] == {"cached": True}
    assert driver.invoke(graph, EMPTY) == first


class Told(BaseCallbackHandler):
    """Keeps what it is told of runs."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.said.append(("start", kwargs["name"]))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.said.append(("end", outputs))


def test_handlers_are_told_of_the_node(driver: Any, executor: ProcessExecutor) -> None:
    def said(where: Any) -> list[Any]:
        told = Told()
        driver.invoke(graph_of(acting.log, executor=where), EMPTY, {"callbacks": [told]})
        return told.said

    assert said(executor) == said(None)


# -- being stopped -------------------------------------------------------------------------------


def lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "marks"


def test_a_timeout_cancels_the_node(executor: ProcessExecutor, file: Path) -> None:
    graph = graph_of(acting.log, executor=executor)
    asyncio.run(graph.ainvoke(EMPTY))  # a process has started
    graph = graph_of(acting.sleep_long, executor=executor, timeout=1.0)

    with pytest.raises(NodeTimeoutError):
        asyncio.run(graph.ainvoke({"log": [], "file": str(file)}))

    assert lines(file) == ["began", "stopped"]


def test_signs_of_life_keep_a_node_from_being_idle(executor: ProcessExecutor) -> None:
    policy = TimeoutPolicy(idle_timeout=0.7, refresh_on="heartbeat")
    asyncio.run(graph_of(acting.log, executor=executor).ainvoke(EMPTY))

    graph = graph_of(acting.beat, executor=executor, timeout=policy)

    assert asyncio.run(graph.ainvoke(EMPTY))["log"] == ["beat"]


def test_a_cancelled_run_cancels_the_node(executor: ProcessExecutor, file: Path) -> None:
    graph = graph_of(acting.sleep_long, executor=executor)

    async def run() -> None:
        running = asyncio.create_task(graph.ainvoke({"log": [], "file": str(file)}))
        await auntil(lambda: lines(file))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(run())

    assert lines(file) == ["began", "stopped"]


def test_leaving_a_stream_stops_the_node_where_it_emits(
    driver: Any, executor: ProcessExecutor, file: Path
) -> None:
    graph = graph_of(acting.emit_long, executor=executor)
    given = {"log": [], "file": str(file)}

    async def leave() -> None:
        async with aclosing(graph.astream(given, stream_mode="custom")) as items:
            async for item in items:
                if item == 3:
                    break

    if driver.name == "async":
        asyncio.run(leave())
    else:
        with closing(graph.stream(given, stream_mode="custom")) as items:
            assert [next(items) for _ in range(4)] == [0, 1, 2, 3]

    assert lines(file) == ["stopped"]


def test_a_node_that_does_not_stop_has_its_process_killed(driver: Any) -> None:
    with ProcessExecutor(1, grace=0.1) as executor:
        pid = first_item(driver, graph_of(acting.ignore_all, executor=executor))

        assert not has_process(pid)
        assert driver.invoke(graph_of(acting.log, executor=executor), EMPTY)["log"] == ["logged"]


def test_no_process_outlives_its_executor(driver: Any) -> None:
    before = {process.pid for process in multiprocessing.active_children()}
    with ProcessExecutor(2) as executor:
        pid = driver.invoke(graph_of(acting.where, executor=executor), EMPTY)["log"][0]
        assert has_process(pid)

    assert not has_process(pid)
    assert {process.pid for process in multiprocessing.active_children()} <= before
    with pytest.raises(RuntimeError, match="executor of node 'n0' is closed"):
        driver.invoke(graph_of(acting.where, executor=executor), EMPTY)


def test_closing_an_executor_stops_what_runs(file: Path) -> None:
    executor = ProcessExecutor(1)
    graph = graph_of(acting.emit_long, executor=executor)
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(graph.invoke({"log": [], "file": str(file)}))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    with closing(graph.stream({"log": [], "file": str(file)}, stream_mode="custom")):
        executor.close()
    thread.join(30)

    assert not thread.is_alive()
    assert isinstance(ended[0], BaseException)


def test_an_executor_that_nobody_refers_to_is_closed(driver: Any) -> None:
    executor = ProcessExecutor(1)
    pid = driver.invoke(graph_of(acting.where, executor=executor), EMPTY)["log"][0]

    del executor
    gc.collect()

    assert is_gone(pid)


def test_processes_end_with_a_program_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from executors.acting import graph_of, ignore_all\n"
        "from millstream.executors import ProcessExecutor\n"
        "if __name__ == '__main__':\n"
        "    graph = graph_of(ignore_all, executor=ProcessExecutor(1))\n"
        "    for pid in graph.stream({'log': []}, stream_mode='custom'):\n"
        "        print(pid, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        running.kill()

    assert is_gone(pid)


def test_ctrl_c_ends_a_run_and_what_it_waits_for(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from executors.acting import emit_long, graph_of\n"
        "from millstream.executors import ProcessExecutor\n"
        "if __name__ == '__main__':\n"
        "    with ProcessExecutor(1) as executor:\n"
        "        graph = graph_of(emit_long, executor=executor)\n"
        f"        given = {{'log': [], 'file': {str(tmp_path / 'marks')!r}}}\n"
        "        for item in graph.stream(given, stream_mode='custom'):\n"
        "            print(item, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)

    assert said.endswith("KeyboardInterrupt\n")
    assert lines(tmp_path / "marks") == ["stopped"]


def is_gone(pid: int) -> bool:
    """Say whether a process has ended, or does so soon."""
    return until(lambda: not has_process(pid))


def test_a_node_that_ends_the_program_ends_it(executor: ProcessExecutor) -> None:
    with pytest.raises(SystemExit):
        graph_of(acting.leave_program, executor=executor).invoke(EMPTY)
