"""What a node returns and what a path answers, as far as the code shows it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from millstream.constants import MISSING
from millstream.graph._checking.names import Names, own_nodes
from millstream.graph._checking.sources import FunctionTree

COMMAND: Final = "Command"
SEND: Final = "Send"
PARENT: Final = "__parent__"

CHANGING: Final = ("append", "extend", "insert", "add", "update", "sort", "reverse")
"""Names of methods that change what they are called of, and return None."""

_NO_UPDATES: Final = (
    ast.JoinedStr,
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.SetComp,
    ast.Compare,
)
"""Expressions that make something a node must not return, if there is no command in it."""


@dataclass(frozen=True, slots=True)
class Route:
    """A node that is named where a run is sent on."""

    target: Any
    line: int
    is_send: bool = False
    is_alone: bool = True
    """Nothing else is named beside it."""
    is_fixed: bool = True
    """It is written there, and not the value of a variable."""


@dataclass(slots=True)
class Result:
    """One thing that a node may return."""

    line: int
    keys: dict[str, int] = field(default_factory=dict)
    """Key of the update -> the line that says it."""
    is_whole: bool = True
    """It writes no other keys than these."""
    routes: list[Route] = field(default_factory=list)
    leads_elsewhere: bool = False
    """It may lead to other nodes than these, too."""
    parent_routes: list[Route] = field(default_factory=list)
    """Nodes of the graph around it that it leads to."""
    leaves: bool = False
    """It is a command for the graph around it."""
    wrong: str | None = None
    """What it is, where that is nothing that a node may return."""


def returned(tree: FunctionTree) -> Iterator[tuple[int, ast.expr | None]]:
    """Yield what a function returns, with the lines."""
    if isinstance(tree, ast.Lambda):
        yield tree.body.lineno, tree.body
        return
    for node in own_nodes(tree):
        if isinstance(node, ast.Return):
            yield node.lineno, node.value


def ends_by_itself(body: list[ast.stmt]) -> bool:
    """Say whether statements always return or raise, and never run on to what comes after."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, (ast.Return, ast.Raise)):
        return True
    if isinstance(last, ast.If):
        return ends_by_itself(last.body) and ends_by_itself(last.orelse)
    return isinstance(last, (ast.With, ast.AsyncWith)) and ends_by_itself(last.body)


def returns_none(tree: FunctionTree) -> bool:
    """Say whether a function returns nothing, or what a method returns that only changes things."""
    if not isinstance(tree, ast.Lambda) and not ends_by_itself(tree.body):
        # One that never comes to its end has nothing to return either.
        return not any(value is not None for _, value in returned(tree)) and not _raises(tree)
    return all(value is None or _is_none(value) or _changes(value) for _, value in returned(tree))


def _raises(tree: FunctionTree) -> bool:
    return any(isinstance(node, (ast.Raise, ast.Yield, ast.YieldFrom)) for node in own_nodes(tree))


def _changes(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr in CHANGING
    )


class Results:
    """Reads the results of one function."""

    def __init__(self, tree: FunctionTree, names: Names) -> None:
        self._tree = tree
        self._names = names

    def all(self) -> list[Result]:
        """Return what a node may return."""
        return [each for line, value in returned(self._tree) for each in self._results(line, value)]

    def answers(self) -> tuple[list[Route], bool]:
        """Return what a path may answer, and whether that is all."""
        answers: list[Route] = []
        is_all = True
        for _, value in returned(self._tree):
            found = [] if value is None else self._answers(value)
            is_all = is_all and found is not None
            answers += found or []
        return answers, is_all

    def _results(self, line: int, value: ast.expr | None) -> list[Result]:
        if value is None or _is_none(value):
            return [Result(line)]
        if isinstance(value, ast.IfExp):
            both = value.body, value.orelse
            return [each for part in both for each in self._results(part.lineno, part)]
        if isinstance(value, ast.Name):
            local = _local_dict(self._tree, value.id)
            return [self._unseen(value) if local is None else local]
        return [self._result(value)]

    def _result(self, value: ast.expr) -> Result:
        if isinstance(value, ast.Dict):
            return _update(value)
        if self._names.is_made(value, COMMAND):
            assert isinstance(value, ast.Call)
            return self._command(value)
        if isinstance(value, (ast.List, ast.Tuple)):
            parts = [self._result(part) for part in value.elts]
            if any(self._names.is_made(part, COMMAND) for part in value.elts):
                return _together(value.lineno, parts)
            if any(part.wrong is None for part in parts):
                # Something in it may be a command.
                return self._unseen(value)
        if isinstance(value, (ast.Constant, *_NO_UPDATES)):
            return Result(value.lineno, wrong=_kind(value))
        return self._unseen(value)

    def _unseen(self, value: ast.expr) -> Result:
        return Result(value.lineno, is_whole=False, leads_elsewhere=True)

    def _command(self, call: ast.Call) -> Result:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if call.args or None in given:
            return self._unseen(call)
        result = Result(call.lineno)
        update = given.get("update")
        if isinstance(update, ast.Dict):
            result = _update(update)
            result.line = call.lineno
        elif update is not None and not _is_none(update):
            result.is_whole = False
        goto = given.get("goto")
        routes = [] if goto is None else self._answers(goto)
        graph = given.get("graph")
        where = None if graph is None else self._names.constant(graph)
        if where == PARENT:
            return Result(
                call.lineno,
                parent_routes=routes or [],
                leaves=True,
                is_whole=routes is not None,
            )
        if where is MISSING:
            return self._unseen(call)
        result.routes, result.leads_elsewhere = routes or [], routes is None
        return result

    def _answers(self, value: ast.expr) -> list[Route] | None:
        """Return the targets that an expression names, None if it may name others."""
        if isinstance(value, ast.IfExp):
            both = self._answers(value.body), self._answers(value.orelse)
            return None if None in both else [*(both[0] or ()), *(both[1] or ())]
        if isinstance(value, (ast.List, ast.Tuple)):
            parts = [self._answers(part) for part in value.elts]
            if None in parts:
                return None
            return [_beside(route) for part in parts for route in part or ()]
        if self._names.is_made(value, SEND):
            assert isinstance(value, ast.Call)
            return self._send(value)
        if isinstance(value, ast.ListComp):
            inner = self._answers(value.elt)
            return None if inner is None else [_beside(route) for route in inner]
        constant = self._names.constant(value)
        if constant is MISSING:
            return None
        return [Route(constant, value.lineno, is_fixed=self._names.is_fixed(value))]

    def _send(self, call: ast.Call) -> list[Route] | None:
        named = [keyword.value for keyword in call.keywords if keyword.arg == "node"]
        nodes = [*call.args[:1], *named]
        target = self._names.constant(nodes[0]) if nodes else MISSING
        if target is MISSING:
            return None
        is_fixed = self._names.is_fixed(nodes[0])
        return [Route(target, call.lineno, is_send=True, is_alone=False, is_fixed=is_fixed)]


def _beside(route: Route) -> Route:
    return replace(route, is_alone=False)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _update(value: ast.Dict) -> Result:
    keys = {
        key.value: key.lineno
        for key in value.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
    return Result(value.lineno, keys, is_whole=len(keys) == len(value.keys))


def _together(line: int, parts: list[Result]) -> Result:
    return Result(
        line,
        keys={key: at for part in parts for key, at in part.keys.items()},
        is_whole=all(part.is_whole for part in parts),
        routes=[_beside(route) for part in parts for route in part.routes],
        leads_elsewhere=any(part.leads_elsewhere for part in parts),
        parent_routes=[route for part in parts for route in part.parent_routes],
        leaves=any(part.leaves for part in parts),
    )


def _local_dict(tree: FunctionTree, name: str) -> Result | None:
    """Return a variable that is a dict from the beginning, with what is put into it later.

    Whatever else is done with the dict may take keys out again.
    """
    values: list[ast.expr] = []
    later: dict[str, int] = {}
    is_whole, known = True, 0
    for node in own_nodes(tree):
        value, targets = _assigned(node)
        if value is not None and any(_is_name(target, name) for target in targets):
            values.append(value)
        elif isinstance(node, ast.Return):
            known += _is_name(node.value, name)
        elif isinstance(node, ast.Subscript) and _is_name(node.value, name):
            known += not isinstance(node.ctx, ast.Del)
            if isinstance(node.ctx, ast.Store):
                if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                    later[node.slice.value] = node.lineno
                else:
                    is_whole = False
    uses = [use.ctx for use in _uses(tree, name)]
    loads = sum(isinstance(context, ast.Load) for context in uses)
    if len(values) != 1 or not isinstance(values[0], ast.Dict) or len(uses) - loads != 1:
        return None
    if loads != known:
        return Result(values[0].lineno, is_whole=False)
    result = _update(values[0])
    optional = {key: line for key, line in later.items() if key not in result.keys}
    result.keys.update(optional)
    # What is put in later may also be left out.
    result.is_whole = result.is_whole and is_whole and not optional
    return result


def _uses(tree: FunctionTree, name: str) -> Iterator[ast.Name]:
    """Yield where a function mentions a name, and where functions inside do."""
    for part in tree.body if isinstance(tree.body, list) else [tree.body]:
        for node in ast.walk(part):
            if isinstance(node, ast.Name) and node.id == name:
                yield node


def _assigned(node: ast.AST) -> tuple[ast.expr | None, list[ast.expr]]:
    if isinstance(node, ast.Assign):
        return node.value, node.targets
    if isinstance(node, ast.AnnAssign):
        return node.value, [node.target]
    return None, []


def _is_name(expression: ast.expr | None, name: str) -> bool:
    return isinstance(expression, ast.Name) and expression.id == name


def _kind(value: ast.expr) -> str:
    """Return what an expression makes, for a message."""
    names: Mapping[type, str] = {
        ast.JoinedStr: "a text",
        ast.List: "a list",
        ast.Tuple: "a tuple",
        ast.Set: "a set",
        ast.SetComp: "a set",
        ast.Compare: "the outcome of a comparison",
    }
    return f"{value.value!r:.60}" if isinstance(value, ast.Constant) else names[type(value)]
