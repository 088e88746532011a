"""Every recorded exchange whose operation there is, against our server.

Each scene is a sequence of exchanges that build on each other. What differs on purpose is in
`DIFFERENT`, and in docs/server-compatibility.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from starlette.routing import Match

from millstream.server.api.routing import OPERATIONS, routes
from millstream.server.runs.wire import TOKEN_NOISE
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.recordings import FOLDER, Recording, Replay, load

pytestmark = pytest.mark.real_time(reason="the nodes of `slow` take some time")

SCENES: Final = {
    "system": """
        meta_ meta_info meta_method_not_allowed meta_notfound meta_ok meta_ok_check_db-1
        cors_get cors_preflight bad_json
    """,
    "assistants": """
        assistants_search assistants_search_graph assistants_count assistants_get
        assistants_get_404 assistants_get_by_graphid assistants_graph assistants_graph_xray
        assistants_schemas assistants_subgraphs assistants_subgraphs_ns
        assistants_graph_by_graphid assistants_schemas_by_graphid
        assistants_create_422 assistants_create_badgraph assistants_create_config_and_context
        assistants_create_context_null
        assistants_create assistants_create_dup assistants_create_dup_nothing assistants_patch
        assistants_versions assistants_latest assistants_delete assistants_delete_again
    """,
    "threads": """
        threads_create threads_create_badid threads_create_dup threads_create_dup_nothing
        threads_create_meta threads_create_supersteps thread_create_ttl_int
        threads_get threads_get_404 threads_get_badid threads_history_empty threads_state_empty
        threads_patch_state threads_search_values
        threads_history_before_str
    """,
    "state": """
        threads_create threads_create_meta run_wait_chat threads_get_after threads_state
        threads_state_subgraphs threads_history threads_history_get threads_history_before
        threads_history_metadata
        threads_state_at threads_state_at_post threads_update_state threads_update_state_badnode
        threads_update_state_fork threads_update_state_null threads_patch threads_copy
        threads_count threads_search threads_search_select
    """,
    "crons": """
        threads_create cron_bad_schedule cron_create cron_create_thread cron_search cron_count
        cron_get cron_patch cron_delete
    """,
    "store": """
        store_put store_put2 store_get store_get_missing store_search store_namespaces
        store_put_ns_dot store_delete
    """,
    "stream modes": """
        stream_mode_values stream_mode_values_subgraphs stream_mode_updates
        stream_mode_updates_subgraphs stream_mode_messages stream_mode_messages_subgraphs
        stream_mode_messages-tuple stream_mode_messages-tuple_subgraphs stream_mode_custom
        stream_mode_custom_subgraphs stream_mode_events stream_mode_events_subgraphs
        stream_mode_debug stream_mode_debug_subgraphs stream_mode_tasks
        stream_mode_tasks_subgraphs stream_mode_checkpoints stream_mode_checkpoints_subgraphs
        stream_mode_default stream_mode_list stream_mode_list_useStream stream_mode_empty_list
        stream_mode_both_messages stream_mode_tools stream_mode_lifecycle
    """,
    "streams": """
        stream_tools_updates stream_durability_exit stream_feedback stream_gzip
        stream_stateless stream_stateless_keep wait_stateless factory_stream
        resumable_stream resumable_rejoin_from_0 resumable_rejoin_from_minus1
        resumable_rejoin_mode_filter resumable_rejoin_noid
        stateless_create stateless_stream_resumable batch
    """,
    "interrupts": """
        interrupt_stream interrupt_thread interrupt_state interrupt_runs interrupt_resume
        interrupt_after_resume interrupt_wait interrupt_before_static
        interrupt_before_static_state interrupt_before_static_continue command_goto_update
        command_and_input
    """,
    "errors": """
        error_stream error_thread_after error_state_after error_runs_after error_wait
        error_join error_stream_tasks_debug error_bad_input error_recursion
    """,
    "event streams": """
        v3_chat_run_start v3_chat_events v3_tools_run_start v3_tools_events
        v3_sink_run_start v3_sink_events v3_sink_replay_ns_depth v3_sink_replay_since
        v3_sink_replay_custom_only v3_slow_run_start v3_slow_events
        v3_hitl_run_start v3_hitl_events v3_hitl_respond v3_hitl_respond_events
        v3_hitl_respond_bad v3_bad_noid v3_events_badchan v3_events_nochan v3_get_tree
        v3_unknown v3_subscribe_http v3_run_start_badassistant v3_run_start_badthread
        v3_run_start_noassistant v3_state_get v3_state_fork v3_input_inject v3_list_checkpoints
    """,
    "runs": """
        run_422 run_missing_assistant run_missing_thread run_missing_thread_create
        run_unknown_mode join_404 join_stream_404 run_minimal_headers
    """,
}
TOKENS: Final = (
    "stream_mode_messages",
    "stream_mode_messages_subgraphs",
    "stream_mode_messages-tuple",
    "stream_mode_messages-tuple_subgraphs",
    "stream_mode_list",
    "stream_mode_list_useStream",
    "stream_mode_both_messages",
    "stream_tools_updates",
    "factory_stream",
)
"""Streams of tokens, each with its metadata."""
DIFFERENT: Final[dict[str, frozenset[str] | None]] = {
    # The texts of refused bodies are pydantic's.
    "assistants_create_422": frozenset({"detail"}),
    "thread_create_ttl_int": frozenset({"detail"}),
    "threads_history_before_str": frozenset({"detail"}),
    # Null is no value.
    "assistants_create_context_null": None,
    # The graph of a thread may be named when the thread is made.
    "threads_create_supersteps": None,
    # A search by values is no failure of the server.
    "threads_search_values": None,
    # A checkpoint is named in full.
    "threads_state_at": frozenset({"checkpoint_ns"}),
    # A copy has the values of its original.
    "threads_search": frozenset({"values", "error", "interrupts"}),
    # Errors have one form.
    "store_put_ns_dot": None,
    "run_422": frozenset({"detail"}),
    "run_unknown_mode": frozenset({"detail"}),
    # What is the same for the whole run is not sent with each token.
    **dict.fromkeys(TOKENS, TOKEN_NOISE),
    # More modes are known.
    "stream_mode_tools": None,
    "stream_mode_lifecycle": None,
    # Nobody is asked about feedback.
    "stream_feedback": None,
    # A question has one form.
    "interrupt_thread": frozenset({"response_schema"}),
    # What was stored for a run is what was asked for.
    "interrupt_runs": frozenset({"__pregel_node_finished", "run_attempt"}),
    "error_runs_after": frozenset({"__pregel_node_finished", "run_attempt"}),
    # Events of more channels are numbered and told; more commands are known.
    "v3_sink_replay_since": None,
    "v3_sink_replay_custom_only": None,
    "v3_events_badchan": frozenset({"detail"}),
    **dict.fromkeys(
        ("v3_state_get", "v3_state_fork", "v3_input_inject", "v3_list_checkpoints"), None
    ),
    # What a model has said is text in the state too.
    **dict.fromkeys(
        ("v3_chat_events", "v3_tools_events", "v3_sink_events", "v3_sink_replay_ns_depth"),
        frozenset({"content", "response_metadata"}),
    ),
    # Clients read the one or the other.
    "v3_hitl_events": frozenset({"value"}),
    "v3_hitl_respond_events": frozenset({"value"}),
    "v3_hitl_respond": frozenset({"run_id"}),
    # An error says what is wrong.
    "command_and_input": frozenset({"error", "message"}),
}
"""Name -> the keys that differ, or None where all of it does."""


BODIES: Final = {"bad_json": "{no json"}
"""What was sent where the recording does not show it."""


def has_operation(recording: Recording) -> bool:
    """Return whether our server has what was asked for; what nobody has is refused by both."""
    scope = {"type": "http", "path": recording.path.partition("?")[0], "method": "GET"}
    known = any(route.matches(scope)[0] is Match.FULL for route in routes())
    return known or recording.name in ("meta_notfound",)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Running]:
    """Give a server as the recorded one was at its start."""
    with running(config_of(make_graphs(), tmp_path)) as server:
        yield server


def complete_scenes() -> list[str]:
    """Return the scenes all of whose operations there are."""
    return [scene for scene in SCENES if all(map(has_operation, map(load, SCENES[scene].split())))]


@pytest.mark.parametrize("scene", complete_scenes())
def test_recorded_exchanges_come_out_the_same(recorded: Running, scene: str) -> None:
    replay = Replay(recorded)
    wrong: dict[str, list[str]] = {}
    for name in SCENES[scene].split():
        recording = load(name)
        recording.sent = BODIES.get(name, recording.sent)
        optional = DIFFERENT.get(name, frozenset())
        if optional is None:
            continue
        if found := replay.play(recording, optional=optional):
            wrong[name] = found

    assert wrong == {}


def test_every_difference_is_listed() -> None:
    page = Path(__file__).parents[2] / "docs" / "server-compatibility.md"
    text = page.read_text(encoding="utf-8")

    assert [name for name in DIFFERENT if f"`{name}`" not in text] == []
    assert [name for name in DIFFERENT if not (FOLDER / f"{name}.txt").exists()] == []
    assert OPERATIONS
