"""What programs pass to a graph and get from it: same shapes, texts and rules as the reference."""

from __future__ import annotations

import dataclasses
import inspect
import math
import pickle
import subprocess
import sys
import weakref
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Optional, get_args

import httpx
import langgraph.types
import pytest
import requests
from langchain_core.messages.tool import ToolOutputMixin
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, Field

import millstream.types
from millstream._types.interrupts import interrupt_id
from millstream.types import (
    CachePolicy,
    Checkpointer,
    Command,
    GraphOutput,
    Interrupt,
    Overwrite,
    PregelExecutableTask,
    RetryPolicy,
    Send,
    StateSnapshot,
    TimeoutPolicy,
    TracePolicy,
    default_cache_key,
    default_retry_on,
    ensure_valid_checkpointer,
    omit_payload,
)
from millstream.warnings import LangGraphDeprecatedSinceV10, LangGraphDeprecatedSinceV11

BOTH = pytest.mark.parametrize(
    "types", [millstream.types, langgraph.types], ids=["millstream", "langgraph"]
)

DATACLASSES = [
    "TimeoutPolicy",
    "CachePolicy",
    "TracePolicy",
    "Interrupt",
    "Command",
    "Overwrite",
    "PregelExecutableTask",
    "GraphOutput",
]
TUPLES = ["RetryPolicy", "StateUpdate", "PregelTask", "CacheKey", "StateSnapshot"]
DICTS = [
    "TaskPayload",
    "TaskResultPayload",
    "CheckpointTask",
    "CheckpointPayload",
    "ValuesStreamPart",
    "UpdatesStreamPart",
    "MessagesStreamPart",
    "CustomStreamPart",
    "CheckpointStreamPart",
    "TasksStreamPart",
    "DebugStreamPart",
]


def outcome(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except Exception as error:
        return (type(error).__name__, str(error))


def test_every_name_of_the_reference_is_exported() -> None:
    # The function that interrupts belongs to the engine and has its own tests.
    missing = set(langgraph.types.__all__) - set(millstream.types.__all__) - {"interrupt"}

    assert not missing
    assert all(hasattr(millstream.types, name) for name in millstream.types.__all__)


@pytest.mark.parametrize("name", DATACLASSES)
def test_dataclasses_have_the_fields_of_the_reference(name: str) -> None:
    actual, expected = getattr(millstream.types, name), getattr(langgraph.types, name)

    def shape(kind: Any) -> list[Any]:
        return [
            (field.name, field.kw_only, field.compare, field.default is dataclasses.MISSING)
            for field in dataclasses.fields(kind)
        ]

    assert shape(actual) == shape(expected)
    assert actual.__dataclass_params__.frozen == expected.__dataclass_params__.frozen


@pytest.mark.parametrize("name", TUPLES)
def test_tuples_have_the_fields_and_defaults_of_the_reference(name: str) -> None:
    actual, expected = getattr(millstream.types, name), getattr(langgraph.types, name)

    assert actual._fields == expected._fields
    assert set(actual._field_defaults) == set(expected._field_defaults)


@pytest.mark.parametrize("name", DICTS)
def test_dicts_have_the_keys_of_the_reference(name: str) -> None:
    actual, expected = getattr(millstream.types, name), getattr(langgraph.types, name)

    assert list(actual.__annotations__) == list(expected.__annotations__)
    assert actual.__required_keys__ == expected.__required_keys__


@pytest.mark.parametrize("name", ["Durability", "All"])
def test_literals_are_those_of_the_reference(name: str) -> None:
    actual, expected = getattr(millstream.types, name), getattr(langgraph.types, name)

    assert get_args(actual) == get_args(expected)


def test_stream_mode_is_that_of_the_reference_and_tools() -> None:
    reference = get_args(langgraph.types.StreamMode)

    assert get_args(millstream.types.StreamMode) == (*reference, "tools")


@pytest.mark.parametrize("name", ["Send", "Command", "Interrupt", "GraphOutput", "TimeoutPolicy"])
def test_constructors_take_what_the_reference_takes(name: str) -> None:
    actual, expected = getattr(millstream.types, name), getattr(langgraph.types, name)

    def parameters(kind: Any) -> list[Any]:
        return [(p.name, p.kind) for p in inspect.signature(kind.__init__).parameters.values()]

    assert parameters(actual) == parameters(expected)


@pytest.mark.parametrize(
    "build",
    [
        lambda t: t.Send("a", 1),
        lambda t: t.Send("a", 1, timeout=3),
        lambda t: t.Send("a", 1, timeout=timedelta(seconds=2)),
        lambda t: t.Send(node="a", arg={"b": 1}),
        lambda t: t.Command(),
        lambda t: t.Command(update={"a": 1}),
        lambda t: t.Command(resume=0, goto=[]),
        lambda t: t.Command(goto=["a", t.Send("b", 1)], graph=t.Command.PARENT),
        lambda t: t.Interrupt(1),
        lambda t: t.Interrupt(1, "a", response_schema=int),
        lambda t: t.Interrupt(1, ns=["a", "b"], resumable=True, when="during"),
        lambda t: t.Interrupt(1, "x", ns=["a"]),
        lambda t: t.Interrupt.from_ns("v", "a|b"),
        lambda t: t.Overwrite(1),
        lambda t: t.StateUpdate({"a": 1}),
        lambda t: t.PregelTask("i", "n", ()),
        lambda t: t.StateSnapshot(1, (), {}, None, None, None, (), ()),
        lambda t: t.GraphOutput({"a": 1}, (t.Interrupt(1, "x"),)),
        lambda t: t.TimeoutPolicy(run_timeout=timedelta(seconds=2)),
        lambda t: t.CacheKey(("a",), "k", 3),
        lambda t: t.TracePolicy(),
    ],
)
def test_values_look_compare_and_pickle_as_they_should(build: Callable[[Any], Any]) -> None:
    value = build(millstream.types)

    assert repr(value) == repr(build(langgraph.types))
    assert value == build(millstream.types)
    assert pickle.loads(pickle.dumps(value)) == value


@BOTH
def test_sends_are_equal_by_node_input_and_timeout(types: Any) -> None:
    assert types.Send("a", 1) != types.Send("a", 2)
    assert types.Send("a", 1) != types.Send("a", 1, timeout=3)
    assert types.Send("a", 1) != 1
    assert hash(types.Send("a", 1)) == hash(types.Send("a", 1))


@BOTH
def test_what_may_change_cannot_be_hashed(types: Any) -> None:
    for value in (types.Interrupt(1), types.Overwrite(1), types.Send("a", {})):
        with pytest.raises(TypeError, match="unhashable"):
            hash(value)


@BOTH
def test_a_command_is_frozen_hashable_and_an_output_of_tools(types: Any) -> None:
    command = types.Command(goto="x")

    with pytest.raises(dataclasses.FrozenInstanceError):
        command.goto = "y"
    assert len({command, types.Command(goto="x")}) == 1
    assert isinstance(command, ToolOutputMixin)
    assert dataclasses.replace(command, goto="y") == types.Command(goto="y")


class Model(BaseModel):
    a: Optional[int] = None
    b: Optional[int] = 3
    c: list[int] = Field(default_factory=list)
    d: Optional[int] = Field(default_factory=lambda: None)


class Child(Model):
    z: int = 1


@dataclasses.dataclass
class Record:
    a: Optional[int] = None
    b: Optional[int] = 3


@dataclasses.dataclass
class ChildRecord(Record):
    c: int = 1


class Annotated:
    x: int
    y: int

    def __init__(self) -> None:
        self.x = 1


class Plain:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain)

    __hash__ = None  # type: ignore[assignment]  # as for any class with __eq__ alone


@pytest.mark.parametrize(
    "update",
    [
        None,
        {},
        {"a": 1},
        [],
        [("a", 1)],
        (("a", 1), ("a", 2)),
        ["a"],
        [["a", 1]],
        [("a", 1, 2)],
        [(1, 2)],
        [("a", 1), {"b": 2}],
        0,
        "text",
        Model(),
        Model(a=None),
        Model(b=None),
        Model(d=None),
        Child(a=1),
        Record(),
        ChildRecord(b=None),
        Annotated(),
        Plain(),
    ],
    ids=lambda update: repr(update).partition(" object at ")[0],
)
def test_an_update_of_any_kind_becomes_the_pairs_of_the_reference(update: Any) -> None:
    actual = Command[str](update=update)._update_as_tuples()
    expected = langgraph.types.Command(update=update)._update_as_tuples()

    assert list(actual) == list(expected)


def test_an_interrupt_id_is_that_of_the_reference() -> None:
    for ns, answered in (("a|b", 0), ("a|b", 1), ("n:1", 2)):
        assert interrupt_id(ns, answered) == langgraph.types._interrupt_id(ns, answered)


def test_the_old_name_of_an_interrupt_id_warns() -> None:
    with pytest.warns(LangGraphDeprecatedSinceV10, match="^`interrupt_id` is deprecated"):
        assert Interrupt(1, "a").interrupt_id == "a"


@pytest.mark.parametrize(
    "limit",
    [
        None,
        5,
        1.5,
        True,
        timedelta(seconds=3),
        math.inf,
        0,
        -1,
        "x",
        [],
        {"run_timeout": timedelta(seconds=2), "idle_timeout": 1},
        {"idle_timeout": 2, "refresh_on": "heartbeat"},
        {},
        {"run_timeout": 0},
        {"idle_timeout": 0},
        {"refresh_on": "never"},
        {"run_timeout": 1, "refresh_on": "never"},
    ],
    ids=repr,
)
def test_timeouts_are_coerced_like_the_reference(limit: Any) -> None:
    def coerced(types: Any) -> Any:
        value = types.TimeoutPolicy(**limit) if isinstance(limit, dict) else limit
        return repr(types.TimeoutPolicy.coerce(value))

    assert outcome(lambda: coerced(millstream.types)) == outcome(lambda: coerced(langgraph.types))


@pytest.mark.parametrize("checkpointer", [None, True, False])
def test_a_checkpointer_may_be_none_or_a_flag(checkpointer: Any) -> None:
    assert ensure_valid_checkpointer(checkpointer) is checkpointer


def test_a_checkpointer_may_be_a_saver() -> None:
    saver = InMemorySaver()

    assert ensure_valid_checkpointer(saver) is saver
    assert isinstance(saver, Checkpointer)


@pytest.mark.parametrize("checkpointer", ["a", InMemorySaver], ids=["text", "class"])
def test_anything_else_is_not_a_checkpointer(checkpointer: Any) -> None:
    actual = outcome(lambda: ensure_valid_checkpointer(checkpointer))
    expected = outcome(lambda: langgraph.types.ensure_valid_checkpointer(checkpointer))

    assert actual == expected
    assert actual[0] == "TypeError"


@pytest.mark.parametrize(
    ("methods", "statement"), [(("__enter__",), "with"), (("__aenter__",), "async with")]
)
def test_a_context_manager_in_the_place_of_a_saver_is_told_from_other_things(
    methods: tuple[str, ...], statement: str
) -> None:
    manager: Any = type("Manager", (), dict.fromkeys(methods))()

    with pytest.raises(TypeError, match=f"`{statement} ... as checkpointer` gives the saver"):
        ensure_valid_checkpointer(manager)


@pytest.mark.parametrize("value", [{"a": 1}, {0: 1}, Record(a=1), 5, None], ids=repr)
@pytest.mark.parametrize("key", ["a", "zz", "real", "__interrupt__"])
@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.filterwarnings("ignore:Accessing GraphOutput")
def test_an_output_can_still_be_read_like_a_dict(value: Any, key: str, interrupted: bool) -> None:
    def read(types: Any) -> Any:
        output = types.GraphOutput(value, (types.Interrupt(1, "x"),) if interrupted else ())
        return (repr(outcome(lambda: output[key])), key in output)

    assert read(millstream.types) == read(langgraph.types)


def test_reading_an_output_like_a_dict_warns_where_it_is_read() -> None:
    output = GraphOutput({"a": 1})

    with pytest.warns(LangGraphDeprecatedSinceV11) as caught:
        _ = output["a"], "a" in output

    assert [(str(w.message).split(" is deprecated")[0], w.filename) for w in caught] == [
        ("Accessing GraphOutput via `result[key]`", __file__),
        ("Accessing GraphOutput via `key in result`", __file__),
    ]


def test_an_output_is_frozen_and_has_attributes_for_vars() -> None:
    output = GraphOutput(1)

    with pytest.raises(dataclasses.FrozenInstanceError):
        output.value = 2  # type: ignore[misc]  # that is the point
    assert vars(output) == {"value": 1, "interrupts": ()}


def http_error(status: int) -> Exception:
    request = httpx.Request("GET", "http://x")
    return httpx.HTTPStatusError("m", request=request, response=httpx.Response(status))


def requests_error(status: int) -> Exception:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        ValueError(),
        ZeroDivisionError(),
        ModuleNotFoundError(),
        KeyError(),
        NameError(),
        SyntaxError(),
        RecursionError(),
        ReferenceError(),
        StopIteration(),
        FileNotFoundError(),
        TimeoutError(),
        AttributeError(),
        AssertionError(),
        MemoryError(),
        EOFError(),
        Exception(),
        httpx.ConnectError("x"),
        *map(http_error, (404, 429, 500, 503, 600)),
        *map(requests_error, (302, 404, 429, 500, 503)),
        requests.HTTPError(),
        requests.ConnectionError(),
        requests.Timeout(),
    ],
    ids=repr,
)
def test_failures_are_retried_when_the_reference_retries_them(error: Exception) -> None:
    assert default_retry_on(error) is bool(langgraph.types.default_retry_on(error))


def test_a_retry_policy_has_the_defaults_of_the_reference() -> None:
    assert RetryPolicy()[:-1] == langgraph.types.RetryPolicy()[:-1]
    assert RetryPolicy().retry_on is default_retry_on


@pytest.mark.parametrize("argument", [1, "x", {"b": [1, 2], "a": 1}, {1, 2}, None], ids=repr)
def test_cache_keys_are_those_of_the_reference(argument: Any) -> None:
    expected = langgraph.types.default_cache_key(argument, b=1, a=2)

    assert default_cache_key(argument, b=1, a=2) == expected


def test_policies_have_useful_defaults() -> None:
    assert CachePolicy().key_func is default_cache_key
    assert (CachePolicy().ttl, TracePolicy().process_inputs) == (None, None)
    assert TimeoutPolicy() == TimeoutPolicy(refresh_on="auto")
    assert omit_payload({"secret": 1}) == {}


def test_an_executable_task_is_slotted_and_can_be_referred_to_weakly() -> None:
    task = PregelExecutableTask("n", 1, None, None, {}, (), (), None, "i", ())  # type: ignore[arg-type]  # parts do not matter

    assert weakref.ref(task)() is task
    assert not hasattr(task, "__dict__")


def test_overwrites_are_equal_by_value() -> None:
    assert Overwrite(1) == Overwrite(value=1, type="__overwrite__")
    assert Overwrite(1) != Overwrite(2)


def test_a_snapshot_is_a_tuple() -> None:
    snapshot = StateSnapshot({"a": 1}, ("n",), {}, None, None, None, (), ())

    assert (snapshot[0], snapshot.next) == ({"a": 1}, ("n",))


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = millstream.types.Nothing


def test_importing_the_vocabulary_imports_neither_langchain_nor_pydantic() -> None:
    program = (
        "import sys, millstream.types, millstream.errors, millstream.channels, millstream.managed;"
        "print([m for m in ('langchain_core', 'pydantic', 'asyncio', 'threading')"
        " if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


def test_sends_of_a_timeout_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^run_timeout must be greater than 0$"):
        Send("a", 1, timeout=-1)
