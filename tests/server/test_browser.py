"""LangChain's hooks for React, in a page of a real browser that comes from another origin."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import pytest

from server import npm
from server.cutting import cutting

SOURCE: Final = Path(__file__).parent / "browser"
CHROMIUM: Final = shutil.which("chromium")
# It takes npm, a registry and a browser, which a quick look at the product should not need.
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(400),
    pytest.mark.real_time(reason="another process takes its time"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium"),
]
Client = Literal["classic", "modern", "socket"]
GRAPHS: Final = ("chat", "hitl", "pair", "nested", "tools")
TABS: Final = 4
"""Pages that are open at a time, where a scene is repeated."""


class Browser:
    """A browser in a process of its own, which plays scenes with a server."""

    def __init__(self, api: str) -> None:
        self.api = httpx.Client(base_url=api, timeout=30)
        self._process = subprocess.Popen(
            ["node", "scenes.mjs", str(CHROMIUM)],
            cwd=npm.installed(SOURCE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._answers: dict[int, Future[dict[str, Any]]] = {}
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def play(self, scene: str, client: Client, **more: Any) -> dict[str, Any]:
        """Return what a scene has shown, in which nothing went wrong."""
        asked = {"scene": scene, "client": client, "api": str(self.api.base_url), **more}
        answer: Future[dict[str, Any]] = Future()
        with self._lock:
            number = next(self._numbers)
            self._answers[number] = answer
            stdin = self._process.stdin
            assert stdin is not None
            stdin.write(json.dumps({"number": number, **asked}) + "\n")
            stdin.flush()
        told = answer.result(timeout=360)
        assert "failed" not in told, told
        return told

    def close(self) -> None:
        """End it."""
        self.api.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._thread.join()
        assert self._process.wait(timeout=30) == 0

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                told = json.loads(line)
                self._answers[told.pop("number")].set_result(told)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the graphs of the page; give the address."""
    here = tmp_path_factory.mktemp("served")
    shutil.copy(SOURCE / "app.py", here)
    targets = [f"app.py:{name}" for name in GRAPHS]
    command = [sys.executable, "-m", "millstream.cli", "serve", "--port", "0", *targets]
    with (here / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=here, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    with process:
        assert process.stdout is not None
        found = re.search(r"on (http://\S+) ", process.stdout.readline())
        assert found, (here / "errors.txt").read_text()
        yield found[1]
        process.terminate()


@pytest.fixture(scope="module")
def browser(api: str) -> Iterator[Browser]:
    """Give a browser that talks to the server."""
    browser = Browser(api)
    yield browser
    browser.close()


@pytest.fixture(params=["classic", "modern", "socket"])
def client(request: pytest.FixtureRequest) -> Client:
    """Give the hooks: that of langgraph-sdk/react, and that of @langchain/react over both ways."""
    return request.param  # type: ignore[no-any-return]


def said(told: dict[str, Any], key: str = "shown") -> list[tuple[str, str]]:
    """Return the messages on a page."""
    return [(message["type"], message["text"]) for message in told[key]["messages"]]


def telling(count: int) -> str:
    """Return what the graph answers to `tell {count} ...`."""
    return " ".join(f"w{number}" for number in range(count))


def test_a_chat_grows_word_by_word_and_is_there_after_a_reload(
    browser: Browser, client: Client
) -> None:
    told = browser.play("chat", client)

    words = [text for text in told["seen"] if text.startswith("w0")]
    assert words[-1] == telling(40)
    assert all(telling(40).startswith(text) for text in words)
    assert len(words) > 5
    assert said(told) == [
        ("human", "tell 40 5"),
        ("ai", telling(40)),
        ("human", "and you?"),
        ("ai", "you said and you?"),
    ]
    assert told["shown"]["error"] is None
    assert told["errors"] == []


def test_a_page_that_stops_a_run_goes_on_with_its_thread(browser: Browser, client: Client) -> None:
    told = browser.play("stop", client)

    runs = browser.api.get(f"/threads/{told['thread']}/runs").json()
    assert [run["status"] for run in runs] == ["success", "interrupted"]
    assert said(told) == [
        ("human", "tell 5000 5"),
        ("human", "still there?"),
        ("ai", "you said still there?"),
    ]
    assert told["before"]["error"] is None
    assert told["shown"]["error"] is None


@pytest.mark.parametrize("client", ["classic", "modern"])
def test_pages_that_are_reloaded_in_mid_stream_show_what_undisturbed_ones_do(
    browser: Browser, client: Client
) -> None:
    count = 100
    at = random.Random(40).sample(range(1, count - 10), 40)

    def reloaded(tab: int) -> list[dict[str, Any]]:
        return browser.play("reload", client, reloads=at[tab::TABS], count=count, pause=8)["told"]

    with ThreadPoolExecutor(TABS) as tabs:
        all_told = [told for each in tabs.map(reloaded, range(TABS)) for told in each]

    assert len(all_told) == 40
    for told in all_told:
        assert said(told) == [("human", f"tell {count} 8"), ("ai", telling(count))]
        assert told["shown"]["error"] is None
        assert all(telling(count).startswith(text) for text in told["seen"])


def test_a_stream_that_breaks_goes_on_where_it_was(
    browser: Browser, client: Client, api: str
) -> None:
    # What a page may read of an answer from elsewhere is what the server allows it to.
    mark = b"/stream/events" if client == "modern" else b"/stream"
    with cutting(api, [3000, 6000, 9000], mark) as proxy:
        told = browser.play("cut", client, api=proxy.url, count=150, pause=8)
        assert proxy.left == []

    assert said(told) == [("human", "tell 150 8"), ("ai", telling(150))]
    assert told["shown"]["error"] is None
    assert all(telling(150).startswith(text) for text in told["seen"])
    assert {"location", "content-location"} <= told["headers"].keys()


def test_questions_are_answered_before_and_after_a_reload(browser: Browser, client: Client) -> None:
    told = browser.play("questions", client)

    assert [each["value"]["question"] for each in told["first"]] == ["first?"]
    assert [each["value"]["question"] for each in told["second"]] == ["second?"]
    assert told["again"] == told["second"]
    assert said(told)[1:] == [("ai", "answers one two")]
    assert told["shown"]["questions"] == []


def test_two_questions_at_a_time_get_their_own_answers(browser: Browser, client: Client) -> None:
    told = browser.play("pair", client)

    assert sorted(each["value"] for each in told["asked"]) == ["left?", "right?"]
    assert sorted(said(told)[1:]) == [("ai", "left l"), ("ai", "right r")]


def test_a_message_is_edited_on_a_branch_of_its_own(browser: Browser, client: Client) -> None:
    told = browser.play("edit", client)

    assert said(told, "edited") == [
        ("human", "one"),
        ("ai", "you said one"),
        ("human", "three"),
        ("ai", "you said three"),
    ]
    if client == "classic":
        assert said(told)[2:] == [("human", "two"), ("ai", "you said two")]


def test_messages_in_a_queue_are_answered_in_turn(browser: Browser, client: Client) -> None:
    told = browser.play("queue", client)

    answers = [text for type, text in said(told) if type == "ai"]
    assert answers == [telling(50), "you said two", "you said three"]
    assert [type for type, _ in said(told)] == ["human", "ai"] * 3


@pytest.mark.parametrize("client", ["classic", "modern"])
@pytest.mark.parametrize("strategy", ["enqueue", "interrupt", "rollback"])
def test_another_tab_says_something_while_a_run_goes_on(
    browser: Browser, client: Client, strategy: str
) -> None:
    count = 60 if strategy == "enqueue" else 3000

    told = browser.play("tabs", client, strategy=strategy, first=f"tell {count} 10")

    state = browser.api.get(f"/threads/{told['thread']}/state").json()["values"]
    texts = [message["content"] for message in state["messages"]]
    first = {"enqueue": [f"tell {count} 10", telling(60)], "interrupt": [f"tell {count} 10"]}
    assert texts == [*first.get(strategy, []), "two", "you said two"]
    assert [text for _, text in said(told)] == texts
    assert told["error"] is None


@pytest.mark.parametrize("client", ["classic", "modern"])
def test_another_tab_is_refused_while_a_run_goes_on(browser: Browser, client: Client) -> None:
    told = browser.play("tabs", client, strategy="reject", first="tell 100 10")

    assert "already" in told["error"]
    assert said(told)[1:] == [("ai", telling(100))]


def test_a_nested_graph_is_seen_while_it_talks(browser: Browser, client: Client) -> None:
    told = browser.play("nested", client)

    assert said(told) == [("human", "tell 20 60"), ("ai", telling(20)), ("ai", "that was all")]
    if client == "classic":
        custom = [event for event in told["events"] if event[0] == "custom"]
        [[_, [namespace], data]] = custom
        assert namespace.startswith("inner:")
        assert data == {"from": "inside"}
    else:
        [subgraph] = told["shown"]["subgraphs"]
        assert subgraph["nodeName"] == "inner"
        texts = [event[2] for event in told["events"]]
        assert texts[-1] == f"tell 20 60|{telling(20)}"
        assert len(texts) > 5


def test_tools_are_called(browser: Browser, client: Client) -> None:
    told = browser.play("tools", client)

    assert [message["type"] for message in told["shown"]["messages"]] == [
        "human",
        "ai",
        "tool",
        "ai",
    ]
    assert told["shown"]["messages"][1]["calls"] == ["add"]
