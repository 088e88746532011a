"""What tells one callable from another, for caches that graphs and processes share.

Two are the same if they run the same code with the same things. A function that any process finds
under its name is that name. Of others the code is compared, and what it holds: what never changes
by its value, anything else by being the same object, because two objects that are alike now need
not be alike when they are called.
"""

from __future__ import annotations

import dis
import functools
import sys
import weakref
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final
from uuid import uuid4

import xxhash
from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnableSequence

from millstream._base.runnable import RunnableCallable

PLAIN: Final = frozenset(
    (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented))
)
REBINDING: Final = frozenset(("STORE_DEREF", "DELETE_DEREF"))
_CODES_REMEMBERED: Final = 512

_tokens: dict[int, tuple[weakref.ref[Any], str]] = {}
"""Id of an object -> the object, and the text that stands for it as long as it lives.

Bounded by the objects that live: each takes its entry away when it goes.
"""


class _Nameless(Exception):
    """There is nothing that a text could stand for: a list, a dict."""


def fingerprint(func: Any) -> str:
    """Return a text that equal callables share, and no others; its beginning is for people."""
    name = _public_name(func)
    if name is not None:
        return name
    label = _label(func) or _label(type(func))
    return f"{label}#{digest(func)}"


def digest(*things: Any) -> str:
    """Return a short text that stands for these things, which may be callables or hold some."""
    return _hashed([_described_or_own(thing) for thing in things])


def _hashed(described: Any) -> str:
    return xxhash.xxh3_128_hexdigest(repr(described).encode())


def _label(thing: Any) -> str | None:
    try:
        module, qualname = thing.__module__, thing.__qualname__
    except Exception:  # whatever a proxy, or an object that imports lazily, makes of the question
        return None
    is_named = isinstance(module, str) and isinstance(qualname, str)
    return f"{module}.{qualname}" if is_named else None


def _public_name(thing: Any) -> str | None:
    """Return the name under which other processes find the very same thing, if there is one."""
    label = _label(thing)
    # What is typed into a prompt or notebook is often defined again, under the same name.
    if label is None or thing.__module__ == "__main__" or "<" in label:
        return None
    found: Any = sys.modules.get(thing.__module__)
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    # A bound method is made anew whenever it is asked for.
    is_found = found == thing if isinstance(thing, MethodType) else found is thing
    return label if is_found else None


def _described_or_own(thing: Any) -> Any:
    try:
        return _described(thing, ())
    except _Nameless:
        return _token(thing)


def _described(thing: Any, inside: tuple[Any, ...]) -> Any:
    """Return what consists of plain values and is the same for what is the same."""
    kind = type(thing)
    if kind in PLAIN:
        return (kind.__name__, repr(thing))
    for depth, outer in enumerate(inside):
        # A function may hold itself, in a variable that it calls itself by.
        if outer is thing:
            return ("outer", depth)
    name = _public_name(thing)
    if name is not None:
        return ("name", name)
    parts = _parts(thing, kind)
    if parts is None:
        return _token(thing)
    inside = (*inside, thing)
    try:
        described = [_described(part, inside) for part in parts]
    except _Nameless:
        return _token(thing)
    if kind is frozenset:
        # The order of a set is another one in another process.
        described.sort(key=repr)
    return (kind.__name__, _label(thing), *described)


def _parts(thing: Any, kind: Any) -> Iterable[Any] | None:
    """Return what makes up a thing that never changes, None for one that can."""
    parts = _PARTS.get(kind)
    if parts is not None:
        return parts(thing)
    if issubclass(kind, Enum):
        return (kind, thing.name)
    if issubclass(kind, tuple):
        return (kind, *thing)
    if is_dataclass(kind) and _is_frozen(kind):
        return (kind, *(getattr(thing, field.name) for field in fields(kind)))
    return None


def _is_frozen(kind: Any) -> bool:
    return bool(kind.__dataclass_params__.frozen)


def _items(named: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted(named.items(), key=lambda item: item[0]))


def _function_parts(func: FunctionType) -> Iterable[Any] | None:
    code = func.__code__
    # A counter, say: two of the same code and value now are not the same.
    if func.__closure__ and _rebinds(code, code.co_freevars):
        return None
    defaults = _items(func.__kwdefaults__ or {})
    cells = map(_content, func.__closure__ or ())
    return (_code_digest(code), func.__defaults__, defaults, *cells)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return NotImplemented  # nothing yet


_PARTS: Final[dict[Any, Callable[[Any], Iterable[Any] | None]]] = {
    FunctionType: _function_parts,
    MethodType: lambda method: (method.__func__, method.__self__),
    BuiltinFunctionType: lambda func: (func.__name__, func.__self__),
    ModuleType: lambda module: (module.__name__,),
    frozenset: tuple,
    functools.partial: lambda call: (call.func, call.args, *_items(call.keywords)),
    RunnableCallable: lambda call: (
        (call.func, call.afunc, call.explode_args, *_items(call.kwargs))
    ),
    RunnableLambda: lambda call: (getattr(call, "func", None), getattr(call, "afunc", None)),
    RunnableSequence: lambda sequence: sequence.steps,
    RunnableParallel: lambda parallel: _items(parallel.steps__),
}
"""How things are taken apart that do not change, or that nobody changes."""


@lru_cache(maxsize=_CODES_REMEMBERED)
def _rebinds(code: CodeType, names: tuple[str, ...]) -> bool:
    """Say whether code changes variables of the function around it, and so has a state."""
    return any(
        step.opname in REBINDING and step.argval in names for step in dis.get_instructions(code)
    ) or any(_rebinds(inner, names) for inner in code.co_consts if isinstance(inner, CodeType))


@lru_cache(maxsize=_CODES_REMEMBERED)
def _code_digest(code: CodeType) -> str:
    return _hashed(_code_parts(code))


def _code_parts(code: CodeType) -> tuple[Any, ...]:
    constants = [
        _code_parts(value) if isinstance(value, CodeType) else _described(value, ())
        for value in code.co_consts
    ]
    # Not the file or the lines: code that was moved is the same code.
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    handlers = getattr(code, "co_exceptiontable", b"")  # Python 3.11 and later
    return (code.co_code, handlers, code.co_flags, constants, *names)


def _token(thing: Any) -> tuple[str, str]:
    """Return what stands for this object and for no other, not even when it is gone."""
    key = id(thing)
    known = _tokens.get(key)
    # Ids are used again when their object is gone.
    if known is not None and known[0]() is thing:
        return ("object", known[1])

    def forget(gone: weakref.ref[Any]) -> None:
        if _tokens.get(key, (None,))[0] is gone:
            del _tokens[key]

    try:
        reference = weakref.ref(thing, forget)
    except TypeError:
        raise _Nameless from None
    # Not a count: a process that is forked from this one would go on with the same numbers.
    fresh = (reference, uuid4().hex)
    if known is not None:
        _tokens[key] = fresh
        return ("object", fresh[1])
    # Another thread may have asked meanwhile: the first token counts.
    return ("object", _tokens.setdefault(key, fresh)[1])
