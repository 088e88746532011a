"""Which strand of a task the code that runs here belongs to.

Code that the engine called and that has not left its thread or asyncio task since is the task's
own. Other code runs in a thread or an asyncio task that somebody started, and its strand is named
by the function that was started there, with its arguments. `ToolNode` names the strands of its
tools by the ids of their calls.

It is looked for in the frames of the call stack, because there is nothing else that every way of
starting a thread or an asyncio task leaves behind. So it costs nothing until somebody asks.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar, Token
from functools import partial
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import CoroutineType, FrameType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import xxhash

from millstream.core.strands import OWN, Strand

if TYPE_CHECKING:
    from millstream.drivers.context import TaskContext

T = TypeVar("T")

CALLERS: Final = frozenset(
    f"millstream.drivers.{name}"
    for name in (
        "task_execution",
        "nodecall",
        "waits",
        "task_calls",
        "function_calls",
        "tracing",
        "current_strand",
    )
)
"""Frames of these modules call code of a task; in a variable `context` they have whose."""
MACHINERY: Final = (
    "asyncio.",
    "concurrent.futures.",
    "threading",
    "contextlib",
    "anyio.",
    "langchain_core.runnables.config",
    "millstream.drivers.",
    "millstream.outbox.",
    "millstream.saving.",
    "millstream._base.workers",
    "millstream._base.uninterrupted",
)
"""What starts the functions of threads, and is none itself."""
LIBRARIES: Final = ("millstream.", "langgraph.", "langchain", "langsmith.")
"""Their objects belong to a run, and differ from one to the next."""
CONTENTS: Final = ("content", "page_content", "tool_calls", "tool_call_id")
"""What does not differ of messages and documents."""
SCALARS: Final = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    decimal.Decimal,
    uuid.UUID,
    datetime.date,
    datetime.time,
    datetime.timedelta,
)
CONFIG_MARKS: Final = frozenset(("configurable", "callbacks", "recursion_limit"))
"""Keys of a dict that is a config."""
MAX_DEPTH: Final = 8
MAX_SIZE: Final = 10_000
"""How many values of an argument are looked at."""

_named: ContextVar[tuple[TaskContext, str] | None] = ContextVar("millstream_strand", default=None)
"""The task that the code belongs to, and what names the strand in it."""


def call_in_strand(context: TaskContext | None, key: str, func: Callable[..., T], *args: Any) -> T:
    """Call a function as a strand of the task that has this name, its own code without one."""
    token = _name(context, key)
    try:
        return func(*args)
    finally:
        _named.reset(token)


async def await_in_strand(
    context: TaskContext | None, key: str, func: Callable[..., Awaitable[T]], *args: Any
) -> T:
    """Await a function as a strand of the task that has this name, its own code without one."""
    token = _name(context, key)
    try:
        return await func(*args)
    finally:
        _named.reset(token)


def _name(context: TaskContext | None, key: str) -> Token[tuple[TaskContext, str] | None]:
    around = _named.get()
    # A tool that calls tools by a `ToolNode` of its own: their names count within its name.
    if key and around is not None and around[0] is context:
        key = f"{around[1]}/{key}"
    return _named.set(None if context is None else (context, key))


def strand_of(context: TaskContext) -> Strand:
    """Return the strand of the task that the calling code belongs to."""
    named = _named.get()
    # The variable is inherited by whatever is started: by tasks of nested graphs, which are not
    # meant, and by threads within the strand, which the frames tell apart.
    key = named[1] if named is not None and named[0] is context else None
    entry = _entry(context)
    if entry is None or (key is not None and _is_awaited(entry)):
        return Strand(key) if key else OWN
    facts = Facts()
    said = facts.of_frame(entry) if isinstance(entry, FrameType) else facts.of(entry)
    return Strand(_digest((key, said)), is_named=_is_telling(said))


def text_of(value: Any) -> str:
    """Return a text that is the same for a value that is the same."""
    return _digest(Facts().of(value))


def _entry(context: TaskContext) -> Any:
    """Return the frame or coroutine of what was started here; None in code the engine called."""
    coroutine = None
    try:
        current = asyncio.current_task()
    except RuntimeError:
        current = None
    if current is not None:
        # Frames of an asyncio task end with its coroutine, and say nothing of who started it.
        coroutine = current.get_coro()
    root = getattr(coroutine, "cr_frame", None)
    # Of whoever asked `strand_of`.
    frame = sys._getframe(2)
    entry = None
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        # The engine called the code, and nothing was started in between: it is the task's own.
        if module in CALLERS and frame.f_locals.get("context") is context:
            return None
        if frame is root:
            return frame
        # The outermost function that is not what starts functions is the one that was started.
        if not module.startswith(MACHINERY):
            entry = frame
        frame = frame.f_back  # type: ignore[assignment]  # None at the end
    return coroutine or entry


def _is_awaited(entry: Any) -> bool:
    """Say whether a function was started by LangChain, which waits for it at once."""
    # LangChain's `run_in_executor` calls a `wrapper` in a thread, whose result is awaited at once.
    back = entry.f_back if isinstance(entry, FrameType) else None
    return (
        back is not None
        and back.f_code.co_name == "wrapper"
        and back.f_globals.get("__name__") == "langchain_core.runnables.config"
    )


class Facts:
    """Says of values what will be the same in another process, and of others only their kind."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_SIZE

    def of_frame(self, frame: FrameType) -> tuple[Any, ...]:
        """Return the name of a running function, and its arguments.

        What a function has from around it counts where it cannot have changed.
        """
        code, values = frame.f_code, frame.f_locals
        count = code.co_argcount + code.co_kwonlyargcount
        count += bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
        arguments = [self.of(values.get(name)) for name in code.co_varnames[:count]]
        around = [values.get(name) for name in code.co_freevars]
        # A container that a closure shares with others may have been filled meanwhile.
        plain = [self.of(value) for value in around if isinstance(value, SCALARS)]
        return (code.co_name, *arguments, *plain)

    def of(self, value: Any, depth: int = 0) -> Any:
        """Return the facts of a value: a list, a tuple with the kind, text, or None."""
        self._left -= 1
        # Facts are cut short rather than slow: strands that only differ further in count as one.
        if value is None or depth > MAX_DEPTH or self._left < 0:
            return None
        if isinstance(value, enum.Enum):
            return (type(value).__name__, value.name)
        if isinstance(value, SCALARS):
            return repr(value)
        if isinstance(value, Mapping):
            # A config has ids of the run in it, which are others next time.
            if not CONFIG_MARKS.isdisjoint(value):
                return None
            items = [[self.of(key), self.of(item, depth + 1)] for key, item in value.items()]
            # Sorted, because sets and dicts may come in another order in another process.
            return sorted(items, key=repr)
        if isinstance(value, (list, tuple)):
            return [self.of(item, depth + 1) for item in value]
        if isinstance(value, (set, frozenset)):
            return sorted((self.of(item, depth + 1) for item in value), key=repr)
        return self._of_code(value, depth) or self._of_object(value, depth)

    def _of_code(self, value: Any, depth: int) -> tuple[Any, ...] | None:
        if isinstance(value, MethodType):
            return (value.__func__.__name__, self.of(value.__self__, depth + 1))
        # By name: the object is another one in another process.
        if isinstance(value, (FunctionType, type)):
            return (value.__name__,)
        if isinstance(value, partial):
            parts = (value.func, value.args, value.keywords)
            return ("partial", *(self.of(part, depth + 1) for part in parts))
        if isinstance(value, CoroutineType) and value.cr_frame is not None:
            return self.of_frame(value.cr_frame)
        return None

    def _of_object(self, value: Any, depth: int) -> tuple[Any, ...]:
        kind = type(value)
        fields = dict(vars(value)) if hasattr(value, "__dict__") else {}
        if kind.__module__.startswith(LIBRARIES):
            fields = {name: fields[name] for name in CONTENTS if name in fields}
        elif dataclasses.is_dataclass(value):
            fields = {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
        # Attributes of any other object may be anything, a connection or a cache.
        elif not hasattr(kind, "model_fields"):
            fields = {}
        if not fields and isinstance(name := getattr(value, "name", None), str):
            return (kind.__name__, repr(name))
        return (kind.__name__, self.of(fields, depth + 1))


def _is_telling(facts: Any) -> bool:
    """Say whether there is more to what was started than a function and kinds of arguments."""
    if isinstance(facts, tuple):
        return any(map(_is_telling, facts[1:]))
    return isinstance(facts, str) or (isinstance(facts, list) and any(map(_is_telling, facts)))


def _digest(facts: Any) -> str:
    # Surrogates are what Python makes of bytes that are no text, in names of files for example.
    return xxhash.xxh3_64_hexdigest(repr(facts).encode("utf-8", "surrogatepass"))
