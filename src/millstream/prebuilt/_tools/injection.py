"""What a tool gets besides the model's arguments, and how its signature asks for it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, NoReturn

from langchain_core.messages import ToolCall
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId
from langchain_core.tools.base import _DirectlyInjectedToolArg, get_all_basemodel_annotations
from langgraph.store.base import BaseStore
from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError, create_model
from pydantic_core import CoreSchema, PydanticOmit, core_schema
from typing_extensions import TypeVar

from millstream._types.tool_writer import tool_call_writer
from millstream._types.update_fields import annotated_keys
from millstream.constants import MISSING
from millstream.runtime import ExecutionInfo, ServerInfo
from millstream.types import StreamWriter
from millstream.typing import ContextT

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

StateT = TypeVar("StateT", default=dict)  # type: ignore[type-arg]  # any dict


def _nothing(_: Any) -> None:
    """Stand for an injected value in a dump."""


# LangChain dumps the validated arguments of every call to learn their names. Without this, a dump
# walks through the whole state: milliseconds per call when the conversation is long.
_UNDUMPED: Final = core_schema.plain_serializer_function_ser_schema(_nothing)


class _Opaque:
    """Mark a field that pydantic neither looks into nor dumps."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(object, serialization=_UNDUMPED)


class InjectedState(InjectedToolArg):
    """Mark a tool's parameter that is given the graph's state, or one field of it.

    Written `Annotated[dict, InjectedState]` or `Annotated[str, InjectedState("field")]`. A field
    that is missing in the state leaves the parameter's default alone, and is an error without one.
    """

    def __init__(self, field: str | None = None) -> None:
        self.field = field

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # The state is still validated where a tool says its class, but not dumped.
        schema: Any = {**handler(source), "serialization": _UNDUMPED}
        return schema  # type: ignore[no-any-return]  # one of many typed dicts


class InjectedStore(InjectedToolArg):
    """Mark a tool's parameter that is given the run's store: `Annotated[Any, InjectedStore()]`."""


@dataclass
class ToolRuntime(_DirectlyInjectedToolArg, Generic[ContextT, StateT]):
    """Everything about the run that a tool may want, in one parameter.

    Given to parameters annotated with this class, and to every parameter named `runtime`. The
    model is not shown a parameter that has the annotation.
    """

    state: Annotated[StateT, _Opaque]
    """The input of the `ToolNode`: the state, or a list of messages."""
    context: Annotated[ContextT, _Opaque]
    """The run's static context."""
    config: Annotated[RunnableConfig, _Opaque]
    """The config the tool is called with."""
    stream_writer: Annotated[StreamWriter, _Opaque]
    """Emit any object on the `custom` stream."""
    tool_call_id: Annotated[str | None, _Opaque]
    store: Annotated[BaseStore | None, _Opaque]
    tools: Annotated[list[BaseTool], _Opaque] = field(default_factory=list)
    """All tools of the `ToolNode`."""
    execution_info: Annotated[ExecutionInfo | None, _Opaque] = None
    server_info: Annotated[ServerInfo | None, _Opaque] = None

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: Any) -> NoReturn:
        """Keep the parameter from the model where LangChain overlooks it: `ToolRuntime | None`."""
        raise PydanticOmit

    def emit_output_delta(self, delta: Any) -> None:
        """Emit a part of this call's output, any object, on the `tools` stream.

        Does nothing when nobody asked for that mode, nor outside the tool's context: have a thread
        that the tool starts run in a copy, `contextvars.copy_context().run(...)`.
        """
        write = tool_call_writer.get()
        if write is not None:
            write(delta)


class MissingStateKeyError(KeyError):
    """A tool wants a key injected that the state has not got."""

    def __init__(self, tool: str, parameter: str, key: str, known: tuple[str, ...]) -> None:
        super().__init__(tool, parameter, key, known)
        self.tool = tool
        self.parameter = parameter
        self.key = key
        self.known = known
        """The keys that the state has."""

    def __str__(self) -> str:
        known = ", ".join(map(repr, self.known)) or "nothing"
        nearest = get_close_matches(self.key, self.known, n=1)
        meant = f" Did you mean {nearest[0]!r}?" if nearest else ""
        return (
            f"tool {self.tool!r} wants the state's {self.key!r} for its parameter "
            f"{self.parameter!r} (InjectedState), but the state has {known}.{meant} Write the key "
            "before the tool is called, or give the parameter a default"
        )


@dataclass(frozen=True, slots=True)
class Injections:
    """Which parameters of one tool are injected."""

    state: Mapping[str, str | None] = field(default_factory=dict)
    """Parameter -> field of the state, None for all of it."""
    optional: frozenset[str] = frozenset()
    """State parameters that have a default."""
    stores: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    call_ids: tuple[str, ...] = ()
    """Those that get the call's id and are in no schema, where LangChain would see them."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Parameter -> the name under which the tool's own schema takes it, if it is another."""
    names: frozenset[str] = frozenset()
    """All of them: what the model says for these is ignored."""
    args_schema: Any = None
    """The tool's own schema with what it does not declare, if it does not take everything."""

    def fitted(self, tool: BaseTool) -> BaseTool:
        """Return a tool that takes what it is given: itself, as a rule."""
        if self.args_schema is None:
            return tool
        copy: BaseTool = tool.model_copy(update={"args_schema": self.args_schema})
        return copy


def injections_of(tool: BaseTool) -> Injections:
    """Read from a tool's function and its arguments' schema what it wants injected.

    Raises `ValueError` for a parameter with two `InjectedState` marks.
    """
    state: dict[str, str | None] = {}
    optional, stores, runtimes, writers, call_ids = set(), [], [], [], []
    fields = _schema_fields(tool)
    for name, (hints, has_default) in _parameters(tool).items():
        marks = [mark for hint in hints for mark in _marks(hint)]
        if name == "runtime" or ToolRuntime in marks:
            runtimes.append(name)
        elif any(_is_stream_writer(hint) for hint in hints):
            writers.append(name)
        else:
            for mark in marks:
                if isinstance(mark, InjectedState):
                    state.setdefault(name, mark.field)
                elif _is_class(mark, InjectedState):
                    state.setdefault(name, None)
            if has_default and name in state:
                optional.add(name)
            if any(isinstance(m, InjectedStore) or _is_class(m, InjectedStore) for m in marks):
                stores.append(name)
            if name not in fields and any(_is_call_id(mark) for mark in marks):
                call_ids.append(name)
    names = frozenset([*state, *stores, *runtimes, *writers, *call_ids])
    aliases = {
        name: fields[name].alias
        for name in names
        if name in fields and isinstance(fields[name].alias, str)
    }
    return Injections(
        state,
        frozenset(optional),
        tuple(stores),
        tuple(runtimes),
        tuple(writers),
        tuple(call_ids),
        aliases,
        names.union(aliases.values()),
        _widened(tool, names.difference(fields)),
    )


def _schema_fields(tool: BaseTool) -> Mapping[str, Any]:
    """Return the fields of the schema that a tool was given or made itself."""
    schema: Any = tool.args_schema
    is_model = isinstance(schema, type) and issubclass(schema, BaseModel)
    return schema.model_fields if is_model else {}


def _widened(tool: BaseTool, missing: Iterable[str]) -> Any:
    """Return a schema that also takes what is missing, None where that is not needed.

    A schema that forbids all it does not know would refuse what the tool's function asks for, and
    older versions of LangChain drop what one ignores.
    """
    schema: Any = tool.args_schema
    is_model = isinstance(schema, type) and issubclass(schema, BaseModel)
    extra = {name: (Annotated[Any, InjectedToolArg(), _Opaque], None) for name in missing}
    if not is_model or not extra or schema.model_config.get("extra") == "allow":
        return None
    return create_model(schema.__name__, __base__=schema, **extra)  # type: ignore[call-overload]


def _is_call_id(mark: Any) -> bool:
    return isinstance(mark, InjectedToolCallId) or _is_class(mark, InjectedToolCallId)


def inject(
    call: ToolCall, wanted: Injections, runtime: ToolRuntime[Any, Any], messages_key: str
) -> ToolCall:
    """Return the call with the injected arguments in the place of any that the model gave."""
    # What a model makes up for a parameter that it should not know must not reach the tool.
    args = {name: value for name, value in call["args"].items() if name not in wanted.names}
    if wanted.state:
        args.update(_state_arguments(call["name"], wanted, runtime.state, messages_key))
    if wanted.stores:
        if runtime.store is None:
            raise ValueError(
                "Cannot inject store into tools with InjectedStore annotations - "
                "please compile your graph with a store."
            )
        args.update(dict.fromkeys(wanted.stores, runtime.store))
    args.update(dict.fromkeys(wanted.runtimes, runtime))
    args.update(dict.fromkeys(wanted.writers, runtime.stream_writer))
    args.update(dict.fromkeys(wanted.call_ids, call["id"]))
    args = {wanted.aliases.get(name, name): value for name, value in args.items()}
    return {**call, "args": args, "type": "tool_call"}


def errors_of_model(error: ValidationError, wanted: Injections) -> list[ErrorDetails]:
    """Return what the model did wrong: the errors without injected arguments, and their values."""
    details = []
    for item in error.errors():
        # The model has not given these, and cannot do better.
        if item["loc"] and item["loc"][0] in wanted.names:
            continue
        if isinstance(item["input"], dict):
            given = {k: value for k, value in item["input"].items() if k not in wanted.names}
            item = {**item, "input": given}
        details.append(item)
    return details


def _state_arguments(
    tool_name: str, wanted: Injections, state: Any, messages_key: str
) -> Iterator[tuple[str, Any]]:
    if isinstance(state, list):
        fields = [key for key in wanted.state.values() if key]
        if fields and [*wanted.state.values()] != [messages_key]:
            raise ValueError(
                f"Invalid input to ToolNode. Tool {tool_name} requires graph state dict as input."
                f" State should contain fields {', '.join(fields)}."
            )
        # A list of messages is a state of one key.
        state = {messages_key: state}
    for name, key in wanted.state.items():
        if not key:
            yield name, state
        elif isinstance(state, dict):
            if key in state:
                yield name, state[key]
            elif name not in wanted.optional:
                raise MissingStateKeyError(tool_name, name, key, tuple(state))
        elif (value := getattr(state, key, MISSING)) is not MISSING:
            yield name, value
        elif name not in wanted.optional:
            raise MissingStateKeyError(tool_name, name, key, _keys_of(state))


def _keys_of(state: Any) -> tuple[str, ...]:
    kind: Any = type(state)
    return annotated_keys(kind)


def _parameters(tool: BaseTool) -> dict[str, tuple[list[Any], bool]]:
    """Return each parameter's annotations and whether it has a default.

    The function and the schema may both have one: a schema that was given by hand need not know
    of parameters that are injected.
    """
    found: dict[str, tuple[list[Any], bool]] = {}
    schema: Any = tool.get_input_schema()
    if isinstance(schema, type):
        fields = schema.model_fields if issubclass(schema, BaseModel) else {}
        for name, annotation in get_all_basemodel_annotations(schema).items():
            found[name] = [annotation], name in fields and not fields[name].is_required()
    for function in _functions(tool):
        hints = _hints(function)
        for name, parameter in inspect.signature(function).parameters.items():
            known, has_default = found.get(name, ([], False))
            hint = hints.get(name, parameter.annotation)
            has_default = has_default or parameter.default is not parameter.empty
            found[name] = [*known, hint], has_default
    return found


def _functions(tool: BaseTool) -> list[Callable[..., Any]]:
    own = [getattr(tool, "func", None), getattr(tool, "coroutine", None)]
    return [function for function in own if function is not None] or [tool._run, tool._arun]


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        # Some annotation is a text that means nothing here; those that are not texts still count.
        return {}


def _marks(annotation: Any) -> list[Any]:
    """Return what says how a parameter is injected, also from within a union."""
    if annotation is ToolRuntime or typing.get_origin(annotation) is ToolRuntime:
        return [ToolRuntime]
    marks: list[Any] = []
    if typing.get_origin(annotation) is Annotated:
        extras: tuple[Any, ...] = annotation.__metadata__
        annotation = annotation.__origin__
        marks = [ToolRuntime if _is_class(extra, ToolRuntime) else extra for extra in extras]
        states = [m for m in marks if isinstance(m, InjectedState) or _is_class(m, InjectedState)]
        if len(states) > 1:
            raise ValueError(
                "A tool argument should not be annotated with InjectedState more than once. "
                f"Found: {states}"
            )
    if _is_class(annotation, ToolRuntime):
        return [*marks, ToolRuntime]
    for member in _members(annotation):
        marks += _marks(member)
    return marks


def _is_stream_writer(annotation: Any) -> bool:
    return StreamWriter in (annotation, *_members(annotation))


def _members(annotation: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(annotation)
    is_union = origin is typing.Union or getattr(origin, "__name__", "") == "UnionType"
    return typing.get_args(annotation) if is_union else ()


def _is_class(thing: Any, kind: type) -> bool:
    return isinstance(thing, type) and issubclass(thing, kind)


for _public in (InjectedState, InjectedStore):
    _public.__module__ = "millstream.prebuilt.tool_node"
