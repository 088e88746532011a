"""Every deliberate difference from langgraph 1.2.24, by name.

A program or call that names one must really differ: an exclusion that is no longer needed fails
the suite. `heading` is the section of `docs/compatibility.md` that gives the reason.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import langchain_core
from packaging.version import Version


def _always(driver: str) -> bool:
    return True


def _async_before_311(driver: str) -> bool:
    return driver == "async" and sys.version_info < (3, 11)


def _langchain_before_1_7_5(driver: str) -> bool:
    """Later ones tell a pause from an error, whoever raises it."""
    return Version(langchain_core.__version__) < Version("1.7.5")


@dataclass(frozen=True, slots=True)
class Difference:
    """One deliberate difference and the drivers it shows under."""

    heading: str
    applies: Callable[[str], bool] = _always


DIFFERENCES: Final = {
    "place-as-checkpointer": Difference("A path or a URL is a checkpointer"),
    "stream-modes-in-a-tuple": Difference("A tuple or set of modes is labelled like a list"),
    "unknown-stream-mode": Difference("An unknown stream mode is refused"),
    "unknown-version": Difference("An unknown version is refused"),
    "unknown-keyword": Difference("Unknown keyword arguments give a warning"),
    "v2-coercion": Difference("v2 coercion uses each namespace's own schema"),
    "empty-command": Difference("An empty Command gives a clear error"),
    "command-on-fresh-thread": Difference("A Command on a fresh thread is applied once"),
    "sync-durability-without-saver": Difference('durability="sync" without a saver works'),
    "string-annotations": Difference("Optional annotations are injected when they are strings"),
    "writer-outside-context": Difference("The writer knows its namespace"),
    "signals": Difference("Interrupts and parent commands pass `except Exception`"),
    "signals-in-tools": Difference(
        "Interrupts and parent commands pass `except Exception`", _langchain_before_1_7_5
    ),
    "failed-branch": Difference("A task that failed shows no update"),
    "failed-branch-in-sync": Difference(
        "A task that failed shows no update", lambda driver: driver == "sync"
    ),
    "items-before-an-error": Difference(
        "Everything that happened before an error is delivered before it"
    ),
    "exit-parent": Difference('Checkpoints of a run with durability="exit" name their true parent'),
    "refused-writes": Difference("A finished task is reported even when its writes are refused"),
    "async-accessors-on-3.10": Difference(
        "get_stream_writer and get_config work in async nodes on Python 3.10", _async_before_311
    ),
    "async-tokens-on-3.10": Difference(
        "Models stream without a config in async nodes on Python 3.10", _async_before_311
    ),
    "quiet-children": Difference("Models that nobody hears are not made to stream"),
    "handler-namespace": Difference("Items of an error handler have the namespace of its graph"),
    "deferred-behind-deferred": Difference("A deferred node behind another one runs once"),
    "deferred-beside-sends": Difference("A deferred node waits for Sends"),
    "parent-commands": Difference("Commands for the same parent graph are all applied"),
    "wrong-route": Difference("A route to no node is an error"),
    "ids-at-once": Difference("Messages in updates have their ids"),
    "own-thread": Difference(
        "A nested graph with a thread of its own does not leak messages",
        lambda driver: not _async_before_311(driver),
    ),
    "output-for-every-reader": Difference("Every reader of `tools` gets the parts of an output"),
    "same-run-id": Difference("The same run_id does not discard the input"),
    "custom-event-first": Difference("A custom event keeps its data"),
    "unknown-checkpoint": Difference("A checkpoint that does not exist is nobody's parent"),
    "end-of-an-answered-graph": Difference(
        'A nested graph that asked keeps its end with durability="exit"'
    ),
    "commanded": Difference("What a Command led to is in the state"),
    "empty-map": Difference("Answers that name nothing are refused"),
    "unknown-among-known": Difference("Answers that name nothing are refused"),
    "stale-answer": Difference("A question is never answered with an older answer"),
    "answer-after-a-failure": Difference("An answer that made its node fail can be replaced"),
    "invalid-answer": Difference("An answer that does not fit leaves the question as it was"),
    "answer-keys": Difference("An answer may be a dict with any keys"),
    "resume-unknown-thread": Difference("An answer for an unknown thread is refused"),
    "parent-command-in-update": Difference("update_state refuses a Command for a parent graph"),
    "bad-updates-are-refused-first": Difference("Bad updates are refused before any is stored"),
    "edges-in-updates": Difference("Path functions get all their parameters in update_state"),
    "update-of-a-waiting-node": Difference(
        "An update in the name of a node that waits has triggered it"
    ),
    "missing-thread-id": Difference("A missing thread_id is named in the error"),
    "bound-config-in-updates": Difference("with_config counts for updates and histories too"),
    "saver-in-config": Difference("Configs of snapshots hold no objects"),
    "missing-state-key": Difference(
        "Injection says what is missing, and goes past the tool's own schema"
    ),
    "shared-cache": Difference("A shared cache knows whose results it holds"),
    "state-as-said": Difference("Watching a run does not change its state"),
    "streamed-by-hand": Difference("Run streams hear models that a node streams itself"),
    "human-messages": Difference("A HumanMessage stays one in a run stream"),
    "children-start-first": Difference("A nested graph starts before its first values"),
    "every-child": Difference("Every nested graph has lifecycle events and a handle"),
    "own-end": Difference("A nested graph ends as it ends itself"),
    "child-errors": Difference("Errors of nested graphs keep their type"),
    "event-ids": Difference("Every event of a run has an id"),
    "caused-after": Difference("What an event causes comes after it"),
    "maxlen": Difference("A channel with maxlen holds back the run"),
    "async-interleave": Difference(
        "Projections can be interleaved in async", lambda driver: driver == "async"
    ),
    "scheduled-errors": Difference("Errors of scheduled work are never lost"),
    "error-for-every-reader": Difference("Every reader of a failed run gets its error"),
    "sync-tee-of-an-error": Difference(
        "Every reader of a failed run gets its error", lambda driver: driver == "sync"
    ),
    "finalize-errors": Difference("An error at the end of a run is the run's"),
    "async-finalize-errors": Difference(
        "An error at the end of a run is the run's", lambda driver: driver == "async"
    ),
    "outer-log": Difference(
        "The outer log has all of an inner run", lambda driver: driver == "async"
    ),
    "output-as-shown": Difference("The output is the last of the values"),
    "model-errors": Difference("A message that a model does not finish ends with its error"),
    "beta-warning": Difference("Run streams give no beta warning"),
    "cancelled-reader": Difference("A cancelled reader stops only a run that nobody else reads"),
}
