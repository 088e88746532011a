"""What was recorded, in the order in which it happened, and where we answer otherwise.

A scene is a sequence of exchanges that build on each other. Those of `SCENES` follow one another;
in those of `LIVE` streams are read while other requests are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import waiting
from millstream.protocols.stream_modes import TOKEN_NOISE
from millstream.server.config import AuthConfig, HttpConfig
from server.recordings import Part, Recording, Replay, load
from server.streams import Event, live

SCENES: Final = {
    "system": """
        meta_ meta_info meta_metrics meta_metrics_format-json meta_method_not_allowed
        meta_notfound meta_ok meta_ok_check_db-1 cors_get cors_preflight bad_json
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
        stream_mode_tools_updates stream_mode_values_tasks_lifecycle stream_mode_lifecycle_sink
    """,
    "streams": """
        stream_tools_updates stream_durability_exit stream_feedback stream_gzip
        stream_stateless stream_stateless_keep wait_stateless factory_stream
        resumable_stream resumable_rejoin_from_0 resumable_rejoin_from_minus1
        resumable_rejoin_from_mid resumable_rejoin_last
        resumable_rejoin_mode_filter resumable_rejoin_noid
        stateless_stream_resumable stateless_rejoin batch
    """,
    "interrupts": """
        interrupt_stream interrupt_thread interrupt_state interrupt_runs interrupt_resume
        interrupt_after_resume interrupt_wait interrupt_resume_by_id interrupt_before_static
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
    "answers to nothing": """
        strict_resume_no_interrupt resume_no_interrupt runs_list_select run_minimal_headers
        history_select runs_wait_subgraph_state
    """,
    "agents": """
        mcp_init mcp_list mcp_call mcp_get a2a_card a2a_send a2a_stream
    """,
    "callers": """
        auth_none_ok auth_none_info auth_none auth_none_custom_route auth_studio_bypass
        auth_create auth_other_get auth_other_search auth_other_run auth_delete_denied
        auth_assistants_search webhook_run webhook_run_err auth_run_kwargs
        ttl_thread_get ttl_thread_patch ttl_thread_get2 ttl_prefer_minimal
    """,
    "runs": """
        run_422 run_missing_assistant run_missing_thread run_missing_thread_create
        run_unknown_mode join_404 join_stream_404
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
RUNS: Final = (
    "interrupt_runs",
    "error_runs_after",
    "auth_run_kwargs",
    "run_get",
    "runs_list",
    "run_busy",
    "disconnect_cancel_run_after",
    "disconnect_continue_run_after",
    "disconnect_None_run_after",
    "join_stream_cancel_on_disconnect_after",
    "cancel_interrupt_run_after",
    "multitask_None_runs",
    "multitask_reject_runs",
    "multitask_enqueue_runs",
    "multitask_interrupt_runs",
    "multitask_rollback_runs",
)
"""Runs that have begun, with what they were asked for."""
DIFFERENT: Final[dict[str, frozenset[str] | int]] = {
    # The texts of refused bodies are pydantic's.
    "assistants_create_422": frozenset({"detail"}),
    "thread_create_ttl_int": frozenset({"detail"}),
    "threads_history_before_str": frozenset({"detail"}),
    # Null is no value.
    "assistants_create_context_null": 200,
    # The graph of a thread may be named when the thread is made.
    "threads_create_supersteps": 200,
    # Whoever is told of a route finds it.
    "stateless_rejoin": 200,
    # What was updated would be lost.
    "update_state_running": 409,
    # Threads that expire say when.
    "ttl_thread_get2": frozenset({"ttl"}),
    # No header is a way round the handlers.
    "auth_studio_bypass": 401,
    # Other bytes are stored.
    "threads_storage": frozenset({"total_bytes", "bytes"}),
    # That a run was stopped is no fault of a node, and nothing is asked any more.
    "cancel_interrupt_state_after": frozenset({"error"}),
    "cancel_rollback_thread_after": frozenset({"interrupts"}),
    # Metrics have more names.
    "meta_metrics": 200,
    "meta_metrics_format-json": 200,
    # What cannot be resumed is left as it is, and the error says what to do.
    "strict_resume_no_interrupt": frozenset({"error", "message"}),
    "resume_no_interrupt": frozenset({"error", "message"}),
    "history_select": frozenset({"step"}),
    "runs_wait_subgraph_state": frozenset({"step"}),
    # Tools and agents say who they are, and what graphs answer is JSON.
    "mcp_init": frozenset({"name"}),
    "mcp_list": frozenset({"title", "required", "type"}),
    "mcp_call": frozenset({"isError", "structuredContent", "text"}),
    "mcp_get": 405,
    "a2a_card": frozenset({"preferredTransport", "protocolVersion", "url", "supportedInterfaces"}),
    "a2a_send": frozenset({"timestamp"}),
    "a2a_stream": frozenset({"timestamp", "content-type"}),
    "thread_stream_replay_minus1": 200,
    # What has changed the state says no more than it is.
    "thread_stream_state_update": frozenset({"graph_id", "thread_id"}),
    # What is asked for by either name is given.
    "thread_stream_param_stream_mode_lifecycle": 200,
    "threads_prune_dry": 200,
    # A search by values is no failure of the server.
    "threads_search_values": 200,
    # A checkpoint is named in full.
    "threads_state_at": frozenset({"checkpoint_ns"}),
    # A copy has the values of its original.
    "threads_search": frozenset({"values", "error", "interrupts"}),
    # Errors have one form.
    "store_put_ns_dot": 422,
    "run_422": frozenset({"detail"}),
    "run_unknown_mode": frozenset({"detail"}),
    # What is the same for the whole run is not sent with each token.
    **dict.fromkeys(TOKENS, TOKEN_NOISE),
    # More modes are known.
    "stream_mode_tools": 200,
    "stream_mode_lifecycle": 200,
    "stream_mode_tools_updates": 200,
    "stream_mode_values_tasks_lifecycle": 200,
    "stream_mode_lifecycle_sink": 200,
    # Nobody is asked about feedback.
    "stream_feedback": 200,
    # A question has one form.
    "interrupt_thread": frozenset({"response_schema"}),
    # What was stored for a run is what was asked for.
    **dict.fromkeys(RUNS, frozenset({"__pregel_node_finished", "run_attempt", "user"})),
    # Events of more channels are numbered and told; more commands are known.
    "v3_sink_replay_since": 200,
    "v3_sink_replay_custom_only": 200,
    "v3_events_badchan": frozenset({"detail"}),
    **dict.fromkeys(
        ("v3_state_get", "v3_state_fork", "v3_input_inject", "v3_list_checkpoints"), 200
    ),
    # What a model has said is text in the state too.
    **dict.fromkeys(
        ("v3_chat_events", "v3_sink_events", "v3_sink_replay_ns_depth"),
        frozenset({"content", "response_metadata"}),
    ),
    # Calls of tools are told to who asks for them.
    "v3_tools_events": frozenset({"content", "response_metadata", "tools"}),
    # Clients read the one or the other.
    "v3_hitl_events": frozenset({"value"}),
    "v3_hitl_respond_events": frozenset({"value"}),
    "v3_hitl_respond": frozenset({"run_id"}),
    # An error says what is wrong.
    "command_and_input": frozenset({"error", "message"}),
}
"""Name -> the keys that differ, or our status, where all else does."""


AFTER_RUNS: Final = frozenset({"history_select"})
"""What was sent when the runs of its thread were over."""
BODIES: Final = {"bad_json": "{no json"}
"""What was sent where the recording does not show it."""


async def hello(request: Request) -> JSONResponse:
    """Answer as the recorded server's own route did."""
    return JSONResponse({"hello": "custom"})


custom = Starlette(routes=[Route("/hello", hello)])
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "callers": {
        "auth": AuthConfig(path="server.handlers:recorded"),
        "http": HttpConfig(
            app="server.scenes:custom", configurable_headers={"include": ["x-my-*"]}
        ),
        "webhooks": {"url": {"allow_private": True, "require_https": False}},
    },
    "a run without a thread": {"n_jobs_per_worker": 1},
    "who joins goes and the run too": {"n_jobs_per_worker": 1},
}
"""What the server of a scene is told besides its graphs."""


class Reading:
    """A recorded stream, read while other things happen."""

    def __init__(self, response: httpx.Response) -> None:
        self.events: Final[list[Event]] = []
        self.part: Part = "all"
        self._live = live(response)

    def until(self, name: str, count: int = 1) -> None:
        """Read until there are so many events of a name."""
        while sum(event.name == name for event in self.events) < count:
            self.events.append(next(self._live))

    def until_done(self, count: int) -> None:
        """Read until so many runs have said that they are at their end."""
        while sum("run_done" in str(event.data) for event in self.events) < count:
            self.events.append(next(self._live))

    def to_end(self) -> None:
        """Read to the end."""
        self.events.extend(self._live)


@dataclass
class Script:
    """A scene on its way."""

    replay: Replay
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """What differs without being listed, by the recording."""
    played: list[str] = field(default_factory=list)

    def play(self, names: str) -> None:
        """Send what was sent, one after the other."""
        for name in names.split():
            recording = self._load(name)
            if name in AFTER_RUNS:
                self.replay.until_over(recording)
            allowed = DIFFERENT.get(name, frozenset())
            if isinstance(allowed, int):
                with self.replay.sending(recording) as response:
                    status = response.status_code
                    found = [] if status == allowed else [f"status {status}, not {allowed}"]
            else:
                found = self.replay.play(recording, optional=allowed)
            self._note(name, found)

    @contextmanager
    def reading(self, name: str) -> Iterator[Reading]:
        """Read a stream as long as the block goes on, and compare what was read."""
        recording = self._load(name)
        allowed = DIFFERENT.get(name, frozenset())
        with self.replay.sending(recording) as response:
            reading = Reading(response)
            keys = frozenset() if isinstance(allowed, int) else allowed
            found = self.replay.compare_heads(recording, response.headers, keys)
            yield reading
        if not isinstance(allowed, int):
            events = reading.events
            found += self.replay.compare_events(recording, events, allowed, reading.part)
        self._note(name, found)

    def start(self, name: str, graph: str, given: Mapping[str, Any], **more: Any) -> None:
        """Create the run that a recording is about."""
        self.replay.start(load(name), {"assistant_id": graph, "input": given, **more})

    @contextmanager
    def nothing_beginning(self) -> Iterator[None]:
        """Let no other run begin in a block, where the server carries on one at a time."""
        post = self.replay.server.http.post
        run = post("/runs", json={"assistant_id": "slow", "input": {"n": 1, "delay": 60}}).json()
        yield
        post(f"/threads/{run['thread_id']}/runs/{run['run_id']}/cancel?wait=1")

    def until_over(self, name: str) -> None:
        """Wait for the runs of the thread that a recording is about."""
        self.replay.until_over(load(name))

    def until_gone(self, name: str) -> None:
        """Wait until what a recording asks for is no longer there."""
        path = self.replay.ours(load(name).path)
        waiting.until(lambda: self.replay.server.http.get(path).status_code == 404)

    def update(self, name: str, values: Mapping[str, Any]) -> None:
        """Change the state of the thread that a recording is about."""
        path = self.replay.ours(load(name).path.partition("/stream")[0])
        done = self.replay.server.http.post(f"{path}/state", json={"values": values})
        assert done.status_code == 200, done.text

    def _load(self, name: str) -> Recording:
        recording = load(name)
        recording.sent = BODIES.get(name, recording.sent)
        return recording

    def _note(self, name: str, found: list[str]) -> None:
        self.played.append(name)
        if found:
            self.wrong[name] = found


Scene = Callable[[Script], None]
LIVE: Final[dict[str, tuple[str, Scene]]] = {}
"""By its name: the recordings of a scene, and the scene."""


def scene(names: str) -> Callable[[Scene], Scene]:
    """Register a scene, which plays these recordings."""

    def register(play: Scene) -> Scene:
        LIVE[play.__name__.replace("_", " ")] = (names, play)
        return play

    return register


SINK: Final = {"messages": [{"role": "user", "content": "hi"}], "topic": "x"}
AGAIN: Final = {"messages": [{"role": "user", "content": "again"}]}
LONG: Final = {"n": 15, "delay": 0.2}


@scene("run_create_background join_stream_live run_busy thread_busy state_busy join_after")
def a_run_in_the_background(script: Script) -> None:
    script.play("run_create_background")
    with script.reading("join_stream_live") as stream:
        stream.until("custom")
        script.play("run_busy thread_busy state_busy")
        stream.to_end()
        stream.part = "end"
    script.play("join_after")


@scene("join_stream_live_resumable_from_start join_live")
def a_run_is_joined(script: Script) -> None:
    name = "join_stream_live_resumable_from_start"
    modes = ["custom", "values"]
    script.start(name, "slow", {"n": 8, "delay": 0.2}, stream_mode=modes, stream_resumable=True)
    script.play(name)
    script.start("join_live", "slow", {"n": 4, "delay": 0.2})
    script.play("join_live")


@scene("disconnect_cancel disconnect_cancel_run_after")
def a_reader_goes_and_the_run_too(script: Script) -> None:
    with script.reading("disconnect_cancel") as stream:
        stream.until("custom", 2)
    script.until_over("disconnect_cancel")
    script.play("disconnect_cancel_run_after")


@scene(
    "disconnect_continue disconnect_continue_run_after disconnect_None disconnect_None_run_after"
)
def a_reader_goes_and_the_run_goes_on(script: Script) -> None:
    for name in ("disconnect_continue", "disconnect_None"):
        with script.reading(name) as stream:
            stream.until("custom", 2)
        script.play(f"{name}_run_after")


@scene("join_stream_cancel_on_disconnect join_stream_cancel_on_disconnect_after")
def who_joins_goes_and_the_run_too(script: Script) -> None:
    name = "join_stream_cancel_on_disconnect"
    with ExitStack() as stack:
        with script.nothing_beginning():
            script.start(name, "slow", LONG, stream_mode="custom")
            stream = stack.enter_context(script.reading(name))
        stream.until("custom")
    script.until_over(name)
    script.play(f"{name}_after")


def cancel(script: Script, action: str) -> None:
    """Cancel a run that is streamed."""
    with script.reading(f"cancel_{action}_stream_seen") as stream:
        stream.until("custom", 4)
        script.play(f"cancel_{action}")
        stream.to_end()
        stream.part = "start"
    for what in ("run", "state", "thread"):
        script.play(f"cancel_{action}_{what}_after")


def cancelling(action: str) -> str:
    """Return the names of a scene of that."""
    after = (f"cancel_{action}_{what}_after" for what in ("run", "state", "thread"))
    return " ".join((f"cancel_{action}_stream_seen cancel_{action}", *after))


@scene(cancelling("interrupt"))
def a_run_is_interrupted(script: Script) -> None:
    cancel(script, "interrupt")


@scene(cancelling("rollback"))
def a_run_is_rolled_back(script: Script) -> None:
    cancel(script, "rollback")


@scene("cancel_pending_nowait cancel_pending_after cancel_many_ids cancel_many")
def runs_that_have_not_begun_are_cancelled(script: Script) -> None:
    script.start("cancel_pending_nowait", "slow", LONG, after_seconds=30)
    script.play("cancel_pending_nowait cancel_pending_after cancel_many_ids cancel_many")


def a_busy_thread(strategy: str) -> None:
    """Register a scene: a second run on a thread where one runs."""
    name = f"multitask_{strategy}"

    @scene(f"{name}_first {name}_second {name}_runs {name}_state")
    def play(script: Script) -> None:
        with script.reading(f"{name}_first") as stream:
            stream.until("custom", 3)
            script.play(f"{name}_second")
            stream.to_end()
            if strategy in ("interrupt", "rollback"):
                stream.part = "start"
        script.play(f"{name}_runs {name}_state")

    LIVE[f"a busy thread, {strategy}"] = LIVE.pop("play")


for each in ("None", "reject", "enqueue", "interrupt", "rollback"):
    a_busy_thread(each)


@scene(
    "runs_list run_get run_join_done run_stream_join_done threads_storage threads_state_badcp "
    "threads_search_extract threads_prune_dry run_cancel_done run_delete threads_delete "
    "threads_delete_again"
)
def a_run_that_is_over(script: Script) -> None:
    made = script.replay.server.http.post("/threads", json={"metadata": {"user": "u3"}}).json()
    script.replay.ids["01a1fb4a-0598-7335-a584-d5700a5500d8"] = made["thread_id"]
    given = {"messages": [{"role": "user", "content": "hi"}]}
    script.start("run_get", "chat", given)
    script.until_over("run_get")
    script.play(
        "runs_list run_get run_join_done run_stream_join_done threads_storage threads_state_badcp "
        "threads_search_extract threads_prune_dry run_cancel_done run_delete threads_delete "
        "threads_delete_again"
    )


@scene("interrupt_before_static run_from_checkpoint_id run_from_checkpoint")
def a_run_begins_at_a_checkpoint(script: Script) -> None:
    script.play("interrupt_before_static")
    known, server = script.replay.ids, script.replay.server
    thread_id = known["01a1fb48-8e86-7731-b5c5-7182ba622b52"]
    history = server.http.post(f"/threads/{thread_id}/history", json={"limit": 10}).json()
    by_step = {state["metadata"]["step"]: state["checkpoint_id"] for state in history}
    known["1f1e539d-659c-6227-bfff-7c617777093d"] = by_step[-1]
    known["1f1e539d-659d-69c1-8000-db613f390b74"] = by_step[0]
    script.play("run_from_checkpoint_id run_from_checkpoint")


@scene("copy_running update_state_running delete_running_run delete_running_thread")
def a_thread_changes_while_a_run_runs(script: Script) -> None:
    script.start("delete_running_run", "slow", {"n": 20, "delay": 0.2})
    script.play("copy_running update_state_running delete_running_run delete_running_thread")


@scene("stateless_create stateless_create_get stateless_thread_after stateless_after_seconds")
def a_run_without_a_thread(script: Script) -> None:
    with script.nothing_beginning():
        script.play("stateless_create stateless_create_get")
    script.until_gone("stateless_thread_after")
    script.play("stateless_thread_after stateless_after_seconds")


@scene("heartbeat heartbeat_wait")
def nothing_is_said_for_long(script: Script) -> None:
    script.play("heartbeat heartbeat_wait")


THREAD_STREAMS: Final = ("None", "run_modes", "lifecycle", "state_update")


@scene(" ".join(f"thread_stream_{mode}" for mode in THREAD_STREAMS))
def a_thread_is_followed(script: Script) -> None:
    for mode in THREAD_STREAMS:
        name = f"thread_stream_{mode}"
        with script.reading(name) as stream:
            script.start(name, "sink", SINK, stream_mode=["values", "custom"])
            script.start(name, "sink", AGAIN, stream_mode=["values"])
            script.until_over(name)
            if mode == "state_update":
                script.update(name, {"topic": "patched"})
                stream.until("state_update")
            else:
                stream.until_done(2)


@scene(
    "thread_stream_param_stream_mode_lifecycle thread_stream_replay_0 thread_stream_replay_minus1"
)
def a_thread_is_followed_by_other_names(script: Script) -> None:
    name = "thread_stream_param_stream_mode_lifecycle"
    with script.reading(name) as stream:
        given = {"n": 2, "delay": 0.01}
        script.start(name, "slow", given, stream_mode=["values", "custom"])
        stream.until_done(1)
    with script.reading("thread_stream_replay_0"):
        # Nothing is kept of runs that are not resumable.
        script.play("thread_stream_replay_minus1")
