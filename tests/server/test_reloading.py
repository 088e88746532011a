"""Graphs that are loaded anew while runs of them go on and somebody reads what they say."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import sys
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import waiting
from millstream.server.reloading import reload
from server.fixtures import Running, config_of, running
from server.gates import GATES
from server.streams import Event, live, start, thread
from server.test_recovery import ended

APP: Final = """
import waiting
from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from server.gates import GATES
from typing_extensions import TypedDict
from {name}_words import WORD


class State(TypedDict, total=False):
    word: str
    late: str


async def say(state: State):
    writer = get_stream_writer()
    writer(WORD)
    await waiting.auntil(lambda: GATES.get(WORD, True))
    from {name}_late import LATE
    writer(WORD + " again")
    return {{"word": WORD, "late": LATE}}


class Mark:
    pass


mark = Mark()
graph = StateGraph(State).add_node(say).add_edge(START, "say").compile()
other = StateGraph(State).add_node(say).add_edge(START, "say").compile()
"""


@pytest.fixture(scope="module", autouse=True)
def nothing_is_set_apart() -> None:
    """Have the collector know of everything, so that a reload does not look through all of it.

    Until the next file nothing is set apart: see the `conftest.py` of the repository.
    """
    gc.unfreeze()


class App:
    """The files of a user, who changes them."""

    def __init__(self, here: Path) -> None:
        self.here = here
        self.name = f"app_{uuid.uuid4().hex}"
        self.write("one")

    def write(self, word: str, app: str = APP) -> None:
        """Have the graphs say another word."""
        (self.here / f"{self.name}.py").write_text(app.format(name=self.name))
        (self.here / f"{self.name}_words.py").write_text(f"WORD = {word!r}")
        (self.here / f"{self.name}_late.py").write_text(f"LATE = {word!r}")

    def mark(self) -> Any:
        """Return something that the module has made which is loaded now."""
        return sys.modules[self.name].mark


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """Give files, and take back what importing them changes."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = [*sys.path]
    made = App(tmp_path)
    yield made
    GATES.clear()
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith(made.name)]:
        del sys.modules[name]


@pytest.fixture
def serving(app: App) -> Iterator[Running]:
    """Serve them."""
    graphs = {name: f"./{app.name}.py:{name}" for name in ("graph", "other")}
    with running(config_of(graphs, app.here)) as server:
        yield server


def changed(server: Running) -> None:
    """Have the server load what has changed, as `dev` does."""
    done = asyncio.run_coroutine_threadsafe(reload(server.service, ["app.py"]), server.loop)
    done.result(60)


def said(server: Running, graph: str = "graph") -> Any:
    """Return what a graph says now."""
    at = thread(server)
    run_id = start(server, at, graph, {})["run_id"]
    assert ended(server, at, run_id) == "success"
    return server.http.get(f"/threads/{at}/state").json()["values"]


def test_streams_and_runs_go_on_while_files_change(serving: Running, app: App) -> None:
    GATES["one"] = False
    at = thread(serving)
    body = {"assistant_id": "graph", "input": {}, "stream_mode": ["custom", "values"]}
    with serving.http.stream("POST", f"/threads/{at}/runs/stream", json=body) as response:
        events = live(response)
        first: list[Event] = []
        while data(first, "custom") == []:
            first.append(next(events))

        app.write("two")
        changed(serving)
        assert said(serving) == {"word": "two", "late": "two"}
        app.write("three", APP + "\nbroken = (")
        changed(serving)
        assert said(serving)["word"] == "two"
        app.write("four", APP.replace("graph =", "gone ="))
        changed(serving)
        # That one is not there any more, and stays what it was; the other one is new.
        assert said(serving, "graph")["word"] == "two"
        assert said(serving, "other")["word"] == "four"

        GATES["one"] = True
        rest = list(events)

    assert data(first, "custom") + data(rest, "custom") == ["one", "one again"]
    assert data(rest, "values")[-1]["word"] == "one"
    assert serving.http.get(f"/threads/{at}").json()["values"]["word"] == "one"


def data(events: list[Event], name: str) -> list[Any]:
    return [event.data for event in events if event.name == name]


def test_what_is_imported_when_a_node_is_called_is_as_it_is_now(serving: Running, app: App) -> None:
    assert said(serving) == {"word": "one", "late": "one"}
    app.write("two")
    changed(serving)

    assert said(serving) == {"word": "two", "late": "two"}


def test_nothing_is_kept_of_modules_that_were_replaced(serving: Running, app: App) -> None:
    marks = []
    for n in range(2):
        marks.append(weakref.ref(app.mark()))
        said(serving)
        serving.http.get("/assistants/graph/schemas")
        app.write(f"word {n}", APP if n % 2 else APP.replace("mark = ", "mark = kept = "))
        changed(serving)
    said(serving)

    def left() -> int:
        gc.collect()
        return sum(mark() is not None for mark in marks)

    assert waiting.until(lambda: left() == 0, 5)


def test_a_change_that_cannot_be_looked_at_is_not_the_last_one(
    serving: Running, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    import watchfiles

    from millstream.server import reloading

    async def changes(*args: Any, **kwargs: Any) -> Any:
        for word in ("two", "three"):
            app.write(word)
            yield {(1, str(app.here / "app.py"))}

    load = serving.service.catalog.reload
    calls: list[Any] = []

    def fail_first(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            raise RecursionError("somebody's metaclass")
        return load(*args)

    monkeypatch.setattr(watchfiles, "awatch", changes)
    monkeypatch.setattr(serving.service.catalog, "reload", fail_first)
    watching = reloading.reload_on_change(serving.service, asyncio.Event())
    asyncio.run_coroutine_threadsafe(watching, serving.loop).result(60)

    assert said(serving)["word"] == "three"


def test_a_configuration_that_has_changed_is_said_and_graphs_are_left_alone(
    serving: Running, app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import watchfiles

    from millstream.server import reloading

    files = (app.here / "langgraph.json", app.here / "my.env")
    config = dataclasses.replace(serving.service.config, files=files)

    async def changes(*args: Any, watch_filter: Any, **kwargs: Any) -> Any:
        for names in (["other.json"], ["my.env", "langgraph.json"], ["langgraph.json", "app.py"]):
            paths = [str(app.here / name) for name in names]
            yield {(1, path) for path in paths if watch_filter(watchfiles.Change.modified, path)}

    async def reload(service: Any, names: Any) -> None:
        reloaded.append(names)

    reloaded: list[Any] = []
    monkeypatch.setattr(watchfiles, "awatch", changes)
    monkeypatch.setattr(serving.service, "config", config)
    monkeypatch.setattr(reloading, "reload", reload)
    asyncio.run(reloading.reload_on_change(serving.service, asyncio.Event()))

    assert reloaded == [["app.py"]]
    advice = "changed, which the server reads when it starts: end it, and start it again"
    assert [record.message for record in caplog.records if "starts" in record.message] == [
        f"langgraph.json, my.env {advice}",
        f"langgraph.json {advice}",
    ]


def test_files_that_cannot_be_watched_leave_a_server_that_serves(
    serving: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import watchfiles

    from millstream.server import reloading

    async def changes(*args: Any, **kwargs: Any) -> Any:
        raise OSError("OS file watch limit reached")
        yield

    monkeypatch.setattr(watchfiles, "awatch", changes)
    asyncio.run(reloading.reload_on_change(serving.service, asyncio.Event()))

    [told] = [record.message for record in caplog.records if "noticed" in record.message]
    assert told.startswith("Files that change are not noticed: OS file watch limit reached. Start ")
