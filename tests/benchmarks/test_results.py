"""The page and the chart show what was measured, and can be made again from the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.child import ROOT
from benchmarks.harness import Samples
from benchmarks.notes import NOTES
from benchmarks.record import Measured, Record
from benchmarks.rows import (
    FLOOR,
    LANGGRAPH,
    MILLSTREAM,
    NEOGRAPH,
    Contender,
    Group,
    Kind,
    Row,
    added,
    added_fraction,
    at_least,
    at_most_beyond,
    ceiling,
    fraction,
    growth,
)

from benchmarks import __main__ as program
from benchmarks import chart, record, report, results

FACTS = {
    "date": "2026-01-02 03:04 UTC",
    "commit": "abc1234",
    "machine": "a processor, 2 cores, Linux",
    "python": "CPython 3.11.7",
    "versions": {"millstream": "0.1.0", "langgraph": "1.2.22"},
    "load": 0.1,
    "load after": 1.5,
}


def _row(title: str, *names: str, **fields: object) -> Row:
    contenders = tuple(Contender(name, lambda: None, kind=Kind.WORK) for name in names)
    return Row(title, "step", 100, contenders, **fields)  # type: ignore[arg-type]  # as given


@pytest.fixture
def measured() -> Record:
    """Return what a run of the benchmarks could have found."""
    chain = _row(
        "chain",
        MILLSTREAM,
        LANGGRAPH,
        NEOGRAPH,
        "apache-burr",
        FLOOR,
        goals=(ceiling(4), fraction("chain", 30)),
    )
    longer = _row("longer chain", MILLSTREAM, goals=(growth("chain", 1.1),))
    token = _row(
        "token",
        MILLSTREAM,
        LANGGRAPH,
        FLOOR,
        goals=(added("token", 5), added_fraction("token", 2)),
    )
    plain = _row("plain", MILLSTREAM, LANGGRAPH)
    rate = _row("crowd", MILLSTREAM, goals=(at_least(50, "steps/s"),), measure="steps/s")
    memory = _row("memory", MILLSTREAM, goals=(at_most_beyond("crowd", 10),), measure="MB")
    return Record(
        FACTS,
        [
            Measured(
                Group("chains", (chain, longer)),
                {
                    ("chain", MILLSTREAM): Samples((5.0, 6.0, 5.2)),
                    ("chain", LANGGRAPH): Samples((160.0, 200.0)),
                    ("chain", NEOGRAPH): Samples((7.5,)),
                    ("chain", "apache-burr"): Samples((40.0,)),
                    ("chain", FLOOR): Samples((0.5,)),
                    ("longer chain", MILLSTREAM): Samples((5.4,)),
                },
            ),
            Measured(
                Group("others", (token, plain, rate, memory)),
                {
                    ("token", MILLSTREAM): Samples((14.0,)),
                    ("token", LANGGRAPH): Samples((30.0,)),
                    ("token", FLOOR): Samples((10.0,)),
                    ("plain", MILLSTREAM): Samples((1234.5,)),
                    ("plain", LANGGRAPH): Samples((2469.0,)),
                    ("crowd", MILLSTREAM): Samples((45.0,)),
                    ("memory", MILLSTREAM): Samples((50.0,)),
                },
            ),
        ],
    )


def _lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


def test_the_page_shows_every_row_with_its_goals_and_who_else_was_measured(
    measured: Record,
) -> None:
    page = results.page(measured)

    assert _lines(page, "| chain |") == [
        "| chain | step | 5.20 µs | 5.00 µs | 160 (1/32.0) | 7.50 (1/1.50) neograph-engine "
        "| 0.50 (10.00x) | ≤ 4 µs<br>≤ 1/30 of langgraph | **no**: 5.0<br>yes: 1/32.0 |"
    ]
    assert _lines(page, "| longer chain |") == [
        "| longer chain | step | 5.40 µs | 5.40 µs |  |  |  | ≤ 1.1x of chain | yes: 1.08x |"
    ]
    assert _lines(page, "| token |") == [
        "| token | step | 14.0 µs | 14.0 µs | 30.0 (1/2.14) |  | 10.0 (1.40x) "
        "| ≤ 5 µs added to the floor<br>≤ 1/2 of langgraph added to the floor "
        "| yes: 4.0<br>yes: 1/5.00 |"
    ]
    assert _lines(page, "| plain |") == [
        "| plain | step | 1,234 µs | 1,234 µs | 2,469 (1/2.00) |  |  |"
    ]


def test_the_page_lists_what_is_not_reached_with_what_holds_it(
    measured: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NOTES, "chain", "What holds it.")
    page = results.page(measured)

    assert "## Goals: 5 of 7 reached" in page
    assert _lines(page, "- **") == [
        "- **chain**: goal ≤ 4 µs, reached 5.0. What holds it.",
        "- **crowd**: goal ≥ 50 steps/s, reached 45.0.",
    ]


def test_a_row_that_nobody_was_measured_in_says_why(tmp_path: Path) -> None:
    kept = _row("kept", MILLSTREAM, LANGGRAPH)
    ours = _row("ours", MILLSTREAM, goals=(fraction("kept", 4),))
    absent = _row("absent", goals=(fraction("kept", 4),), missing="no server")
    part = Measured(
        Group("savers", (kept, ours, absent)),
        {
            ("kept", MILLSTREAM): Samples((50.0,)),
            ("kept", LANGGRAPH): Samples((80.0,)),
            ("ours", MILLSTREAM): Samples((10.0,)),
        },
    )
    record.save(Record(FACTS, [part]), tmp_path / "numbers.json")
    found = record.load(tmp_path / "numbers.json")
    page = results.page(found)
    console = report.make_console()
    with console.capture() as shown:
        report.show_group(console, found.parts[0])
        assert report.show_summary(console, found.parts) == 1

    assert _lines(page, "| ours |") == [
        "| ours | step | 10.0 µs | 10.0 µs |  |  |  | ≤ 1/4 of langgraph in kept | yes: 1/8.00 |"
    ]
    assert _lines(page, "| absent |") == [
        "| absent | step | no server |  |  |  |  | ≤ 1/4 of langgraph in kept "
        "| **no**: not measured |"
    ]
    assert _lines(page, "- **") == ["- **absent**: goal ≤ 1/4 of langgraph in kept, no server."]
    assert [bar["label"] for bar in chart.picture(found)["bars"]] == ["ours (per step)"]
    assert "no server" in shown.get()


def test_the_page_says_where_and_with_what_it_was_measured(measured: Record) -> None:
    page = results.page(measured)

    assert "- 2026-01-02 03:04 UTC, commit abc1234" in page
    assert "- a processor, 2 cores, Linux; load before: 0.1, after: 1.5" in page
    assert "- CPython 3.11.7; millstream 0.1.0, langgraph 1.2.22" in page
    assert "langgraph 146 µs (sync) and 175 µs (async)" in page


def test_the_chart_shows_rows_in_microseconds_that_others_are_compared_in(
    measured: Record,
) -> None:
    assert chart.picture(measured)["bars"] == [
        {
            "label": "chain (per step)",
            "values": {MILLSTREAM: 5.0, LANGGRAPH: 160.0, chart.PEER: 7.5, FLOOR: 0.5},
            "peer": NEOGRAPH,
            "goal": 4,
        },
        {
            "label": "token (per step)",
            "values": {MILLSTREAM: 14.0, LANGGRAPH: 30.0, FLOOR: 10.0},
            "peer": None,
            "goal": None,
        },
    ]


def test_what_was_measured_is_shown_again_from_its_file(measured: Record, tmp_path: Path) -> None:
    path = tmp_path / "new" / "numbers.json"

    record.save(measured, path)
    again = record.load(path)

    assert results.page(again) == results.page(measured)
    assert chart.picture(again) == chart.picture(measured)


def test_render_writes_the_page_without_measuring(
    measured: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "FOLDER", tmp_path)
    monkeypatch.setattr(chart, "PYTHON", tmp_path / "no environment")
    record.save(measured, tmp_path / "quick.json")

    assert program.main(["--render", "--quick"]) == 0

    assert (tmp_path / "RESULTS.md").read_text(encoding="utf-8") == results.page(measured)
    assert not (tmp_path / "results.svg").exists()


def test_what_some_areas_reach_later_is_a_section_that_the_next_one_replaces(
    measured: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text(results.page(measured), encoding="utf-8")
    monkeypatch.setattr(program, "PAGE", page)
    monkeypatch.setattr(program, "FOLDER", tmp_path)
    chains = Record({**FACTS, "niceness": -10}, measured.parts[:1])
    others = Record(FACTS, measured.parts[1:])

    for areas, found in ((["chain"], others), (["runs"], others), (["chain"], chains)):
        record.save(found, tmp_path / "part.json")
        assert program.main(["--render", "--later", *areas]) == 0

    text = page.read_text(encoding="utf-8")
    whole, runs, chain = text.split(f"\n{results.LATER}: ")
    assert whole == results.page(measured)
    assert (runs.split("\n")[0], chain.split("\n")[0]) == ("runs", "chain")
    assert "| plain |" in runs
    assert "| chain |" in chain
    assert "| plain |" not in chain
    assert "load before: 0.1, after: 1.5; at niceness -10\n" in chain
    assert "niceness" not in runs


@pytest.mark.parametrize("arguments", [["--later"], ["--later", "--quick", "chain"]])
def test_later_is_for_areas_at_full_length(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        program.main(arguments)

    assert "name them, without --quick" in capsys.readouterr().err


def test_notes_are_about_rows_there_are() -> None:
    page = (ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8")

    assert [title for title in NOTES if f"| {title} |" not in page] == []
