"""What a run's events say of its activity, and how it is shown in some width."""

from __future__ import annotations

import io
import logging
import threading
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from rich.console import Console

from millstream.cli.live.activity import Activity, path_of
from millstream.cli.live.dots import DottedOutput, DottedView
from millstream.cli.live.events import take_task, take_words, words_of
from millstream.cli.live.paper import Paper, cut, width_of, wrap
from millstream.cli.live.picture import Moment, duration, picture
from millstream.cli.live.printed import Printed
from millstream.cli.live.retries import heard
from millstream.cli.live.table import table
from millstream.cli.live.transcript import Transcript


def paper_of(width: int, height: int = 24) -> Paper:
    return Paper(Console(file=io.StringIO(), width=width, height=height, force_terminal=True))


def start(activity: Activity, name: str, task_id: str, now: float, *namespace: str) -> None:
    take_task(activity, namespace, {"name": name, "id": task_id, "input": None}, now)


def end(
    activity: Activity,
    name: str,
    task_id: str,
    now: float,
    *namespace: str,
    error: Exception | None = None,
) -> Any:
    payload = {"name": name, "id": task_id, "error": error, "interrupts": []}
    return take_task(activity, namespace, payload, now)


def test_tasks_of_one_node_that_run_at_once_are_a_group() -> None:
    activity = Activity()
    for number in range(3):
        start(activity, "score", f"s{number}", 1.0)

    first = end(activity, "score", "s0", 2.0)
    second = end(activity, "score", "s1", 4.0, error=ValueError())

    (group,) = activity.running()
    assert (group.done, group.total, group.failed) == (2, 3, 1)
    assert (first.seconds, first.is_last, second.seconds) == (1.0, False, 3.0)
    assert end(activity, "score", "s2", 5.0).is_last
    assert list(activity.running()) == []
    (row,) = activity.rows()
    assert (row.count, row.seconds, row.failed) == (3, 4.0, 1)


def test_a_node_that_runs_again_begins_to_count_anew() -> None:
    activity = Activity()
    for number in range(2):
        start(activity, "step", f"s{number}", number)
        end(activity, "step", f"s{number}", number + 0.5)
    start(activity, "step", "s2", 9.0)

    (group,) = activity.running()
    assert (group.done, group.total) == (0, 1)
    (row,) = activity.rows()
    assert (row.count, row.seconds) == (3, 1.0)


def test_an_end_without_a_start_is_no_task() -> None:
    assert end(Activity(), "step", "unknown", 1.0) is None


def test_nested_nodes_stand_below_theirs_in_whatever_order_they_come() -> None:
    activity = Activity()
    start(activity, "one", "1", 0.0)
    start(activity, "two", "2", 0.0)
    start(activity, "in two", "3", 0.1, "two:2")
    start(activity, "in one", "4", 0.2, "one:1")

    paths = [("one",), ("one", "in one"), ("two",), ("two", "in two")]
    assert [group.path for group in activity.running()] == paths
    assert [row.path for row in activity.rows()] == paths


def test_what_did_not_end_has_taken_its_time() -> None:
    activity = Activity()
    start(activity, "endless", "1", 1.0)
    activity.stop(3.5)

    (row,) = activity.rows()
    assert row.seconds == 2.5
    assert list(activity.running()) == []


def test_tokens_are_those_that_models_tell_else_about_as_many_as_chunks() -> None:
    activity = Activity()
    usage: Any = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
    for message in (AIMessageChunk("a"), AIMessageChunk("", usage_metadata=usage)):
        take_words(words_of(activity, ("outer:1",), {"langgraph_node": "told"}), message)
    take_words(words_of(activity, (), {"langgraph_node": "untold"}), AIMessageChunk("a"))

    told, untold = [row.split()[-1] for row in _table(activity, 80)[1:]]
    assert (told, untold) == ("2", "~1")
    assert "10 + 2" in _table(activity, 80)[1]


def _table(activity: Activity, width: int) -> list[str]:
    return ["".join(text for text, _ in line) for line in table(activity.rows(), paper_of(width))]


@pytest.mark.parametrize("width", [34, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    activity, paper = Activity(), paper_of(width)
    transcripts: dict[str, Transcript] = {}
    for number in range(5):
        name = f"node {'🦙' * 9 * number}{number}"
        start(activity, name, f"{number}", 0.0)
        start(activity, name, f"more {number}", 0.0)
        activity.retry((name,), 2, "Error " + "of many words " * 20)
        transcripts[name] = Transcript(name, paper.clean)
        transcripts[name].say("words and 水は山から海へ流れる。 " * 20)
    moment = Moment(now=90.0, began=0.0, is_stopping=True)

    lines = picture(moment, activity, transcripts, paper)
    shown = [paper.fitted(line, width) for line in lines]

    assert len(lines) < 24
    panes = [line for line in lines if line[0][0][0] in "╭│╰"]
    assert all(width_of(line) == width for line in panes)
    assert bool(panes) == (width >= 60)
    assert any("1 min 30 s" in line for line in shown)
    assert all(len(line) <= width for line in _table(activity, width))


def test_a_low_terminal_shows_what_runs() -> None:
    activity, paper = Activity(), paper_of(80, height=3)
    start(activity, "node", "1", 0.0)
    transcript = Transcript("node", paper.clean)
    transcript.say("words")

    lines = picture(Moment(now=1.0, began=0.0), activity, {"node": transcript}, paper)

    assert ["".join(text for text, _ in line) for line in lines] == ["⠇ node  1.0 s", "1.0 s"]


def test_the_end_of_what_is_said_is_wrapped_as_it_grows() -> None:
    transcript = Transcript("node", paper_of(80).clean)

    for word in ("one ", "two\nthr", "ee four five", " six"):
        transcript.say(word)
    assert transcript.tail(10, 9) == [("one two", ""), ("three four", ""), ("five six", "")]
    assert transcript.tail(5, 3) == [("four", ""), ("five", ""), ("six", "")]
    transcript.end()
    assert transcript.tail(10, 2) == [("three four", ""), ("five six", "")]
    assert transcript.whole() == [("one two", ""), ("three four five six", "")]


@pytest.mark.parametrize(
    ("text", "room", "lines"),
    [
        ("", 5, [""]),
        ("one two", 7, ["one two"]),
        ("one two", 6, ["one", "two"]),
        ("oneandtwo", 4, ["onea", "ndtw", "o"]),
        ("水水水", 5, ["水水", "水"]),
        ("水", 1, ["水"]),
        (" x", 1, [" ", "x"]),
    ],
)
def test_lines_are_broken_between_words(text: str, room: int, lines: list[str]) -> None:
    assert list(wrap(text, room)) == lines


def test_text_is_cut_by_cells() -> None:
    assert cut("水水水", 5, "…") == "水水…"
    assert cut("水水", 4, "…") == "水水"
    assert cut("abcdef", 5, "...") == "ab..."
    assert cut("abcdef", 2, "...") == ".."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 01 s"), (7260, "2 h 01 min")],
)
def test_times_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_names_of_graphs_are_told_from_their_tasks() -> None:
    assert path_of(("outer:1", "inner:2"), "node") == ("outer", "inner", "node")


def test_what_programs_print_is_told_line_by_line() -> None:
    lines: list[str] = []
    stream = Printed(lines.append, None)

    stream.write("one\ntw")
    stream.buffer.write("o ü\r\nth".encode())
    assert lines == ["one", "two ü"]
    stream.end()
    assert lines == ["one", "two ü", "th"]
    stream.write("x" * 5000)
    assert len(lines) == 4
    with pytest.raises(TypeError, match="must be str, not int"):
        stream.write(1)  # type: ignore[arg-type]


def test_what_threads_print_while_a_line_is_told_is_not_lost() -> None:
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if line == "one":
            other = threading.Thread(target=stream.write, args=("two",))
            other.start()
            other.join()

    stream = Printed(tell, None)
    stream.write("one\n")
    stream.end()

    assert lines == ["one", "two"]


def test_what_threads_print_stands_beside_an_event_where_there_are_dots() -> None:
    stream = io.StringIO()
    console = Console(file=stream)
    view = DottedView(DottedOutput(stream), Paper(console), ["custom"], has_subgraphs=False)
    threads: list[threading.Thread] = []

    class Odd:
        def __repr__(self) -> str:
            # The thread cannot end before the event is written, so nothing more can be waited for.
            threads.append(threading.Thread(target=view._print, args=("printed",)))
            threads[-1].start()
            threads[-1].join(0.1)
            return "odd"

    view.show((), "custom", {"key": Odd()})
    for thread in threads:
        thread.join()

    assert threads
    assert stream.getvalue().index("odd") < stream.getvalue().index("printed")


def test_dots_have_lines_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    out = DottedOutput(stream)
    out.write("event\n")

    out.dot("running fetch", 0.0)
    assert stream.getvalue() == "event\n"
    for later in (1e9, 1e9 + 1, 1e9 + 2):
        out.dot("running fetch", later)
    out.dot("running score", 1e9 + 4)
    out.write("event\n")

    assert stream.getvalue() == "event\nrunning fetch . .\nrunning score .\nevent\n"


def test_retries_are_heard_whatever_is_logged_and_nothing_more_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Any] = []
    logger = logging.getLogger("millstream.drivers.nodecall")
    before = logger.level
    more = {"checkpoint_ns": "outer:1|fetch:2"}

    with heard(lambda *what: told.append(what)):
        logger.info("%s %s %d %s %s", "fetch", 0.5, 2, "Error", "gone", extra=more)
        logger.info("something else")

    assert told == [(("outer", "fetch"), 2, "Error gone")]
    assert caplog.records == []
    assert (logger.level, logger.filters) == (before, [])
