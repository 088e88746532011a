"""`millstream exec`: run a program that was written for LangGraph.

The program must not be able to tell the difference to `python`: its `__main__`, `sys.argv`,
`sys.path`, exit code and tracebacks are what they would be. So this is imported without the other
commands, which are built with packages that a program may not want in its process.
"""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any

from millstream import install_as_langgraph
from millstream.cli.failures import DONE, UsageError, working_directory
from millstream.compat.hook import VARIABLE


def execute(arguments: Sequence[str]) -> int:
    """Run `SCRIPT [ARGS...]` or `-m MODULE [ARGS...]` with millstream as `langgraph`.

    Raises what the program raises, after it was printed; `UsageError` when there is no program.
    """
    first, *rest = arguments
    module = None
    if first == "-m" or (first.startswith("-m") and not first.startswith("--")):
        module = first[2:] or (rest.pop(0) if rest else "")
        if not module:
            raise UsageError("exec -m: the name of a module is missing")
    elif first == "--" and rest:
        first, *rest = rest
    elif first.startswith("-"):
        raise UsageError(
            f"exec: no such option: {first} (give a file, a directory, a zip file or -m MODULE; "
            "options of the program go behind it)"
        )
    try:
        install_as_langgraph()
    except RuntimeError as error:
        raise UsageError(f"exec: {error}") from error
    # For worker processes, where there is a hook to see it.
    os.environ[VARIABLE] = "1"
    try:
        if module is not None:
            _run_module(module, rest)
        else:
            _run_script(first, rest)
    except (SystemExit, UsageError):
        raise
    except BaseException as error:
        _report(error)
        # Python now ends with the exit code, or the signal, that the error stands for.
        raise
    return DONE


def _run_script(path: str, arguments: Sequence[str]) -> None:
    sys.argv = [path, *arguments]
    if not os.path.isabs(path):
        path = os.path.normpath(os.path.join(working_directory(), path))
    finder = pkgutil.get_importer(path)
    if finder is not None:  # a directory, or a zip file
        _set_first_path(path)
        spec = finder.find_spec("__main__") if hasattr(finder, "find_spec") else None
        if spec is None:
            raise UsageError(f"exec: can't find '__main__' module in {path!r}")
        _run(_code_of(spec, "__main__"), spec, package="")
        return
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    try:
        with io.open_code(path) as file:
            code = pkgutil.read_code(file)
        if code is None:
            with io.open_code(path) as file:
                source = file.read()
    except OSError as error:
        raise UsageError(f"exec: cannot open {sys.argv[0]}: {error.strerror}") from error
    if code is None:
        code = compile(source, path, "exec", dont_inherit=True)
    main = _main_module(path, SourceFileLoader("__main__", path))
    exec(code, main.__dict__)


def _run_module(name: str, arguments: Sequence[str]) -> None:
    sys.argv = ["-m", *arguments]
    _set_first_path(working_directory())
    spec = _find_module(name)
    if spec.submodule_search_locations is not None:
        name = f"{name}.__main__"
        spec = _find_module(name)
    code = _code_of(spec, name)
    sys.argv[0] = spec.origin or name
    _run(code, spec, package=spec.parent)


def _find_module(name: str) -> ModuleSpec:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        spec = None
    if spec is None:
        package, _, leaf = name.rpartition(".")
        why = f"; {package!r} is a package that cannot be run" if leaf == "__main__" else ""
        raise UsageError(f"exec: no module named {name}{why}")
    return spec


def _code_of(spec: ModuleSpec, name: str) -> CodeType:
    get_code = getattr(spec.loader, "get_code", None)
    code: CodeType | None = None if get_code is None else get_code(name)
    if code is None:
        raise UsageError(f"exec: there is no code for {name}")
    return code


def _run(code: CodeType, spec: ModuleSpec, *, package: str | None) -> None:
    main = _main_module(spec.origin or "", spec.loader)
    main.__cached__ = spec.cached  # type: ignore[attr-defined]  # modules may have any
    main.__package__ = package
    main.__spec__ = spec
    exec(code, main.__dict__)


def _main_module(path: str, loader: Any) -> ModuleType:
    """Make a fresh `__main__`, as a program finds it."""
    main = ModuleType("__main__")
    main.__file__ = path
    main.__loader__ = loader
    main.__dict__.update(__annotations__={}, __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = main
    return main


def _set_first_path(path: str) -> None:
    """Have imports look next to the program instead of next to the `millstream` command."""
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path[0] = path


def _report(error: BaseException) -> None:
    """Show the error of the program as Python would, and keep Python from showing it again."""
    error.with_traceback(_without_us(error.__traceback__))
    sys.excepthook(type(error), error, error.__traceback__)
    sys.excepthook = _show_nothing


def _without_us(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def _show_nothing(*_: Any) -> None:
    pass
