"""Run the suite with the lowest and with the newest versions that pyproject.toml allows.

The lowest ones have an environment for the oldest CPython found, the newest ones for the newest.
Whatever the project does not ask for itself is what pip chooses, as it is for users; only the
tools of the tests are those of constraints.txt. langgraph is missing in the first environment,
because it needs newer versions: what compares with it runs in the second.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

TOOLS: Final = ("hypothesis", "pytest", "pytest-rerunfailures", "pytest-timeout", "pytest-xdist")
EXTRAS: Final = ("ascii", "postgres", "sqlite")

# What depends on other packages, and needs nothing but what users install.
ALONE: Final = (
    # LangChain's callbacks, messages and tools
    "tests/drivers/test_callbacks.py",
    "tests/drivers/test_event_stream.py",
    "tests/drivers/test_given.py",
    "tests/drivers/test_parent_commands.py",
    "tests/modes",
    "tests/prebuilt",
    "tests/stream",
    # pydantic and typing-extensions
    "tests/drivers/test_answers.py",
    "tests/drivers/test_in_place.py",
    "tests/graph/test_state_classes.py",
    # ormsgpack, xxhash, and savers
    "tests/drivers/test_foreign_savers.py",
    "tests/savers",
    "tests/saving",
    "tests/test_storage.py",
    # rich, typer, grandalf
    "tests/cli/test_draw.py",
    "tests/cli/test_run.py",
    "tests/test_dependencies.py",
)
NOT_WITH_THE_LOWEST: Final = (
    "tests/modes/test_content_blocks.py",  # an older LangChain makes something else of content
    "tests/savers/test_containers.py",  # reads with LangGraph what we have stored
    "tests/saving/test_allowlist.py",  # compares with LangGraph's
    # there LangChain itself drops arguments with an alias
    "tests/prebuilt/test_injection.py::test_an_injected_field_may_have_an_alias",
)
# What compares with langgraph, or needs a newer LangSmith to switch tracing on.
WITH_LANGGRAPH: Final = (
    "tests/compat",
    "tests/drivers/test_tracing.py",
    "tests/graph/test_messages.py",
    "tests/graph/test_schema.py",
    "tests/test_errors.py",
    "tests/test_types.py",
    "tests/test_wire.py",
)


def main(given: list[str]) -> int:
    """Run what the arguments name; return the exit code."""
    names = [given.pop(0)] if given and given[0] in CHOICES else list(CHOICES)
    results = {name: CHOICES[name](given) for name in names}
    for name, code in results.items():
        sys.stdout.write(f"{name} versions: {'FAILED' if code else 'passed'}\n")
    return int(any(results.values()))


def lowest(given: list[str]) -> int:
    """Test with the lower bound of everything the project asks for itself."""
    bounds = [
        f"{requirement.name}=={specifier.version}"
        for requirement in map(Requirement, requires("millstream") or ())
        for specifier in requirement.specifier
        if specifier.operator == ">=" and is_for_users(requirement)
    ]
    python = environment("lowest", "oldest", [*pinned(*TOOLS), *bounds], f".[{','.join(EXTRAS)}]")
    without = [
        f"--{'deselect' if '::' in each else 'ignore'}={each}" for each in NOT_WITH_THE_LOWEST
    ]
    return test(python, ["-p", "no:anyio", *without, *(given or ALONE)])


def newest(given: list[str]) -> int:
    """Test with the newest release of everything that the registry has and the project allows."""
    python = environment("newest", "newest", pinned(*TOOLS), ".[test]")
    # Not what compares most with LangGraph: it has the same version in constraints.txt.
    return test(python, given or [*ALONE, *WITH_LANGGRAPH])


CHOICES: Final = {"lowest": lowest, "newest": newest}


def is_for_users(requirement: Requirement) -> bool:
    """Return whether users get it, maybe with an extra."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in EXTRAS)


def pinned(*names: str) -> list[str]:
    """Return what constraints.txt says of some packages."""
    lines = Path("constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.split("==")[0] in names]


def environment(name: str, which: str, constraints: list[str], what: str) -> str:
    """Make or renew an environment in build/; return its interpreter."""
    found = subprocess.run(["scripts/find-pythons"], capture_output=True, text=True, check=True)
    pythons = dict(line.split(" ", 1) for line in found.stdout.splitlines())
    order = sorted(pythons, key=lambda version: [int(part) for part in version.split(".")])
    version = order[0 if which == "oldest" else -1]
    folder = Path("build", f"bounds-{name}")
    python = str(folder / "bin" / "python")
    sys.stdout.write(f"== the {name} versions, CPython {version}\n")
    sys.stdout.flush()
    subprocess.run([pythons[version], "-m", "venv", "--clear", str(folder)], check=True)
    file = folder / "constraints.txt"
    file.write_text("\n".join(constraints), encoding="utf-8")
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(file)]
    subprocess.run([python, *install, *TOOLS, "-e", what], check=True)
    return python


def test(python: str, arguments: list[str]) -> int:
    """Print the versions and run pytest; return its exit code."""
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "list"], check=True)
    workers = ("-n", str(os.cpu_count() or 1), "--dist=worksteal")
    # The cache of pytest is that of .venv.
    chosen = ("-p", "no:cacheprovider", "-m", "not long")
    command = [python, "-m", "pytest", "-q", "-rfERs", *workers, *chosen, *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
