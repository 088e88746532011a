"""Print the measures by which the shape of the code is judged: `house.py [--json]`.

docs/architecture.md, "How the house is measured", says what each of them counts, and keeps them for
comparison.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final, TypeAlias

import grimp
import walks

SRC: Final = Path(__file__).parents[1] / "src" / walks.ROOT
DIRECTIVE: Final = re.compile(r"#\s*(noqa|type:|pragma)")
"""A comment for a tool."""
ASYNC_WORDS: Final = {"async", "await"}
NO_CODE: Final = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip

Definition: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"
DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Module:
    """One file of the source."""

    name: str
    package: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        """Return its lines."""
        return self.text.splitlines()


@dataclass(frozen=True)
class Function:
    """One function or method; those inside others are part of them."""

    owner: str
    """The name of its class, or nothing."""
    module: Module
    definition: Definition

    @property
    def name(self) -> str:
        """Return the name with that of the class."""
        return f"{self.owner}.{self.definition.name}".lstrip(".")

    @property
    def lines(self) -> list[str]:
        """Return its lines, without decorators."""
        definition = self.definition
        return self.module.lines[definition.lineno - 1 : definition.end_lineno]

    @property
    def statement_lines(self) -> int:
        """Return how many lines there are from its first statement, docstring aside, to its end."""
        body = self.definition.body
        first = body[ast.get_docstring(self.definition) is not None :]
        return (body[-1].end_lineno or 0) - first[0].lineno + 1 if first else 0


def read() -> list[Module]:
    """Read the source."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).parts
        text = path.read_text(encoding="utf-8")
        package = parts[0] if len(parts) > 1 else "(root)"
        found.append(Module("/".join(parts), package, text, ast.parse(text)))
    return found


def functions_of(module: Module) -> Iterator[Function]:
    """Yield the functions and methods of a module, those aside that are there for types alone."""
    for owner in (module.tree, *module.tree.body):
        if isinstance(owner, (ast.Module, ast.ClassDef)):
            name = owner.name if isinstance(owner, ast.ClassDef) else ""
            for node in owner.body:
                if isinstance(node, DEFINITIONS) and not _is_overload(node):
                    yield Function(name, module, node)


def _is_overload(definition: Definition) -> bool:
    return any(ast.unparse(decorator) == "overload" for decorator in definition.decorator_list)


def measure() -> dict[str, Any]:
    """Return everything: measures of the whole, of each package, and the walks."""
    modules = read()
    functions = [function for module in modules for function in functions_of(module)]
    largest = max(modules, key=lambda module: len(module.lines))
    longest = max(functions, key=lambda function: len(function.lines))
    fullest = max(functions, key=lambda function: function.statement_lines)
    packages = {
        name: _of_package([module for module in modules if module.package == name])
        for name in sorted({module.package for module in modules})
    }
    whole = {
        "lines": sum(len(module.lines) for module in modules),
        "modules": len(modules),
        "modules in the root": packages["(root)"]["modules"],
        "lines of the largest module": _named(len(largest.lines), largest.name),
        "lines of the longest function": _named(len(longest.lines), longest.name),
        "lines of the longest function, statements alone": _named(
            fullest.statement_lines, fullest.name
        ),
        "modules in the largest circle of imports": len(circles(imports(is_running=True))[0]),
        "the same, imports for types included": len(circles(imports(is_running=False))[0]),
        "async lines with a sync twin": sum(
            p["async lines with a twin"] for p in packages.values()
        ),
        "of them half the same or more": sum(p["half the same"] for p in packages.values()),
        "comments per 100 lines of code": comment_rate(modules),
    }
    return {"walks": walks.count(), "whole": whole, "packages": packages}


def _named(number: int, name: str) -> str:
    return f"{number} ({name})"


def _of_package(modules: Sequence[Module]) -> dict[str, Any]:
    twins = list(twins_among([f for module in modules for f in functions_of(module)]))
    return {
        "modules": len(modules),
        "lines": sum(len(module.lines) for module in modules),
        "comments per 100": comment_rate(modules),
        "async lines with a twin": sum(len(function.lines) for function, _ in twins),
        "half the same": sum(len(f.lines) for f, twin in twins if likeness(f, twin) >= 0.5),
    }


def imports(*, is_running: bool) -> grimp.ImportGraph:
    """Return which module imports which, those inside functions included.

    If `is_running`, what is imported for type checkers alone does not count.
    """
    return grimp.build_graph(walks.ROOT, exclude_type_checking_imports=is_running, cache_dir=None)


def circles(graph: grimp.ImportGraph) -> list[frozenset[str]]:
    """Return the sets of modules in which each imports each, if only indirectly, largest first."""
    found = {
        frozenset(graph.find_upstream_modules(module) & graph.find_downstream_modules(module))
        | {module}
        for module in graph.modules
    }
    return sorted(found, key=len, reverse=True)


def links(graph: grimp.ImportGraph, circle: frozenset[str]) -> Iterator[str]:
    """Yield the imports that make a circle of modules."""
    for module in sorted(circle):
        for imported in sorted(graph.find_modules_directly_imported_by(module) & circle):
            for detail in graph.get_import_details(importer=module, imported=imported):
                yield f"{module}:{detail['line_number']}: {detail['line_contents']}"


def twins_among(functions: Sequence[Function]) -> Iterator[tuple[Function, Function]]:
    """Yield every async function that has a sync twin in the package, and the twin.

    Twins have the same name but for `a` and `Async`, or `Sync`. Async are also all methods of a
    class that is called so.
    """
    sync = {
        _without("Sync", function.owner) + "." + function.definition.name: function
        for function in functions
        if isinstance(function.definition, ast.FunctionDef)
    }
    for function in functions:
        owner = _without("Async", function.owner)
        is_async = isinstance(function.definition, ast.AsyncFunctionDef)
        if is_async or owner != function.owner:
            name = function.definition.name
            for twin_name in (_without("a(?=[a-z])", name), name):
                twin = sync.get(f"{owner}.{twin_name}")
                if twin is not None and twin is not function:
                    yield function, twin
                    break


def _without(prefix: str, name: str) -> str:
    return re.sub(rf"^(_*){prefix}", r"\1", name)


def likeness(function: Function, twin: Function) -> float:
    """Return how much of two functions is the same, word by word; `async` and `await` aside."""
    return SequenceMatcher(None, _words(function), _words(twin), autojunk=False).ratio()


def _words(function: Function) -> list[str]:
    words: list[str] = re.findall(r"\w+|\S", "\n".join(function.lines))
    return [word for word in words if word not in ASYNC_WORDS]


def comment_rate(modules: Iterable[Module]) -> float:
    """Return how many lines have a comment, for 100 that have code; docstrings are neither."""
    comments = code = 0
    for module in modules:
        docstrings = set(_docstring_lines(module.tree))
        with_code: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
            if token.type == tokenize.COMMENT:
                comments += not DIRECTIVE.match(token.string)
            elif token.type not in NO_CODE:
                with_code.update(range(token.start[0], token.end[0] + 1))
        code += len(with_code - docstrings)
    return round(100 * comments / max(code, 1), 1)


def _docstring_lines(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of all strings that stand for themselves."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str()), lineno=first, end_lineno=int(last)):
                yield from range(first, last + 1)


def show(measures: dict[str, Any]) -> Iterator[str]:
    """Yield the measures as tables."""
    for title, rows in (("way", measures["walks"]), ("package", measures["packages"])):
        columns = list(next(iter(rows.values())))
        yield _row([title, *columns])
        yield _row(["---"] * (len(columns) + 1))
        yield from (_row([name, *row.values()]) for name, row in rows.items())
        yield ""
    yield from (_row([name, value]) for name, value in measures["whole"].items())


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    found = measure()
    is_json = "--json" in sys.argv[1:]
    sys.stdout.write((json.dumps(found, indent=1) if is_json else "\n".join(show(found))) + "\n")
