"""Checkpoints: versions, what was seen of them, and their chain."""

from __future__ import annotations

from core.builders import graph, log, new_lineage, new_machine, node
from millstream.channels import LastValue
from millstream.constants import INTERRUPT
from millstream.core.cells import Cells
from millstream.core.checkpoints import REBUILT, SaveCheckpoint
from millstream.core.tasks import Task


def checkpoint_of(step: int) -> SaveCheckpoint:
    """Return the stored checkpoint of a one-channel run."""
    lineage = new_lineage()
    lineage.bump(["x"])
    spec = graph([], {"x": LastValue(int)})
    return lineage.record(Cells(spec, {"x": 1}), "loop", step, {"x"})


def test_a_checkpoint_holds_all_that_a_run_continues_from() -> None:
    """Layout, names and format number are those of langgraph-checkpoint."""
    spec = graph([], {"x": LastValue(int), "log": log()})
    lineage = new_lineage(parents={"": "0f"})
    lineage.bump(["x"])
    lineage.seen["a"] = {"x": 1}

    save = lineage.record(Cells(spec, {"x": 5}), "loop", 3, {"x"})

    assert save == SaveCheckpoint(
        checkpoint={
            "v": 4,
            "ts": "time of 3",
            "id": f"{5:032x}",
            "channel_values": {"x": 5},
            "channel_versions": {"x": 1},
            "versions_seen": {"a": {"x": 1}, "__input__": {}},
            "updated_channels": ["x"],
        },
        metadata={"source": "loop", "step": 3, "parents": {"": "0f"}},
        parent_id=None,
        new_versions={"x": 1},
    )


def test_a_checkpoint_does_not_change_with_the_run() -> None:
    """Versions and what was seen are copied, deep enough."""
    lineage = new_lineage()
    lineage.bump(["x"])
    lineage.seen["a"] = {"x": 1}
    save = lineage.record(Cells(graph([])), "loop", 0, ())

    lineage.bump(["x", "y"])
    lineage.mark_all_seen("a")

    assert save.checkpoint["channel_versions"] == {"x": 1}
    assert save.checkpoint["versions_seen"]["a"] == {"x": 1}


def test_each_checkpoint_follows_the_one_before() -> None:
    """The parent is the last one recorded, and only newer versions are new."""
    lineage, cells = new_lineage(), Cells(graph([]))

    lineage.bump(["x", "y"])
    first = lineage.record(cells, "input", -1, None)
    lineage.bump(["y"])
    second = lineage.record(cells, "loop", 0, {"z", "y"})

    assert [first.parent_id, second.parent_id] == [None, first.checkpoint["id"]]
    assert [first.new_versions, second.new_versions] == [{"x": 1, "y": 1}, {"y": 2}]
    assert [s.checkpoint["updated_channels"] for s in (first, second)] == [None, ["y", "z"]]


def test_the_only_checkpoint_of_a_run_follows_the_one_loaded() -> None:
    """Checkpoints in between are not stored, so they are nobody's parent."""
    loaded = checkpoint_of(4)
    lineage = new_lineage(loaded, is_saved_at_end=True)

    saves = [lineage.record(Cells(graph([])), "loop", step, ()) for step in (5, 6)]

    assert [save.parent_id for save in saves] == [loaded.checkpoint["id"]] * 2


def test_loading_restores_what_was_recorded() -> None:
    """A chain continues with the loaded versions, and owns them."""
    loaded = checkpoint_of(4)
    lineage = new_lineage(loaded)

    lineage.bump(["x"])
    lineage.mark_all_seen(INTERRUPT)

    assert lineage.metadata == {"source": "loop", "step": 4, "parents": {}}
    assert (lineage.id, lineage.updated) == (loaded.checkpoint["id"], ["x"])
    assert lineage.versions == {"x": 2}
    assert loaded.checkpoint["channel_versions"] == {"x": 1}
    assert loaded.checkpoint["versions_seen"] == {"__input__": {}}


def test_loading_an_older_checkpoint_leaves_the_updates_unknown() -> None:
    """Checkpoints without the record of updated channels stay readable."""
    loaded = checkpoint_of(4)
    del loaded.checkpoint["updated_channels"]

    assert new_lineage(loaded).updated is None


def test_changed_channels_get_one_version_newer_than_any() -> None:
    """All channels of a superstep get the same version; no change, no version."""
    lineage = new_lineage()

    lineage.bump(["x", "y"])
    lineage.bump([])
    lineage.bump(["y", "z"])

    assert lineage.versions == {"x": 1, "y": 2, "z": 2}


def test_a_node_is_triggered_by_what_it_has_not_seen() -> None:
    """Never written, never seen, seen, written again."""
    lineage = new_lineage()
    answers = [lineage.is_triggered("a", "x")]

    lineage.bump(["x"])
    answers.append(lineage.is_triggered("a", "x"))
    lineage.mark_all_seen("a")
    answers.append(lineage.is_triggered("a", "x"))
    lineage.bump(["x"])
    answers.append(lineage.is_triggered("a", "x"))

    assert answers == [False, True, False, True]


def test_tasks_have_seen_the_versions_of_their_triggers() -> None:
    """Triggers without a version, such as a Send, leave nothing to remember."""
    one = node("a", "x", "y")
    machine = new_machine(graph([one]))
    lineage = new_lineage()
    lineage.bump(["x", "z"])

    lineage.mark_seen([Task(machine, one, one.path, one.triggers)])

    assert lineage.seen == {"a": {"x": 1}}


def test_news_are_changes_since_the_last_stop() -> None:
    """A new channel and a new version are news."""
    lineage = new_lineage()
    answers = [lineage.has_news()]
    for change in (["x"], ["x"], ["y"]):
        lineage.bump(change)
        answers.append(lineage.has_news())
        lineage.mark_all_seen(INTERRUPT)
        answers.append(lineage.has_news())

    assert answers == [False, True, False, True, False, True, False]


def test_a_rebuilt_value_is_stored_under_a_version_of_its_own() -> None:
    """Once: under the old one savers know no value, and nobody takes it for news."""
    spec = graph([node("a")], {"x": LastValue(int)})
    lineage = new_lineage()
    saved = {**checkpoint_of(3).checkpoint, "versions_seen": {"a": {"x": 1}}, REBUILT: ["x"]}
    lineage.load(saved, {"step": 3})

    first = lineage.record(Cells(spec, {"x": 1}), "loop", 4, ())
    second = lineage.record(Cells(spec, {"x": 1}), "loop", 5, ())

    assert (first.new_versions, second.new_versions) == ({"x": 2}, {})
    assert first.checkpoint["versions_seen"]["a"] == {"x": 2}
    assert REBUILT not in first.checkpoint


def test_a_chain_that_moves_begins_anew() -> None:
    """It has no parent where it is now, and everything is to be stored there."""
    lineage = new_lineage()
    lineage.load(checkpoint_of(3).checkpoint, {"step": 3})

    lineage.move()
    save = lineage.record(Cells(graph([], {"x": LastValue(int)}), {"x": 1}), "fork", 4, ())

    assert (save.parent_id, save.new_versions) == (None, {"x": 1})
