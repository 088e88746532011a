"""Nodes and tasks that call tasks, where worker processes can find them."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any

from executors.acting import State, mark, model
from millstream.config import get_stream_writer
from millstream.func import entrypoint, task
from millstream.types import CachePolicy, RetryPolicy, StreamWriter, interrupt


@task
def double(number: int) -> int:
    return 2 * number


@task
def tell(number: int, writer: StreamWriter) -> int:
    writer(f"told {number}")
    model().invoke("hello")
    return number


@task
def quadruple(number: int) -> int:
    return double(double(number).result()).result()


@task
def place() -> int:
    return os.getpid()


@task
def place_elsewhere() -> int:
    return os.getpid()


@task
def place_of_both() -> list[int]:
    return [os.getpid(), place_elsewhere().result()]


@task
def count_in(file: str, name: str) -> str:
    mark({"file": file}, name)
    return name


@task
def confirm(what: str) -> str:
    return f"{what} {interrupt(what)}"


@task
def refuse(what: str) -> str:
    raise KeyError(what)


@task(retry_policy=RetryPolicy(0.0, max_attempts=3, jitter=False, retry_on=KeyError))
def refuse_twice(file: str) -> int:
    mark({"file": file}, "tried")
    tries = len(Path(file).read_text().splitlines())
    if tries < 3:
        raise KeyError(tries)
    return tries


@task(cache_policy=CachePolicy())
def kept(file: str) -> str:
    mark({"file": file}, "kept")
    return "kept"


@task
async def adouble(number: int) -> int:
    return 2 * number


@task
async def never(file: str) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        mark({"file": file}, "cancelled")


def call_some(state: State) -> State:
    futures = [double(number) for number in range(40)]
    return {"log": [[future.result() for future in futures], quadruple(1).result()]}


def call_telling(state: State, writer: StreamWriter) -> State:
    writer("before")
    told = tell(1).result()
    writer("after")
    return {"log": [told]}


async def acall_some(state: State) -> State:
    doubled = await asyncio.gather(*(adouble(number) for number in range(40)))
    return {"log": [doubled, await double(3)]}


def call_async(state: State) -> State:
    return {"log": [adouble(4).result()]}


def places(state: State) -> State:
    return {"log": [os.getpid(), place().result(), place_elsewhere().result()]}


def places_of_both(state: State) -> State:
    return {"log": [os.getpid(), *place_of_both().result()]}


def count_and_ask(state: State) -> State:
    first = count_in(state["file"], "first").result()
    answer = interrupt("go on?")
    return {"log": [first, answer, count_in(state["file"], "second").result()]}


async def acount_and_ask(state: State) -> State:
    first = await count_in(state["file"], "first")
    answer = interrupt("go on?")
    return {"log": [first, answer, await count_in(state["file"], "second")]}


def count_and_die(state: State) -> State:
    counted = count_in(state["file"], "first").result()
    if not Path(state["file"] + ".died").exists():
        Path(state["file"] + ".died").touch()
        os._exit(3)
    return {"log": [counted]}


def ask_in_calls(state: State) -> State:
    return {"log": [confirm("sow?").result(), confirm("reap?").result()]}


def ask_side_by_side(state: State) -> State:
    def call(what: str) -> Any:
        return confirm(what).result()

    with ThreadPoolExecutor(3) as threads:
        started = [
            threads.submit(copy_context().run, call, what) for what in ("sow?", "reap?", "mill?")
        ]
        return {"log": [each.result() for each in started]}


def catch(state: State) -> State:
    try:
        refuse("no").result()
    except KeyError as error:
        return {"log": [repr(error)]}
    return {}


def pass_on(state: State) -> State:
    return {"log": [refuse("no").result()]}


def insist(state: State) -> State:
    return {"log": [refuse_twice(state["file"]).result()]}


def ask_cache(state: State) -> State:
    return {"log": [kept(state["file"]).result(), kept(state["file"]).result()]}


async def give_up(state: State) -> State:
    try:
        await asyncio.wait_for(never(state["file"]), 0.3)
    except asyncio.TimeoutError:
        return {"log": ["gave up"]}
    return {}


def listen(state: State) -> State:
    """Emit where a call's future tells of its end, which must not wait for itself."""
    from millstream.config import get_stream_writer

    writer, heard, is_told = get_stream_writer(), [], threading.Event()

    def tell_all(future: Any) -> None:
        for number in range(100):
            writer(number)
        heard.append(future.result())
        is_told.set()

    double(1).add_done_callback(tell_all)
    assert is_told.wait(60)
    return {"log": list(heard)}


class Unreadable:
    """Can be sent, and be read nowhere."""

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise ValueError("of another version")


@task
def unreadable() -> Unreadable:
    return Unreadable()


def call_for_what_is_unreadable(state: State) -> State:
    try:
        return {"log": [unreadable().result()]}
    except Exception as error:
        return {"log": [str(error)]}


def call_a_local_one(state: State) -> State:
    held = asyncio.Lock()

    @task
    def local() -> str:
        return str(held)

    return {"log": [local().result()]}


@entrypoint()
def flow(number: int) -> list[int]:
    return [os.getpid(), double(number).result(), place().result()]


def pid_of(_: int) -> int:
    return os.getpid()


@task
async def never_ends() -> None:
    """Wait until it is cancelled."""
    await asyncio.Event().wait()


async def talk_and_drop(state: State) -> State:
    """Say so many items, and drop a call."""
    writer = get_stream_writer()
    for item in range(int(state["log"][0])):
        writer(item)
    call = never_ends()
    await asyncio.sleep(0)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    return {"log": ["dropped"]}
