"""What the names in a function stand for, without running any code."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from millstream.constants import MISSING
from millstream.graph._checking.sources import FunctionTree


def own_nodes(tree: FunctionTree) -> Iterator[ast.AST]:
    """Yield what a function does itself: not what functions do that it defines."""
    pending: list[ast.AST] = [*tree.body] if isinstance(tree.body, list) else [tree.body]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            pending.extend(reversed(list(ast.iter_child_nodes(node))))


class Names:
    """The names that a function sees from outside: of its closure, its module, and built in."""

    def __init__(self, func: FunctionType, tree: FunctionTree, bound: Any = MISSING) -> None:
        code = func.__code__
        self._globals = func.__globals__
        self._closure = dict(zip(code.co_freevars, func.__closure__ or (), strict=False))
        self._own = {*code.co_varnames, *code.co_cellvars}
        self._bound = {code.co_varnames[0]: bound} if bound is not MISSING else {}
        self._imported: dict[str, str] = {}
        for node in own_nodes(tree):
            self._note_import(node)

    def _note_import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                self._imported[name] = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                self._imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def value_of(self, expression: ast.AST) -> Any:
        """Return what a name, or an attribute of one, stands for; `MISSING` if that is unknown."""
        if isinstance(expression, ast.Attribute):
            value = self.value_of(expression.value)
            return MISSING if value is MISSING else _attribute(value, expression.attr)
        if not isinstance(expression, ast.Name):
            return MISSING
        name = expression.id
        if name in self._bound:
            return self._bound[name]
        if name in self._imported:
            return _loaded(self._imported[name])
        if name in self._closure:
            try:
                return self._closure[name].cell_contents
            except ValueError:
                return MISSING
        if name in self._own:
            return MISSING
        return self._globals.get(name, getattr(builtins, name, MISSING))

    def constant(self, expression: ast.AST) -> Any:
        """Return a text, number or None that is written there or has a name; else `MISSING`."""
        if isinstance(expression, ast.Constant):
            return expression.value
        value = self.value_of(expression)
        return value if isinstance(value, (str, int)) else MISSING

    def is_fixed(self, expression: ast.AST) -> bool:
        """Say whether a constant is one for certain: a variable may get another value."""
        name = expression.id if isinstance(expression, ast.Name) else ""
        is_variable = name in self._closure or name in self._globals
        return not is_variable or name.isupper()

    def is_made(self, expression: ast.AST, name: str) -> bool:
        """Say whether this is a call of a class that has this name at home, too."""
        if not isinstance(expression, ast.Call):
            return False
        value = self.value_of(expression.func)
        return isinstance(value, type) and value.__name__ == name

    def dotted(self, expression: ast.AST) -> str | None:
        """Return the full name of what is called: `time.sleep`, also if it is `from time`."""
        if isinstance(expression, ast.Name):
            if expression.id in self._imported:
                return self._imported[expression.id]
            value = self.value_of(expression)
            return None if value is MISSING else _full_name(value)
        if not isinstance(expression, ast.Attribute):
            return None
        value = self.value_of(expression.value)
        if isinstance(value, ModuleType):
            return f"{value.__name__}.{expression.attr}"
        start = self.dotted(expression.value)
        return None if start is None else f"{start}.{expression.attr}"


def _full_name(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    # Of anything else not even whether it has a name is asked: it may do something then.
    if not isinstance(value, type) and not inspect.isroutine(value):
        value = type(value)
    return f"{value.__module__ or 'builtins'}.{value.__qualname__}"


def _loaded(name: str) -> Any:
    """Return a module, or what one has, if it is imported already."""
    module = sys.modules.get(name)
    if module is not None:
        return module
    before, _, last = name.rpartition(".")
    parent = sys.modules.get(before)
    return MISSING if parent is None else vars(parent).get(last, MISSING)


def _attribute(value: Any, name: str) -> Any:
    if isinstance(value, ModuleType):
        return vars(value).get(name, MISSING)
    found = inspect.getattr_static(value, name, MISSING)
    # Of a descriptor only a function is known without asking it.
    if isinstance(found, FunctionType):
        return found
    if isinstance(found, (staticmethod, classmethod)):
        return found.__func__
    return MISSING if hasattr(type(found), "__get__") else found
