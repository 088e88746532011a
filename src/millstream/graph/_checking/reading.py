"""What the code of a function shows: results, routes, what it reads, calls and asks."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import Any, Final

from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase

from millstream._base.distributions import is_installed
from millstream._base.runnable import GENERATES, functions_called
from millstream.constants import MISSING
from millstream.graph._checking.findings import Place
from millstream.graph._checking.names import Names, own_nodes
from millstream.graph._checking.results import (
    COMMAND,
    SEND,
    Result,
    Results,
    Route,
    ends_by_itself,
    returns_none,
)
from millstream.graph._checking.sources import FunctionTree, Sources, place_of

DEPTH: Final = 3
"""How many functions deep calls are followed."""
_RUNNING: Final = ("invoke", "ainvoke", "stream", "astream", "batch", "abatch")
_LIBRARY: Final = frozenset((*sys.stdlib_module_names, "millstream", "langgraph", "langchain_core"))
"""Packages whose functions are not looked into."""


@dataclass(frozen=True, slots=True)
class Read:
    """A key of the state that a function looks at."""

    key: str
    line: int
    must_be_there: bool
    """Without the key it fails."""
    is_attribute: bool = False
    """It is read as `state.key`, not as `state["key"]`."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call in a function, or in one that it calls."""

    name: str
    """The full name, such as `time.sleep`; of a method of something unknown `.invoke`."""
    place: Place
    through: tuple[str, ...] = ()
    """The functions that lead to it."""


@dataclass(slots=True)
class Reading:
    """What is known of the function of a node or a path."""

    func: Any = None
    is_seen: bool = False
    """Its source could be read, and it is what is called."""
    is_async: bool = False
    results: list[Result] = field(default_factory=list)
    returns_none: bool = False
    """It returns nothing, or what a method returns that only changes something."""
    always_returns: bool = False
    """It never ends without a result."""
    answers: list[Route] = field(default_factory=list)
    are_answers_all: bool = False
    reads: list[Read] = field(default_factory=list)
    are_reads_all: bool = False
    """The state goes nowhere else, so that nothing else of it can be read."""
    calls: list[Called] = field(default_factory=list)
    interrupts: list[Called] = field(default_factory=list)
    swallowed: list[int] = field(default_factory=list)
    """Lines where an interrupt is caught by what catches everything."""
    may_stop: bool = False
    """It has a `raise`, or asks something."""
    mentions_commands: bool = True
    may_call_graphs: bool = False
    """It runs something that may be a graph, whose commands may lead elsewhere."""

    @property
    def place(self) -> Place | None:
        """Where it begins."""
        return place_of(self.func)

    def at(self, line: int) -> Place | None:
        """Return a line of its file."""
        return None if self.func is None else Place(self.func.__code__.co_filename, line)

    @property
    def is_closure(self) -> bool:
        """Whether what has made it may see to it that parts of it never run."""
        return self.func is not None and bool(self.func.__code__.co_freevars)


class Reader:
    """Reads the functions of a graph, each once."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._read: dict[tuple[int, int], Reading] = {}
        self._kept: list[Any] = []

    def reading(self, function: Any) -> Reading:
        """Return what a callable shows; of one that is no Python function next to nothing."""
        func, bound, is_wrapped = _function_of(function)
        if func is None:
            return Reading()
        known = self._read.get((id(func), id(bound)))
        if known is None:
            # Kept, so that no identity is used twice.
            self._kept += (func, bound)
            known = self._read[id(func), id(bound)] = self._made(func, bound, is_wrapped)
        return known

    def _made(self, func: FunctionType, bound: Any, is_wrapped: bool) -> Reading:
        code = func.__code__
        reading = Reading(func, is_async=bool(code.co_flags & inspect.CO_COROUTINE))
        tree = self._sources.function(func)
        reading.mentions_commands = bool({COMMAND, SEND} & _all_names(code))
        if tree is None:
            return reading
        names = Names(func, tree, bound)
        self._follow(reading, func, tree, names, ())
        reading.swallowed = list(_swallowed(tree, names))
        reading.may_stop = bool(reading.interrupts) or any(
            isinstance(node, (ast.Raise, ast.Assert)) for node in own_nodes(tree)
        )
        if is_wrapped or code.co_flags & GENERATES:
            return reading
        reading.is_seen = True
        results = Results(tree, names)
        reading.results = results.all()
        reading.returns_none = returns_none(tree)
        reading.always_returns = isinstance(tree, ast.Lambda) or ends_by_itself(tree.body)
        reading.answers, reading.are_answers_all = results.answers()
        position = 0 if bound is MISSING else 1
        arguments = [*tree.args.posonlyargs, *tree.args.args]
        if len(arguments) > position:
            state = _StateUse(arguments[position].arg)
            state.look(tree)
            reading.reads = state.reads()
            reading.are_reads_all = not state.is_passed_on
        return reading

    def _follow(
        self,
        reading: Reading,
        func: FunctionType,
        tree: FunctionTree,
        names: Names,
        through: tuple[str, ...],
    ) -> None:
        """Note what is called, also by plain functions of the program that are called there."""
        awaited = {id(node.value) for node in own_nodes(tree) if isinstance(node, ast.Await)}
        for node in own_nodes(tree):
            if not isinstance(node, ast.Call):
                continue
            place = Place(func.__code__.co_filename, node.lineno)
            if isinstance(node.func, ast.Attribute) and node.func.attr in _RUNNING:
                receiver = names.value_of(node.func.value)
                reading.may_call_graphs = reading.may_call_graphs or _may_be_graph(receiver)
            name = names.dotted(node.func)
            if name is None and isinstance(node.func, ast.Attribute):
                name = f".{node.func.attr}"
            if name is None:
                continue
            if id(node) not in awaited:
                reading.calls.append(Called(name, place, through))
            if name.endswith(".interrupt"):
                reading.interrupts.append(Called(name, place, through))
                continue
            inner = names.value_of(node.func)
            if not isinstance(inner, FunctionType) or not _is_program(inner):
                continue
            is_async = inner.__code__.co_flags & inspect.CO_COROUTINE
            if len(through) >= DEPTH or inner is func or bool(is_async) != (id(node) in awaited):
                continue
            inside = self._sources.function(inner)
            if inside is not None:
                path = (*through, inner.__name__)
                self._follow(reading, inner, inside, Names(inner, inside), path)


class _StateUse:
    """What a function does with its state."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: list[Read] = []
        self._set: set[str] = set()
        self._is_careful = False
        self.is_passed_on = False

    def reads(self) -> list[Read]:
        """Return what it reads; nothing must be there if it looks first, or expects to miss it."""
        self._found = [read for read in self._found if read.key not in self._set]
        if not self._is_careful:
            return self._found
        return [Read(read.key, read.line, False, read.is_attribute) for read in self._found]

    def look(self, tree: FunctionTree) -> None:
        """Look through a function, and those that it defines."""
        accounted: set[int] = set()
        body = tree.body if isinstance(tree.body, list) else [tree.body]
        nodes = [node for part in body for node in ast.walk(part)]
        for node in nodes:
            accounted |= self._note(node)
        self.is_passed_on = any(
            (isinstance(node, ast.Name) and node.id == self._name and id(node) not in accounted)
            # Another thing of that name, somewhere inside.
            or (isinstance(node, ast.arg) and node.arg == self._name)
            for node in nodes
        )

    def _note(self, node: ast.AST) -> set[int]:
        """Note what a part of the code reads; return the names that are accounted for by that."""
        if isinstance(node, ast.Subscript) and self._is_state(node.value):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                if isinstance(node.ctx, ast.Load):
                    self._found.append(Read(node.slice.value, node.lineno, True))
                else:
                    self._set.add(node.slice.value)
                return {id(node.value)}
        elif isinstance(node, ast.Attribute) and self._is_state(node.value):
            if node.attr != "get":
                self._found.append(Read(node.attr, node.lineno, True, is_attribute=True))
                # A method of a dict, such as `items`, may read anything.
                return set() if hasattr(dict, node.attr) else {id(node.value)}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            key = node.args[0] if node.args else None
            is_get = node.func.attr == "get" and self._is_state(node.func.value)
            if is_get and isinstance(key, ast.Constant) and isinstance(key.value, str):
                self._found.append(Read(key.value, node.lineno, False))
                return {id(node.func.value)}
        elif isinstance(node, ast.ExceptHandler) or (
            isinstance(node, ast.Compare) and any(map(self._is_state, node.comparators))
        ):
            self._is_careful = True
        return set()

    def _is_state(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self._name


def functions_of(runnable: Any) -> Sequence[Any]:
    """Return the functions that a node's or a path's runnable calls, the sync one first."""
    return [function for function in functions_called(runnable) if callable(function)]


def _function_of(function: Any) -> tuple[FunctionType | None, Any, bool]:
    """Return the Python function behind a callable, its `self`, and whether others are around."""
    bound: Any = MISSING
    is_wrapped = False
    while type(function) is not FunctionType:
        if isinstance(function, functools.partial):
            # What is given by position comes before the state.
            is_wrapped = is_wrapped or bool(function.args)
            function = function.func
        elif inspect.ismethod(function):
            bound, function = function.__self__, function.__func__
        else:
            call = inspect.getattr_static(type(function), "__call__", None)
            if not isinstance(call, FunctionType):
                return None, MISSING, True
            bound, function = function, call
    inner = inspect.unwrap(function)
    if isinstance(inner, FunctionType) and inner is not function:
        return inner, bound, True
    return function, bound, is_wrapped


def _may_be_graph(value: Any) -> bool:
    """Say whether something that is run may be a graph, or lead to one: what is no model may."""
    while value is not MISSING and isinstance(value, RunnableBindingBase):
        value = value.bound
    # Not imported for this: whoever has a model has done so.
    bases = [base.__module__ for base in type(value).__mro__]
    is_model = any(module.startswith("langchain_core.language_models") for module in bases)
    return value is MISSING or (isinstance(value, Runnable) and not is_model)


def _is_program(func: FunctionType) -> bool:
    """Say whether a function is the program's own, and not of a package that it uses."""
    return (
        not is_installed(func.__code__.co_filename)
        and (getattr(func, "__module__", None) or "").partition(".")[0] not in _LIBRARY
    )


def _all_names(code: Any) -> set[str]:
    names = {*code.co_names, *code.co_freevars}
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            names |= _all_names(constant)
    return names


def _swallowed(tree: FunctionTree, names: Names) -> Iterator[int]:
    """Yield the lines where questions are asked inside what catches every exception."""
    for node in own_nodes(tree):
        if not isinstance(node, ast.Try) or not any(map(_catches_all, node.handlers)):
            continue
        for statement in node.body:
            for inner in ast.walk(statement):
                if isinstance(inner, ast.Call):
                    name = names.dotted(inner.func) or ""
                    if name.endswith(".interrupt"):
                        yield inner.lineno


def _catches_all(handler: ast.ExceptHandler) -> bool:
    kind = handler.type
    is_all = kind is None or (isinstance(kind, ast.Name) and kind.id == "BaseException")
    raises = any(isinstance(node, ast.Raise) for part in handler.body for node in ast.walk(part))
    return is_all and not raises


def conditions(answers: Sequence[Route], ends: Mapping[Any, str] | None) -> Iterator[Route]:
    """Yield the nodes that answers of a path lead to, by its map if it has one."""
    for answer in answers:
        if ends is None or answer.is_send:
            yield answer
        elif answer.target in ends:
            yield replace(answer, target=ends[answer.target])
