"""The syntax trees of functions and classes, from the files that they are written in."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import CodeType, FunctionType
from typing import Any, Final, TypeAlias

from millstream._base.bounded import BoundedDict
from millstream._base.distributions import is_installed
from millstream.constants import MISSING
from millstream.graph._checking.findings import OF_GRAPHS, Finding, Place

FunctionTree: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_COMMENT: Final = re.compile(r"#.*\bmillstream: ignore(\[(?P<codes>[^\]]*)\])?")


class _Trees(BoundedDict[tuple[str, CodeType], "FunctionTree | None"]):
    size = 128


_FOUND: Final = _Trees()
"""File and code of functions -> their trees: a program may compile graphs of the same functions
again and again, and to read a file of 600 lines takes as long as to compile 150 small graphs. What
was read first is nearer to the code than what its file is by now."""


class Sources:
    """The files that a graph's code is in, each read once."""

    def __init__(self) -> None:
        self._trees: dict[str, ast.Module | None] = {}
        self._functions: dict[str, dict[int, list[FunctionTree]]] = {}

    def function(self, func: FunctionType) -> FunctionTree | None:
        """Return the tree of a function, None if its source cannot be had or is another by now."""
        code = func.__code__
        # The file too: code of two files is equal where it does the same in the same place.
        key = (code.co_filename, code)
        tree = _FOUND.get(key, MISSING)
        if tree is MISSING:
            found = self._functions_in(code.co_filename).get(code.co_firstlineno, [])
            fitting = [tree for tree in found if _fits(tree, code)]
            tree = _FOUND[key] = fitting[0] if len(fitting) == 1 else None
        return tree

    def key_place(self, schema: Any, key: str) -> Place | None:
        """Return where a state class, or the base that it has it from, declares a key."""
        for cls in getattr(schema, "__mro__", ()):
            tree = self._class(cls)
            if tree is None:
                continue
            for statement in tree.body:
                target = getattr(statement, "target", None)
                if isinstance(target, ast.Name) and target.id == key:
                    return Place(self.file_of(cls), statement.lineno)
        return self.class_place(schema)

    def class_place(self, cls: Any) -> Place | None:
        """Return where a class begins."""
        tree = self._class(cls)
        return None if tree is None else Place(self.file_of(cls), tree.lineno)

    @staticmethod
    def file_of(cls: Any) -> str:
        """Return the file that a class is written in, empty if it is in none."""
        try:
            return inspect.getsourcefile(cls) or ""
        except (TypeError, OSError):
            return ""

    def told(self, finding: Finding) -> Finding | None:
        """Return a finding as the program's author is told of it, None if that is of no use.

        Nobody mends the code of packages that are installed, and what a comment says is meant so.
        """
        if finding.place is None or not is_installed(finding.place.file):
            return None if self._is_ignored(finding) else finding
        return replace(finding, place=None) if finding.code in OF_GRAPHS else None

    @staticmethod
    def _is_ignored(finding: Finding) -> bool:
        if finding.place is None:
            return False
        found = _COMMENT.search(linecache.getline(finding.place.file, finding.place.line))
        if found is None:
            return False
        codes = found["codes"]
        return codes is None or finding.code in [code.strip() for code in codes.split(",")]

    def _class(self, cls: Any) -> ast.ClassDef | None:
        file, name = self.file_of(cls), getattr(cls, "__name__", "")
        tree = self._tree(file) if file else None
        if tree is None:
            return None
        # Of classes with one name, as in functions that make graphs, nobody knows which it is.
        found = [
            node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name
        ]
        return found[0] if len(found) == 1 else None

    def _functions_in(self, file: str) -> dict[int, list[FunctionTree]]:
        if file not in self._functions:
            found: dict[int, list[FunctionTree]] = {}
            tree = self._tree(file)
            for node in () if tree is None else ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                    found.setdefault(_first_line(node), []).append(node)
            self._functions[file] = found
        return self._functions[file]

    def _tree(self, file: str) -> ast.Module | None:
        if file not in self._trees:
            linecache.checkcache(file)
            try:
                self._trees[file] = ast.parse("".join(linecache.getlines(file)))
            except (SyntaxError, ValueError, RecursionError):
                self._trees[file] = None
        return self._trees[file]


def place_of(func: FunctionType | None) -> Place | None:
    """Return where a function begins."""
    if func is None:
        return None
    code = func.__code__
    return Place(code.co_filename, code.co_firstlineno)


def texts_in(code: CodeType) -> frozenset[str]:
    """Return the texts that code mentions, those of functions inside too."""
    return frozenset(_texts(code.co_consts))


def _texts(constants: Any) -> Iterator[str]:
    for constant in constants:
        if type(constant) is str:
            yield constant
        elif type(constant) in (tuple, frozenset):
            yield from _texts(constant)
        elif type(constant) is CodeType:
            yield from _texts(constant.co_consts)


def _first_line(tree: FunctionTree) -> int:
    decorators: Sequence[ast.expr] = getattr(tree, "decorator_list", ())
    return min([tree.lineno, *(each.lineno for each in decorators)])


def _fits(tree: FunctionTree, code: CodeType) -> bool:
    """Say whether code was made of this tree, as far as names and texts tell.

    A file may have been edited since it was imported, and lambdas share lines.
    """
    arguments = tree.args
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    if tuple(names) != code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        return False
    if getattr(tree, "name", "<lambda>") != code.co_name:
        return False
    known = texts_in(code)
    body = tree.body if isinstance(tree.body, list) else [tree.body]
    keys = [
        key.value
        for part in body
        for node in ast.walk(part)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]
    return known.issuperset(keys)
