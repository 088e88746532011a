"""What `src` imports is what the project's metadata asks for, no more and no less."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parent.parent
SRC: Final = ROOT / "src"
TESTS: Final = ROOT / "tests"

# Which distribution an import is from: the longest name that fits counts.
DISTRIBUTIONS: Final = {
    "a2a": "a2a-sdk",
    "ag_ui": "ag-ui-protocol",
    "alembic": "alembic",
    "cronsim": "cronsim",
    "google.protobuf": "protobuf",
    "httpx": "httpx",
    "hypothesis": "hypothesis",
    "langchain": "langchain",
    "langchain_core": "langchain-core",
    "langchain_openai": "langchain-openai",
    "langchain_protocol": "langchain-protocol",
    "langgraph": "langgraph",
    "langgraph.cache": "langgraph-checkpoint",
    "langgraph.checkpoint": "langgraph-checkpoint",
    "langgraph.checkpoint.conformance": "langgraph-checkpoint-conformance",
    "langgraph.checkpoint.postgres": "langgraph-checkpoint-postgres",
    "langgraph.checkpoint.sqlite": "langgraph-checkpoint-sqlite",
    "langgraph.store": "langgraph-checkpoint",
    "langgraph.store.postgres": "langgraph-checkpoint-postgres",
    "langgraph.store.sqlite": "langgraph-checkpoint-sqlite",
    "langgraph_sdk": "langgraph-sdk",
    "langsmith": "langsmith",
    "mcp": "mcp",
    "openai": "openai",
    "opentelemetry": "opentelemetry-api",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "orjson": "orjson",
    "ormsgpack": "ormsgpack",
    "packaging": "packaging",
    "pexpect": "pexpect",
    "prometheus_client": "prometheus-client",
    "psycopg": "psycopg",
    # An extra of it.
    "psycopg_pool": "psycopg",
    "pydantic": "pydantic",
    # pydantic needs one version of it, exactly.
    "pydantic_core": "pydantic",
    "pytest": "pytest",
    "ray": "ray",
    "redis": "redis",
    "requests": "requests",
    "resvg_py": "resvg-py",
    "rich": "rich",
    "schemathesis": "schemathesis",
    "sqlalchemy": "sqlalchemy",
    "starlette": "starlette",
    "typer": "typer",
    "typing_extensions": "typing-extensions",
    "uvicorn": "uvicorn",
    "uvloop": "uvloop",
    "watchfiles": "watchfiles",
    "websockets": "websockets",
    "xxhash": "xxhash",
    "yaml": "pyyaml",
}
# Asked for, and imported by others alone: by uvicorn to speak; or by name.
INDIRECT: Final = {"httptools", "tomli", "websockets"}
# What imports a plugin of ours, and is there where the plugin is imported.
HOSTS: Final = {"pytest"}
DEVELOPMENT: Final = {"test", "dev", "docs"}
# What tests import of their own: what lies beside them, and a module that a test writes.
OWN: Final = {"benchmarks", "making", "written", *(path.stem for path in TESTS.iterdir())}


def requirements(without: Set[str] = DEVELOPMENT) -> Iterator[Requirement]:
    """Yield what the project's metadata asks for, apart from what developing it needs."""
    for text in importlib.metadata.requires("millstream") or ():
        requirement = Requirement(text)
        if not any(f'"{extra}"' in str(requirement.marker) for extra in without):
            yield requirement


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of every module outside this project that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
            case _:
                continue
        for module in modules:
            if module.split(".")[0] not in {"millstream", *sys.stdlib_module_names}:
                yield module


def distribution_of(module: str) -> str | None:
    """Return the name of the distribution that has a module."""
    fitting = [name for name in DISTRIBUTIONS if f"{module}.".startswith(f"{name}.")]
    return DISTRIBUTIONS[max(fitting, key=len)] if fitting else None


def test_every_import_is_declared_and_everything_declared_is_imported() -> None:
    found = {
        (module, distribution_of(module)) for path in SRC.rglob("*.py") for module in imported(path)
    }

    assert sorted(module for module, distribution in found if distribution is None) == []
    assert sorted({str(distribution) for _, distribution in found} - HOSTS) == sorted(
        {requirement.name for requirement in requirements()} - INDIRECT
    )


def test_what_tests_import_is_what_their_extra_asks_for() -> None:
    """Environments for other Pythons have that alone, and tests there need no more."""
    asked = {requirement.name for requirement in requirements(without={"dev", "docs"})}
    # These have environments of their own.
    paths = (path for path in TESTS.rglob("*.py") if TESTS / "ecosystem" not in path.parents)
    found = {
        (module, str(path.relative_to(ROOT)))
        for path in paths
        for module in imported(path)
        if module.split(".")[0] not in OWN and distribution_of(module) not in asked
    }

    assert found == set()


@pytest.mark.parametrize("requirement", [*requirements()], ids=str)
def test_every_requirement_has_a_lower_bound_that_can_be_tested(requirement: Requirement) -> None:
    lowest = [s.version for s in requirement.specifier if s.operator == ">="]

    assert len(lowest) == 1
    assert requirement.specifier.contains(lowest[0])


def test_importing_graphs_imports_nothing_that_only_some_need() -> None:
    """Savers and what they import, and what executors are told, wait for a graph that has one."""
    program = (
        "import sys, millstream.graph, millstream.func;"
        "print([m for m in sys.modules if m.startswith(('millstream.journal', 'sqlite3',"
        " 'ormsgpack', 'langgraph.checkpoint.base', 'langgraph.store', 'millstream.executors',"
        " 'millstream.drivers.executor', 'millstream.drivers.elsewhere'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
