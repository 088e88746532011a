"""`millstream check`: say what is wrong with graphs, without running them."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from millstream._base.naming import FORMS
from millstream._base.texts import counted, visible
from millstream.cli.failures import DONE, FAILED, UsageError, text_of
from millstream.cli.output import Output, to_json
from millstream.cli.target import load_graph, targets_in

if TYPE_CHECKING:
    from millstream.checking import Finding, Place

_LIBRARY: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_BUILDERS: Final = os.path.join(_LIBRARY, "graph") + os.sep


def check(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...", help=f"The graphs: {FORMS}; without a name all of a module."
        ),
    ],
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 for warnings, too.")
    ] = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="CODE", help="Leave out findings of a code; repeatable."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object with all findings.")
    ] = False,
) -> int:
    """Print what is wrong with each graph TARGET, without running it.

    The exit code is 1 if there are errors, and 0 if there are none.
    """
    from millstream.checking import CODES

    unknown = [code for code in ignore or () if code not in CODES]
    if unknown:
        raise UsageError(f"no code {unknown[0]!r}; there are {', '.join(sorted(CODES))}")
    found = {}
    for target in targets:
        found.update(_found(target, ignore or []))
    out = Output(sys.stdout)
    if json:
        out.write(f"{to_json(_as_json(found), getattr(sys.stdout, 'encoding', None))}\n")
    else:
        for target, findings in found.items():
            out.write(visible(_shown(target, findings)))
    all_findings = [each for findings in found.values() for each in findings]
    is_wrong = strict or any(each.severity == "error" for each in all_findings)
    return FAILED if all_findings and is_wrong else DONE


def _found(target: str, ignored: list[str]) -> dict[str, list[Finding]]:
    """Return the findings of each graph that a target names."""
    from millstream import checking
    from millstream.warnings import GraphWarning

    found = {}

    with warnings.catch_warnings():
        # They are among what is found.
        warnings.simplefilter("ignore", GraphWarning)
        try:
            for named in targets_in(target):
                target = named
                found[target] = checking.check(load_graph(target))
        except UsageError as error:
            finding = _why_not_compiled(error)
            if finding is None:
                raise
            found[target] = [finding]
    return {
        name: [_with_place(each, name) for each in findings if each.code not in ignored]
        for name, findings in found.items()
    }


def _why_not_compiled(error: UsageError) -> Finding | None:
    """Return the finding for a builder that refuses what it is told, None for other failures."""
    from millstream.checking import Finding, Place

    cause = error.__cause__
    if cause is None:
        return None
    frames = traceback.extract_tb(cause.__traceback__)
    if not frames or not frames[-1].filename.startswith(_LIBRARY):
        return None
    if not any(frame.filename.startswith(_BUILDERS) for frame in frames):
        return None
    own = [frame for frame in frames if not frame.filename.startswith(_machinery())]
    place = Place(own[-1].filename, own[-1].lineno or 1) if own else None
    text = " ".join(text_of(cause).split())
    return Finding("does-not-compile", text.rstrip("."), "correct it", place)


def _machinery() -> tuple[str, ...]:
    import importlib

    return (_LIBRARY, os.path.dirname(importlib.__file__) + os.sep, "<frozen ")


def _with_place(finding: Finding, target: str) -> Finding:
    """Return a finding with a place: what is about the graph as a whole is where it is named."""
    return finding if finding.place else replace(finding, place=_place_of_target(target))


def _place_of_target(target: str) -> Place | None:
    """Return the line where the name of a target gets its value, None if it has no file."""
    import ast

    from millstream.checking import Place

    source, _, name = target.rpartition(":")
    module: Any = sys.modules.get(source)
    file = source if source.endswith(".py") else getattr(module, "__file__", None)
    if not file:
        return None
    try:
        with open(file, encoding="utf-8") as text:
            tree = ast.parse(text.read())
    except (OSError, SyntaxError, ValueError):
        return None
    lines = [statement.lineno for statement in tree.body if name in _names_in(statement)]
    return Place(os.path.abspath(file), lines[-1] if lines else 1)


def _names_in(statement: Any) -> list[Any]:
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", statement)]
    return [getattr(each, "id", getattr(each, "name", None)) for each in targets]


def _shown(target: str, findings: list[Finding]) -> str:
    lines = []
    for each in findings:
        where = f"{_short(each.place)}: " if each.place else ""
        inside = f"in {'|'.join(each.graph)}: " if each.graph else ""
        lines += [
            f"{where}{each.severity}: {inside}{each.message} [{each.code}]",
            f"    {each.advice}",
        ]
    errors = sum(each.severity == "error" for each in findings)
    told = f"{counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')}"
    return "\n".join([*lines, f"{target}: {told if findings else 'nothing found'}"]) + "\n"


def _short(place: Place) -> str:
    """Return a place, its file as seen from here if it is below."""
    try:
        path = os.path.relpath(place.file)
    except (OSError, ValueError):
        return str(place)
    return str(place) if path.startswith(os.pardir) else f"{path}:{place.line}"


def _as_json(found: dict[str, list[Finding]]) -> dict[str, Any]:
    every = [(target, each) for target, findings in found.items() for each in findings]
    errors = sum(each.severity == "error" for _, each in every)
    return {
        "findings": [
            {
                "target": target,
                "code": each.code,
                "severity": each.severity,
                "file": each.place.file if each.place else None,
                "line": each.place.line if each.place else None,
                "graph": list(each.graph),
                "message": each.message,
                "advice": each.advice,
            }
            for target, each in every
        ],
        "checked": list(found),
        "errors": errors,
        "warnings": len(every) - errors,
    }
