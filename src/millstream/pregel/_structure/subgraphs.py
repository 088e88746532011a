"""Finding the graphs that a node runs."""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from types import BuiltinFunctionType, CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any, Final

from langchain_core.runnables import Runnable, RunnableLambda, RunnableSequence

from millstream._base.runnable import RunnableCallable, plain_code
from millstream.constants import MISSING
from millstream.pregel.protocol import PregelProtocol

NAMES: Final = frozenset(
    ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW")
)
PAIRS: Final = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
}
"""Two instructions in one, since Python 3.13."""
ATTRIBUTES: Final = frozenset(("LOAD_ATTR", "LOAD_METHOD"))
FILLING: Final = frozenset(("CACHE", "NOP", "PUSH_NULL", "EXTENDED_ARG"))
LEAVES: Final = frozenset(
    (
        type(MISSING),
        FunctionType,
        BuiltinFunctionType,
        type(None),
        bool,
        int,
        float,
        str,
        bytes,
        dict,
        list,
        tuple,
    )
)
"""Types of objects whose attributes are no graphs."""
DEPTH: Final = 4
"""How many attributes deep a graph may be."""


def find_subgraph(bound: Runnable[Any, Any]) -> PregelProtocol[Any, Any, Any, Any] | None:
    """Return the graph a node is, contains or calls by a name it can see; None if there is none.

    A name may be global, of an enclosing function, of an argument that has a value, or an attribute
    of one of these, `self` included. What a property returns, or a dict holds, is not found.
    """
    candidates: list[Any] = [bound]
    seen: set[int] = set()
    for candidate in candidates:
        # A runnable may call itself, as one whose function is a method does.
        if id(candidate) in seen:
            continue
        seen.add(id(candidate))
        # First, because nearly every node is one and each of the other checks costs more.
        if isinstance(candidate, RunnableCallable):
            for func in (candidate.func, candidate.afunc):
                if func is not None:
                    candidates += _visible_runnables(func)
        elif isinstance(candidate, PregelProtocol):
            # One that keeps nothing is nobody's to look into.
            if getattr(candidate, "checkpointer", None) is not False:
                return candidate
        elif isinstance(candidate, RunnableSequence):
            candidates += candidate.steps
        elif isinstance(candidate, RunnableLambda):
            candidates += candidate.deps
            for func in (getattr(candidate, "func", None), getattr(candidate, "afunc", None)):
                if func is not None:
                    candidates += _visible_runnables(func)
    return None


def _visible_runnables(func: Callable[..., Any]) -> Iterable[Any]:
    """Return the runnables a function refers to by a name, or by an attribute of a named object."""
    given: dict[str, Any] = {}
    code = plain_code(func)
    if code is None:
        func, given = _function_with_arguments(func)
        code = getattr(func, "__code__", None)
        if code is None:
            return ()
    module = func.__globals__
    has_values = code.co_freevars or given or func.__defaults__ or func.__kwdefaults__
    if not has_values and module.keys().isdisjoint(_names(code)):
        return ()  # as with most nodes
    # What is mentioned may be an attribute of that name: what the code reads decides below.
    roots: dict[str, Any] = {
        name: module[name]
        for name in _names(code)
        if name in module and name not in code.co_varnames
    }
    for name, cell in zip(code.co_freevars, func.__closure__ or (), strict=False):
        value = _content(cell)
        if value is not MISSING:
            roots[name] = value
    given = {**_defaults(func, code), **given}
    known = {**roots, **given}
    if known and _leads_to_runnable(known.values(), frozenset(_names(code))):
        return _runnables_in(code, known)
    return ()


def _function_with_arguments(func: Any) -> tuple[Any, dict[str, Any]]:
    """Return the function behind a callable, and those of its arguments that have a value."""
    positional: tuple[Any, ...] = ()
    named: dict[str, Any] = {}
    while True:
        if isinstance(func, functools.partial):
            positional, named = (*func.args, *positional), {**func.keywords, **named}
            func = func.func
        elif inspect.ismethod(func):
            # `self` is an argument that has a value.
            positional, func = (func.__self__, *positional), func.__func__
        elif inspect.isroutine(func):
            break
        else:
            method = getattr(func, "__call__", None)  # noqa: B004
            if not inspect.ismethod(method):
                break
            func = method
    func = inspect.unwrap(func)
    code = getattr(func, "__code__", None)
    names = () if code is None else code.co_varnames[: code.co_argcount]
    return func, {**dict(zip(names, positional, strict=False)), **named}


def _defaults(func: Any, code: CodeType) -> dict[str, Any]:
    defaults = func.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    with_default = zip(names[len(names) - len(defaults) :], defaults, strict=False)
    return {**dict(with_default), **(func.__kwdefaults__ or {})}


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _names(code: CodeType) -> tuple[str, ...]:
    """Return the global names and attributes that code, and functions made by it, mention."""
    names = code.co_names
    for constant in code.co_consts:
        if type(constant) is CodeType:
            names += _names(constant)
    return names


def _leads_to_runnable(values: Iterable[Any], names: Set[str]) -> bool:
    """Say whether attributes of these names may lead to a runnable: reading code costs more."""
    seen: dict[int, Any] = {}
    """By identity; kept, so that no identity is used twice."""
    for _ in range(DEPTH):
        # Each object once: attributes lead in circles.
        fresh = {id(v): v for v in values if type(v) not in LEAVES and id(v) not in seen}
        seen.update(fresh)
        values = [*fresh.values()]
        if any(_is(value, Runnable) for value in values):
            return True
        if not values:
            return False
        values = [
            _attribute(value, name)
            for value in values
            for space in _spaces(value)
            for name in names & space.keys()
        ]
    return False


def _spaces(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the namespaces in which the attributes of an object are."""
    is_class = _is(value, type)
    if not is_class:
        with contextlib.suppress(AttributeError):
            yield object.__getattribute__(value, "__dict__")
    if not _is(value, ModuleType):
        # Without `object`, whose attributes are no graphs.
        for kind in (value if is_class else type(value)).__mro__[:-1]:
            yield vars(kind)


def _runnables_in(code: CodeType, known: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the runnables that code reads: names, and attributes of what names stand for."""
    value: Any = MISSING
    for name, argument in _instructions(code):
        if name in NAMES:
            value = known.get(argument, MISSING)
        elif name in ATTRIBUTES:
            value = MISSING if value is MISSING else _attribute(value, argument)
        elif name not in FILLING:
            value = MISSING
        if _is(value, Runnable):
            yield value
            value = MISSING
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            # What a function inside has as a variable of its own is another thing of that name.
            hidden = constant.co_varnames
            outer = {name: value for name, value in known.items() if name not in hidden}
            yield from _runnables_in(constant, outer)


def _instructions(code: CodeType) -> Iterator[tuple[str, Any]]:
    """Yield the names and arguments of the instructions, each by itself."""
    for step in dis.get_instructions(code):
        if step.opname in PAIRS:
            yield from zip(PAIRS[step.opname], step.argval, strict=True)
        else:
            yield step.opname, step.argval


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute that is there, without running any code of the object's."""
    if _is(value, ModuleType):
        return vars(value).get(name, MISSING)
    found = inspect.getattr_static(value, name, MISSING)
    if type(found) is MemberDescriptorType:
        try:
            return found.__get__(value)
        except (AttributeError, TypeError):
            return MISSING  # empty, or the value is the class itself
    return found if not hasattr(type(found), "__get__") else MISSING


def _is(value: Any, kind: type) -> bool:
    """Say whether a value is of a class; `isinstance` would ask a proxy for what is behind it."""
    return issubclass(type(value), kind)
