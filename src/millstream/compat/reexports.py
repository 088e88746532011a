"""Names that LangGraph's public modules have because they import them for themselves.

Editors complete an import with any module that has the name, so programs take `Command` from
`langgraph.graph.state`. Each of these modules gets a `__getattr__` that knows where such a name is
at home: nothing is imported for it before somebody asks, and the modules hold no names that are not
theirs.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from millstream.compat.engine import absent
from millstream.compat.names import MODULES

_NAMES: Final = {
    "callbacks": """
        Any BaseCallbackHandler BaseCallbackManager GraphCallbacks Interrupt Literal
        RunnableConfig Sequence TypeAlias TypeVar UUID ahandle_event dataclass handle_event
    """,
    "channels.any_value": "Any BaseChannel EmptyChannelError Generic MISSING Self Sequence",
    "channels.base": "Any EmptyChannelError Generic MISSING Self Sequence TypeVar abstractmethod",
    "channels.binop": """
        Any BaseChannel Callable EmptyChannelError ErrorCode Generic InvalidUpdateError MISSING
        NotRequired OVERWRITE Overwrite Required Self Sequence collections create_error_message
    """,
    "channels.delta": """
        Any BaseChannel Callable EmptyChannelError ErrorCode Generic InvalidUpdateError MISSING
        PendingWrite Self Sequence collections create_error_message
    """,
    "channels.ephemeral_value": """
        Any BaseChannel EmptyChannelError Generic InvalidUpdateError MISSING Self Sequence
    """,
    "channels.last_value": """
        Any BaseChannel EmptyChannelError ErrorCode Generic InvalidUpdateError MISSING Self
        Sequence create_error_message
    """,
    "channels.named_barrier_value": """
        BaseChannel EmptyChannelError Generic InvalidUpdateError MISSING Self Sequence
    """,
    "channels.topic": "Any BaseChannel EmptyChannelError Generic Iterator MISSING Self Sequence",
    "channels.untracked_value": """
        Any BaseChannel EmptyChannelError Generic InvalidUpdateError MISSING Self Sequence
    """,
    "config": """
        Any BaseStore CONF CONFIG_KEY_RUNTIME RunnableConfig StreamWriter asyncio sys
        var_child_runnable_config
    """,
    "constants": "Any LangGraphDeprecatedSinceV10 sys warn",
    "errors": """
        Any Command Enum Interrupt LangGraphDeprecatedSinceV10 Literal Sequence dataclass
        deprecated warn
    """,
    "func": """
        Any Awaitable BaseCache BaseCheckpointSaver BaseStore CACHE_NS_WRITES CachePolicy
        Callable ChannelWrite ChannelWriteEntry ContextT DeprecatedKwargs END EphemeralValue
        Generic LangGraphDeprecatedSinceV05 LangGraphDeprecatedSinceV10 LastValue MISSING P
        PREVIOUS Pregel PregelNode R RetryPolicy S START Sequence StreamMode SyncAsyncFuture T
        TimeoutPolicy TypeVar Unpack cast coerce_timeout_policy dataclass functools get_args
        get_origin get_runnable_for_entrypoint identifier inspect is_async_callable overload
        sync_timeout_unsupported timedelta warnings
    """,
    "graph.message": """
        Annotated Any AnyMessage BaseMessage BaseMessageChunk CONF CONFIG_KEY_SEND Callable
        LangGraphDeprecatedSinceV10 Literal MessageLikeRepresentation RemoveMessage Sequence
        StateGraph TypedDict cast convert_to_messages deprecated message_chunk_to_message
        partial uuid warnings
    """,
    "graph.state": """
        All Any Awaitable BaseCache BaseChannel BaseModel BaseStore BinaryOperatorAggregate
        BranchSpec CachePolicy Callable ChannelRead ChannelWrite ChannelWriteEntry
        ChannelWriteTupleEntry Checkpoint Checkpointer Command ContextT DeltaChannel
        DeprecatedKwargs EMPTY_SEQ END EphemeralValue ErrorCode FunctionType Generic Hashable
        INTERRUPT InputT InvalidUpdateError LangGraphDeprecatedSinceV05
        LangGraphDeprecatedSinceV10 LastValue LastValueAfterFinish Literal MISSING
        ManagedValueSpec NS_END NS_SEP NamedBarrierValue NamedBarrierValueAfterFinish NodeInputT
        NoneType NotRequired OutputT ParentCommand Pregel PregelNode Required RetryPolicy
        Runnable RunnableConfig START Self Send Sequence StateNode StateNodeSpec StateT
        TAG_HIDDEN TASKS TimeoutPolicy TracePolicy TypeAdapter TypeVar Union Unpack cast
        coerce_timeout_policy coerce_to_runnable create_error_message create_model dataclass
        defaultdict ensure_valid_checkpointer get_args get_cached_annotated_keys
        get_field_default get_origin get_type_hints get_update_as_tuples inspect is_dataclass
        is_managed_value is_typeddict isclass isfunction ismethod logger logging overload
        partial signature timedelta typing warnings
    """,
    "graph.ui": "Any AnyMessage CONF Literal TypedDict cast get_config get_stream_writer uuid4",
    "managed.base": "Any Generic PregelScratchpad TypeGuard TypeVar U abstractmethod isclass",
    "managed.is_last_step": "Annotated ManagedValue PregelScratchpad",
    "pregel.debug": """
        Any BaseChannel COLOR_MAPPING CONF CONFIG_KEY_CHECKPOINT_NS CheckpointMetadata
        CheckpointPayload ERROR EXCLUDED_METADATA_KEYS INTERRUPT Iterable Iterator MISSING
        Mapping NS_END NS_SEP PendingWrite PregelExecutableTask PregelTask RETURN RunnableConfig
        Sequence StateSnapshot TAG_HIDDEN TASK_NAMESPACE TaskPayload TaskResultPayload
        TaskStatus UUID asdict filter_to_user_tags map_debug_checkpoint map_debug_task_results
        map_debug_tasks patch_checkpoint_map read_channels read_task_statuses tasks_w_writes
    """,
    "pregel.main": """
        All Any AsyncGraphRunStream AsyncIterator AsyncPregelLoop AsyncQueue Awaitable BaseCache
        BaseChannel BaseCheckpointSaver BaseModel BaseStore BaseUser CACHE_NS_WRITES CONF
        CONFIG_KEY_CACHE CONFIG_KEY_CHECKPOINTER CONFIG_KEY_CHECKPOINT_ID
        CONFIG_KEY_CHECKPOINT_NS CONFIG_KEY_DURABILITY CONFIG_KEY_NODE_FINISHED CONFIG_KEY_READ
        CONFIG_KEY_RUNNER_SUBMIT CONFIG_KEY_RUNTIME CONFIG_KEY_SEND CONFIG_KEY_STREAM
        CONFIG_KEY_STREAM_MESSAGES_V2 CONFIG_KEY_TASK_ID CONFIG_KEY_THREAD_ID CachePolicy
        Callable ChannelVersions ChannelWrite ChannelWriteEntry Checkpoint CheckpointTuple
        Checkpointer Command ContextT DEFAULT_BOUND DEFAULT_RUNTIME DeltaChannel
        DeprecatedKwargs Durability END ErrorCode Generic Graph GraphDrained GraphInterruptEvent
        GraphOutput GraphRecursionError GraphResumeEvent GraphRunStream INPUT INTERRUPT Input
        InputT Interrupt InvalidUpdateError Iterator LangGraphDeprecatedSinceV10
        LifecycleTransformer Literal MISSING ManagedValueSpec Mapping MessagesTransformer NS_END
        NS_SEP NULL_TASK_ID Output OutputT PUSH PregelNode PregelProtocol PregelRunner
        PregelTaskWrites RetryPolicy RunControl Runnable RunnableConfig RunnableLike RunnableSeq
        RunnableSequence Runtime Self Send Sequence ServerInfo StateSnapshot StateT StateUpdate
        StreamChunk StreamEvent StreamMessagesHandler StreamMessagesHandlerV2 StreamMode
        StreamMux StreamPart StreamProtocol StreamToolCallHandler StreamTransformer
        SubgraphTransformer SyncPregelLoop SyncQueue TASKS TimeoutPolicy Topic TypeAdapter UUID
        Unpack ValuesTransformer achannels_from_checkpoint acheckpoint_superseded apply_writes
        asyncio beta cast channels_from_checkpoint checkpoint_superseded coerce_timeout_policy
        coerce_to_runnable concurrent contextlib copy_checkpoint create_checkpoint
        create_checkpoint_plan_for_update_state_api create_error_message create_model
        defaultdict delta_channels_overwritten delta_channels_with_pending_writes deprecated
        deque draw_graph empty_checkpoint ensure_config ensure_message_ids
        ensure_valid_checkpointer get_async_callback_manager_for_config
        get_async_graph_callback_manager_for_config get_bolded_text
        get_callback_manager_for_config get_colored_text get_config get_debug
        get_new_channel_versions get_sync_graph_callback_manager_for_config get_type_hints
        get_updated_channels_from_tasks identifier is_dataclass is_typeddict isclass local_read
        map_input merge_configs overload partial patch_checkpoint_map patch_config
        patch_configurable prepare_next_tasks put_writes_accepts_task_path queue read_channels
        read_task_statuses recast_checkpoint_ns replace task_path_str tasks_w_writes timedelta
        uuid5 validate_graph validate_keys validate_timeout_supported versions_seen_without_bumps
        warnings weakref
    """,
    "pregel.protocol": """
        All Any AsyncIterator Callable Command ContextT DrawableGraph Generic GraphOutput InputT
        Iterator Literal OutputT Runnable RunnableConfig Self Sequence StateSnapshot StateT
        StateUpdate StreamChunk StreamMode StreamPart abstractmethod overload
    """,
    "pregel.remote": """
        All Any AsyncIterator CONF CONFIG_KEY_CHECKPOINT_ID CONFIG_KEY_CHECKPOINT_MAP
        CONFIG_KEY_CHECKPOINT_NS CONFIG_KEY_STREAM CONFIG_KEY_STRICT_RESUME CONFIG_KEY_TASK_ID
        Checkpoint CheckpointMetadata Command CommandSDK Context DrawableEdge DrawableGraph
        DrawableNode GraphInterrupt GraphOutput INTERRUPT Interrupt Iterator LangGraphClient
        Literal NS_SEP ParentCommand PregelProtocol PregelTask QueryParamTypes RunnableConfig
        Self Sequence StateSnapshot StreamMode StreamModeSDK StreamPart StreamProtocol
        SyncLangGraphClient ThreadState UUID asdict cast get_client get_sync_client logger
        logging ls merge_configs overload
    """,
    "pregel.types": "LangGraphDeprecatedSinceV10 warn",
    "runtime": """
        Any BaseStore CONF CONFIG_KEY_RUNTIME Callable ContextT Generic StreamWriter TypedDict
        Unpack cast dataclass field get_config replace
    """,
    "stream.run_stream": """
        Any AsyncIterator Awaitable Callable Iterator Mapping MappingProxyType NoReturn
        ProtocolEvent StreamMux TYPE_CHECKING TracebackType asyncio beta
        convert_to_protocol_event
    """,
    "stream.stream_channel": """
        AsyncIterator Awaitable Callable Generic Iterator TYPE_CHECKING TypeVar asyncio deque
    """,
    "stream.transformers": """
        AIMessageChunk Any AsyncChatModelStream AsyncSubgraphRunStream BaseMessage
        ChatModelStream GraphDrained GraphInterrupt LifecycleCause Literal MessagesData
        NotRequired ProtocolEvent StreamChannel StreamTransformer SubgraphRunStream
        TYPE_CHECKING ToolMessage TypedDict cast logging message_to_events
    """,
    "types": """
        Any AnyMessage BaseCheckpointSaver Callable CheckpointMetadata ClassVar DeprecatedKwargs
        Generic Hashable KeyFuncT LangGraphDeprecatedSinceV10 LangGraphDeprecatedSinceV11
        Literal MISSING N NS_SEP NamedTuple NotRequired OutputT Runnable RunnableConfig Sequence
        StateT TYPE_CHECKING ToolOutputMixin TypeAdapter TypeAliasType TypeVar TypedDict Unpack
        ValidationError asdict dataclass default_cache_key default_retry_on deprecated deque
        final get_cached_annotated_keys get_update_as_tuples overload sys timedelta warn
        xxh3_128_hexdigest
    """,
    "typing": "StateLike TypeVar",
    "utils.config": "ensure_config get_config get_store patch_configurable",
    "utils.runnable": "RunnableCallable RunnableLike",
}
"""Module of LangGraph -> names that are not millstream's there."""

_HOMES: Final = {
    "abc": "abstractmethod",
    "collections": "defaultdict deque",
    "collections.abc": """
        AsyncIterator Awaitable Callable Hashable Iterable Iterator Mapping Sequence
    """,
    "dataclasses": "asdict dataclass field is_dataclass replace",
    "datetime": "timedelta",
    "enum": "Enum",
    "functools": "partial",
    "inspect": "isclass isfunction ismethod signature",
    "langchain_core._api": "beta",
    "langchain_core.callbacks": "BaseCallbackHandler BaseCallbackManager",
    "langchain_core.callbacks.manager": "ahandle_event handle_event",
    "langchain_core.globals": "get_debug",
    "langchain_core.language_models._compat_bridge": "message_to_events",
    "langchain_core.language_models.chat_model_stream": "AsyncChatModelStream ChatModelStream",
    "langchain_core.messages": """
        AIMessageChunk AnyMessage BaseMessage BaseMessageChunk MessageLikeRepresentation
        RemoveMessage ToolMessage convert_to_messages message_chunk_to_message
    """,
    "langchain_core.messages.tool": "ToolOutputMixin",
    "langchain_core.runnables": "Runnable RunnableConfig RunnableSequence",
    "langchain_core.runnables.config": """
        get_async_callback_manager_for_config get_callback_manager_for_config
        var_child_runnable_config
    """,
    "langchain_core.runnables.graph": "Graph",
    "langchain_core.runnables.schema": "StreamEvent",
    "langchain_core.runnables.utils": "Input Output",
    "langchain_protocol": "LifecycleCause MessagesData",
    "langgraph.cache.base": "BaseCache",
    "langgraph.checkpoint.base": """
        BaseCheckpointSaver ChannelVersions Checkpoint CheckpointMetadata CheckpointTuple
        PendingWrite copy_checkpoint empty_checkpoint
    """,
    "langgraph.store.base": "BaseStore",
    "langgraph_sdk.client": "LangGraphClient SyncLangGraphClient get_client get_sync_client",
    "langgraph_sdk.schema": "Context QueryParamTypes ThreadState",
    "millstream.callbacks": """
        GraphInterruptEvent GraphResumeEvent get_async_graph_callback_manager_for_config
        get_sync_graph_callback_manager_for_config
    """,
    "millstream.compat.stand_ins": """
        DEFAULT_BOUND EXCLUDED_METADATA_KEYS GraphCallbacks KeyFuncT N P R S StateNode
        SyncAsyncFuture T TASK_NAMESPACE U coerce_timeout_policy
    """,
    "millstream.pregel._structure.writers": "ChannelWrite ChannelWriteEntry ChannelWriteTupleEntry",
    "millstream.channels": """
        BaseChannel BinaryOperatorAggregate DeltaChannel EphemeralValue LastValue
        LastValueAfterFinish NamedBarrierValue NamedBarrierValueAfterFinish Topic
    """,
    "millstream.compat.algorithm": "PregelTaskWrites local_read",
    "millstream.compat.call_names": "identifier",
    "millstream.compat.configs": """
        ensure_config merge_configs patch_checkpoint_map patch_config patch_configurable
    """,
    "millstream.compat.messages": "StreamMessagesHandler StreamMessagesHandlerV2",
    "millstream.compat.scratchpad": "PregelScratchpad",
    "millstream.compat.sentinels": "DeprecatedKwargs EMPTY_SEQ MISSING",
    "millstream.compat.tools": "StreamToolCallHandler",
    "millstream.config": "get_config get_store get_stream_writer",
    "millstream.constants": """
        CACHE_NS_WRITES CONF CONFIG_KEY_CACHE CONFIG_KEY_CHECKPOINTER CONFIG_KEY_CHECKPOINT_ID
        CONFIG_KEY_CHECKPOINT_MAP CONFIG_KEY_CHECKPOINT_NS CONFIG_KEY_DURABILITY
        CONFIG_KEY_NODE_FINISHED CONFIG_KEY_READ CONFIG_KEY_RUNNER_SUBMIT CONFIG_KEY_RUNTIME
        CONFIG_KEY_SEND CONFIG_KEY_STREAM CONFIG_KEY_STREAM_MESSAGES_V2 CONFIG_KEY_STRICT_RESUME
        CONFIG_KEY_TASK_ID CONFIG_KEY_THREAD_ID END ERROR INPUT INTERRUPT NS_END NS_SEP
        NULL_TASK_ID OVERWRITE PREVIOUS PUSH RETURN START TAG_HIDDEN TASKS
    """,
    "millstream.errors": """
        EmptyChannelError ErrorCode GraphDrained GraphInterrupt GraphRecursionError
        InvalidUpdateError ParentCommand create_error_message
    """,
    "millstream.graph._builder.branches": "BranchSpec",
    "millstream.graph._builder.node_spec": "StateNodeSpec",
    "millstream.graph.state": "StateGraph",
    "millstream.managed.base": "ManagedValue ManagedValueSpec is_managed_value",
    "millstream.pregel.debug": "get_bolded_text get_colored_text",
    "millstream.pregel.main": "Pregel",
    "millstream.pregel._structure.declared": "validate_graph",
    "millstream.pregel._structure.nodes": "PregelNode",
    "millstream.pregel.protocol": "PregelProtocol StreamChunk StreamProtocol",
    "millstream._base.runnable": """
        RunnableCallable RunnableLike coerce_to_runnable is_async_callable
    """,
    "millstream.runtime": "BaseUser DEFAULT_RUNTIME RunControl Runtime ServerInfo",
    "millstream.stream": """
        AsyncGraphRunStream AsyncSubgraphRunStream GraphRunStream LifecycleTransformer
        MessagesTransformer ProtocolEvent StreamChannel StreamMux StreamTransformer
        SubgraphRunStream SubgraphTransformer ValuesTransformer
    """,
    "millstream.modes.protocol_events": "convert_to_protocol_event",
    "millstream.types": """
        All CachePolicy CheckpointPayload Checkpointer Command Durability GraphOutput Interrupt
        Overwrite PregelExecutableTask PregelTask RetryPolicy Send StateSnapshot StateUpdate
        StreamMode StreamPart StreamWriter TaskPayload TaskResultPayload TimeoutPolicy
        TracePolicy default_cache_key default_retry_on ensure_valid_checkpointer
    """,
    "millstream.typing": "ContextT InputT NodeInputT OutputT StateLike StateT",
    "millstream.warnings": """
        LangGraphDeprecatedSinceV05 LangGraphDeprecatedSinceV10 LangGraphDeprecatedSinceV11
    """,
    "pydantic": "BaseModel TypeAdapter ValidationError",
    "types": "FunctionType MappingProxyType NoneType TracebackType",
    "typing": """
        Annotated Any ClassVar Generic Literal NamedTuple NoReturn TYPE_CHECKING TypeAlias
        TypeGuard TypeVar Union cast final get_args get_origin get_type_hints overload
    """,
    "typing_extensions": """
        NotRequired Required Self TypeAliasType TypedDict Unpack deprecated is_typeddict
    """,
    "uuid": "UUID uuid4 uuid5",
    "warnings": "warn",
    "xxhash": "xxh3_128_hexdigest",
}
"""Module -> names that are at home there."""

_RENAMED: Final = {
    "COLOR_MAPPING": ("millstream.pregel.debug", "COLORS"),
    "CommandSDK": ("langgraph_sdk.schema", "Command"),
    "DrawableEdge": ("langchain_core.runnables.graph", "Edge"),
    "DrawableGraph": ("langchain_core.runnables.graph", "Graph"),
    "DrawableNode": ("langchain_core.runnables.graph", "Node"),
    "StreamModeSDK": ("langgraph_sdk.schema", "StreamMode"),
}
"""Names of things that have other names where they are at home."""

_MODULES: Final = """
    asyncio collections concurrent contextlib functools inspect logging queue sys typing
    uuid warnings weakref
"""
"""Names of modules."""

_RESOLVED: Final[dict[tuple[str, str], Callable[[], Any]]] = {
    ("pregel.remote", "Checkpoint"): lambda: import_module("langgraph_sdk.schema").Checkpoint,
    ("pregel.remote", "logger"): lambda: logging.getLogger("langgraph.pregel.remote"),
    ("pregel.remote", "ls"): lambda: import_module("langsmith"),
    ("types", "TypeVar"): lambda: import_module("typing_extensions").TypeVar,
}
"""Names that one module has for something of its own."""


class Names:
    """The `__getattr__` of a module: LangGraph's names for what is at home elsewhere."""

    __slots__ = ("_known", "_module", "_others")

    def __init__(self, module: ModuleType, name: str) -> None:
        self._module = name
        self._known = frozenset(_NAMES[name].split())
        self._others = vars(module).get("__getattr__", partial(_refuse, module.__name__))

    def __call__(self, name: str) -> Any:
        """Return what the name stands for; `AttributeError` where it cannot be imported."""
        if name not in self._known:
            return self._others(name)
        try:
            return _value(self._module, name)
        except ImportError as error:
            raise AttributeError(
                f"module 'langgraph.{self._module}' has no attribute {name!r}: {error}"
            ) from error


def serve() -> None:
    """Give every module that is loaded the names it has in LangGraph; again and again is fine."""
    for name in _NAMES:
        module = sys.modules.get(f"millstream.{MODULES[name]}")
        if module is None or getattr(module.__spec__, "_initializing", False):
            continue
        if not isinstance(vars(module).get("__getattr__"), Names):
            vars(module)["__getattr__"] = Names(module, name)


def _value(module: str, name: str) -> Any:
    resolved = _RESOLVED.get((module, name))
    if resolved is not None:
        return resolved()
    if name in _MODULES.split():
        return import_module(name)
    if name in _RENAMED:
        home, name = _RENAMED[name]
        return getattr(import_module(home), name)
    for home, names in _HOMES.items():
        if name in names.split():
            return getattr(import_module(home), name)
    return absent(f"langgraph.{module}", name)


def _refuse(module: str, name: str) -> Any:
    raise AttributeError(f"module {module!r} has no attribute {name!r}")
