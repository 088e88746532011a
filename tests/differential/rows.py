"""The rows of recorded behaviour that the programs cover, section by section.

The numbers are those of the recorded behaviour of langgraph 1.2.22: 1 entry points, 2 stream
modes, 3 `messages` mode, 4 what a node is given, 6 run streams, 7 engine semantics.
"""

from __future__ import annotations

from typing import Final

_SECTIONS: Final = {
    "1.1": (
        "input config context stream_mode print_mode output_keys interrupt_before interrupt_after "
        "durability control subgraphs debug version unknown_kwargs checkpoint_during lazy "
        "default_mode default_mode_in_node unvalidated_mode empty_mode_list tuple_of_modes"
    ),
    "1.2": (
        "v1_single v1_single_subgraphs v1_list v1_list_subgraphs v2 v2_values_interrupts "
        "v2_ns_without_subgraphs v2_coerced_values v2_coerced_checkpoints v2_coercion_hazards"
    ),
    "1.3": (
        "v1_values v1_interrupt v1_breakpoint v1_other_mode v2_values v2_other_mode "
        "nothing_written v2_interrupt_first several_interrupts graph_output_keys output_key "
        "subgraphs"
    ),
    "1.4": "print_format print_mode_adds_modes debug_prints",
    "1.5": (
        "recursion_limit_value missing_configurable missing_thread_id context_errors "
        "late_errors early_close"
    ),
    "1.6": "batch transform with_config pipe with_retry schemas attributes",
    "2.1": (
        "checkpoint_order task_order update_result_debug values_after_updates hidden_start "
        "push_before_pull pull_alphabetical reducers_by_path single_task"
    ),
    "2.2": "payload first_item no_write_no_item start_of_continue live_objects private_shown",
    "2.3": (
        "returned nothing several_writes model root subgraph parent_command overwrite cached "
        "failed interrupt breakpoint error_handler two_sends single_output_key"
    ),
    "2.4": "payload order retried",
    "2.5": "payload",
    "2.6": (
        "payload subgraph_config next_and_tasks sources user_configurable emitted_late "
        "exit_durability failed_task resumed_tasks fork_source"
    ),
    "2.7": (
        "start_and_result triggers input metadata error writes_list cached error_handler "
        "subgraph_around parent_command "
        "result"
    ),
    "2.8": "wrapper alone_or_with_tasks",
    "2.9": (
        "dynamic sibling root_state subgraph static static_in_subgraph static_last_node "
        "without_saver resume_without_saver with_error node_interrupt pair_per_task "
        "not_committed resume cached_siblings "
        "state_after"
    ),
    "2.10": "events",
    "2.11": (
        "result_before_raise note siblings continue_after_failure conflicting_writes recursion "
        "retries drain handler only_unfinished_again"
    ),
    "2.12": "goto_added goto_list send_returned branch_sends cached",
    "2.13": (
        "sink_needs_subgraphs inner_invoke_forwards sub_sub invisible_without segments "
        "second_call_segment persistent_child between_parent_items"
    ),
    "3.1": "v1 v1_subgraphs v1_list v2 invoke",
    "3.2": (
        "chunks invoke_streams explicit_stream last_chunk model_end node_end plain_llm chains "
        "non_streaming disable_streaming"
    ),
    "3.3": (
        "message list state_values pydantic dataclass command list_of_commands not_looked_at "
        "nested_values"
    ),
    "3.4": (
        "input_ids echoed input_without_ids remove_message reused_id same_id_twice wrapped_model "
        "resume retry"
    ),
    "3.5": "ids_in_state ids_without_messages",
    "3.6": (
        "own_graph subgraph_hidden subgraph_shown returned_by_subgraph inner_stream tools task "
        "several_calls own_thread deep entrypoint own_modes"
    ),
    "3.7": "token node_end tags configurable config_metadata send task saver entrypoint",
    "3.8": "nostream nostream_returned nostream_inherited hidden_model hidden_node",
    "3.9": "push state_key no_key no_id coerced then_returned task subgraph",
    "3.11": "v3",
    "3.10": (
        "chunks_before_updates whole_before_updates parallel failing_model conditional_edge "
        "error_handler with_other_modes"
    ),
    "4.1": (
        "state config writer store previous runtime error annotations unknown_parameter "
        "callables runnable dict generator returned_runnable unsupported async_only"
    ),
    "4.2": "accessors outside_a_run context_propagation",
    "4.3": "noop_without_custom raw_thread",
    "4.4": "own_graph subgraph_silent subgraph_forwarded inner_custom inner_without_custom",
    "4.5": "runtime_fields execution_info run_id server_info inherited",
    "4.6": "coerced errors passed_as_is none",
    "4.7": (
        "inputs outputs errors commands state store runtime config call_id wrappers interrupts "
        "condition attributes validation_node"
    ),
    "4.8": "async_model sync_model_in_async",
    "5.2": "events",
    "6.1": "entry arguments laziness errors transformers warning",
    "6.2": "event event_id convert",
    "6.3": "registration push close children",
    "6.4": "channel tee maxlen",
    "6.5": "hooks schedule extensions scope",
    "6.6": "builtins lifecycle",
    "6.7": "projections end interleave abort errors interrupts readers",
    "6.8": "events handles state",
    "6.9": "handles snapshots tasks errors stateful",
    "6.10": "tool_calls",
    "7.1": (
        "typed_dict dataclass pydantic annotated_channel reducer bad_reducer managed root "
        "input_output deprecated_kwargs private same_key managed_in_schema node_input "
        "graph_input not_a_dict no_input pydantic_late"
    ),
    "7.2": ("dict none command list_with_command model send wrong returns"),
    "7.3": (
        "last_value binop topic ephemeral any_value untracked barrier overwrite "
        "two_overwrites overwrite_last_value add_messages delta"
    ),
    "7.4": (
        "names duplicate reserved edges waiting conditional path_map literal branch_input "
        "branch_results branch_twice unknown_goto unknown_send additive_goto uneven sequence "
        "conditional_entry node_defaults compile interrupt_names defer destinations"
    ),
    "7.5": "snapshot recursion_limit remaining_steps max_concurrency step_timeout",
    "7.6": (
        "send send_order command_parent parent_at_root command_input wrong_goto "
        "fresh_thread empty_command"
    ),
    "7.7": (
        "retry retry_on retry_sequence retry_default timeout timeout_sync timeout_value "
        "cancelled cache cache_errors handler handler_default handler_fails"
    ),
    "7.8": "store",
    "7.9": (
        "reexecuted answers_in_order ids falsy_answers several_pending id_map unknown_ids "
        "empty_map other_dict strict response_schema dict_schema none_asks_again swallowed "
        "new_input_discards nothing_pending static_resume with_update_and_goto same_run_id "
        "input"
    ),
    "7.10": (
        "exit_history time_travel replay_finished input_at_checkpoint command_at_checkpoint "
        "update_then_continue subgraph_savers namespaces unknown_thread unknown_checkpoint "
        "missing_thread_id no_saver refused_update "
        "as_node bulk_update checkpoint_map checkpoint_ns get_state history pending_writes "
        "saver_modes special_nodes subgraphs update_state"
    ),
    "7.11": (
        "entrypoint default_mode task_events previous final injected caught failed resumed "
        "nested_tasks tasks_in_nodes namespaces never_awaited retries cache timeout cancelled "
        "interrupts callbacks futures outside_a_run names schemas refused"
    ),
    "7.12": "lifecycle_callbacks callback_runs trace_policy",
    "9": "InvalidUpdateError KeyError ValueError",
}

ROWS: Final = {
    f"{section}:{row}": section for section, rows in _SECTIONS.items() for row in rows.split()
}
