"""Run the suite with the lowest and with the newest versions that pyproject.toml allows.

`lowest` has the lower bound of everything that the project asks for itself, but for its server;
`lowest-server` those of the server too, which asks for more of some packages. Both have an
environment for the oldest CPython found, `newest` one for the newest. Whatever the project does not
ask for is what pip chooses, as it is for users; only the tools of the tests are those of
constraints.txt. langgraph is missing in the first two environments, because it needs newer
versions: what compares with it runs in the last. While nothing is newer than in constraints.txt,
the last is what `make test-all` has run already, and is not run again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import requires
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from scratch import scratch

TOOLS: Final = (
    "hypothesis",
    "pexpect",
    "pytest",
    "pytest-rerunfailures",
    "pytest-timeout",
    "pytest-xdist",
)
EXTRAS: Final = ("png", "postgres", "sqlite")
# Itself, and what brings packages.
NOT_PINNED: Final = ("millstream==", "pip==", "setuptools==")
# The plugin of the anyio that fits to an older LangSmith warns of the pytest we use.
WITHOUT_ANYIO: Final = ("-p", "no:anyio")

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
    # rich, typer, resvg-py
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
# What the server does with other packages.
SERVER: Final = (
    # starlette, uvicorn, and what that speaks with: httptools, uvloop, websockets
    "tests/server/test_application.py",
    "tests/server/test_connections.py",
    "tests/server/test_custom.py",
    "tests/server/test_guarded.py",
    "tests/server/test_serving.py",
    "tests/server/test_v3_websocket.py",
    # pydantic and orjson
    "tests/server/test_encoding.py",
    "tests/server/test_faults.py",
    "tests/server/test_threads.py",
    # SQLAlchemy and alembic
    "tests/server/test_containment.py",
    "tests/server/test_database.py",
    "tests/server/test_prepared.py",
    # langgraph-sdk
    "tests/server/test_remote_graph.py",
    "tests/server/test_sdk.py",
    "tests/server/test_sealing.py",
    "tests/server/test_v3_sdk.py",
    # a2a-sdk and protobuf, mcp, cronsim, prometheus-client, opentelemetry-api, httpx
    "tests/server/test_a2a.py",
    "tests/server/test_mcp.py",
    "tests/server/test_schedules.py",
    "tests/server/test_metrics.py",
    "tests/server/test_tracing.py",
    "tests/server/test_webhooks.py",
)
# What the server's packages need is higher than what the rest asks for.
HIGHER_WITH_THE_SERVER: Final = {
    "langchain-protocol": "0.0.15",  # langgraph-sdk
    "typing-extensions": "4.14.1",  # pydantic
}
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


class Lane(NamedTuple):
    """An environment, and the tests that run in it."""

    version: str
    """Of CPython."""
    what: Sequence[str]
    """What pip installs besides the tools of the tests."""
    bounds: Mapping[str, str]
    """Package -> the version it has to have."""
    tests: Sequence[str]
    options: Sequence[str] = ()


def main(given: list[str]) -> int:
    """Run what the arguments name; return the exit code."""
    names = [given.pop(0)] if given and given[0] in LANES else list(LANES)
    pythons = found_pythons()
    lanes = {name: LANES[name](list(pythons)) for name in names}
    for name, lane in lanes.items():
        sys.stdout.write(f"== making build/bounds-{name} with CPython {lane.version}\n")
    sys.stdout.flush()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(lambda name: make(name, lanes[name], pythons), names)
        pythons_of = dict(zip(names, made, strict=True))
    results = {}
    for name, lane in lanes.items():
        python = pythons_of[name]
        if python is None:
            results[name] = "FAILED (its environment could not be made)"
        elif not (given or lane.bounds or others(python, lane.version)):
            # `make test-all` has run all of these tests with them.
            sys.stdout.write(f"== the {name} versions are those of constraints.txt\n")
            results[name] = "passed"
        else:
            sys.stdout.write(f"== the {name} versions, CPython {lane.version}\n")
            sys.stdout.flush()
            results[name] = test(python, [*lane.options, *(given or lane.tests)])
    for name, result in results.items():
        sys.stdout.write(f"{name} versions: {result}\n")
    return int(any(result != "passed" for result in results.values()))


def lowest(versions: list[str]) -> Lane:
    """Test with the lower bound of everything the project asks for itself."""
    bounds = lower_bounds(versions[0], EXTRAS)
    without = [
        f"--{'deselect' if '::' in each else 'ignore'}={each}" for each in NOT_WITH_THE_LOWEST
    ]
    what = ["-e", f".[{','.join(EXTRAS)}]"]
    return Lane(versions[0], what, bounds, ALONE, [*WITHOUT_ANYIO, *without])


def lowest_server(versions: list[str]) -> Lane:
    """Test the server with the lower bounds of it, and with those others that fit to them."""
    extras = (*EXTRAS, "server")
    # Nobody but a test needs it, and it is of one version with its API.
    sdk = "opentelemetry-sdk"
    bounds = {
        **lower_bounds(versions[0], extras),
        **HIGHER_WITH_THE_SERVER,
        sdk: lower_bounds(versions[0], ["test"])[sdk],
    }
    return Lane(versions[0], [sdk, "-e", f".[{','.join(extras)}]"], bounds, SERVER, WITHOUT_ANYIO)


def newest(versions: list[str]) -> Lane:
    """Test with the newest release of everything that the registry has and the project allows."""
    # Not what compares most with LangGraph: it has the same version in constraints.txt.
    return Lane(versions[-1], ["-e", ".[test]"], {}, [*ALONE, *WITH_LANGGRAPH, *SERVER])


LANES: Final[Mapping[str, Callable[[list[str]], Lane]]] = {
    "lowest": lowest,
    "lowest-server": lowest_server,
    "newest": newest,
}


def lower_bounds(version: str, extras: Sequence[str]) -> dict[str, str]:
    """Return the lower bounds of what users of a CPython get with some extras."""
    bounds: dict[str, str] = {}
    for requirement in map(Requirement, requires("millstream") or ()):
        marker = requirement.marker
        if marker is None or any(
            marker.evaluate({"extra": extra, "python_version": version}) for extra in extras
        ):
            for specifier in requirement.specifier:
                if specifier.operator == ">=":
                    asked = (bounds.get(requirement.name, "0"), specifier.version)
                    bounds[requirement.name] = max(asked, key=Version)
    return bounds


def found_pythons() -> dict[str, str]:
    """Return the interpreters by their versions, the oldest first."""
    found = subprocess.run(["scripts/find-pythons"], capture_output=True, text=True, check=True)
    pythons = dict(line.split(" ", 1) for line in found.stdout.splitlines())
    return {version: pythons[version] for version in sorted(pythons, key=Version)}


def make(name: str, lane: Lane, pythons: Mapping[str, str]) -> str | None:
    """Make or renew an environment in build/; return its interpreter, None if it cannot be made."""
    folder = Path("build", f"bounds-{name}")
    python = str(folder / "bin" / "python")
    lines = Path("constraints.txt").read_text(encoding="utf-8").splitlines()
    tools = [line for line in lines if line.split("==")[0] in TOOLS]
    bounds = [f"{package}=={version}" for package, version in lane.bounds.items()]
    file = folder / "constraints.txt"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([pythons[lane.version], "-m", "venv", "--clear", str(folder)], check=True)
        file.write_text("\n".join([*tools, *bounds]), encoding="utf-8")
        subprocess.run([*pip, "-c", str(file), *TOOLS, *lane.what], check=True)
    except subprocess.CalledProcessError:
        return None
    return python


def others(python: str, version: str) -> set[str]:
    """Return what an environment has in another version than constraints.txt."""
    listed = [python, "-m", "pip", "--disable-pip-version-check", "list", "--format=json"]
    found = subprocess.run(listed, stdout=subprocess.PIPE, text=True, check=True)
    has = {
        f"{canonicalize_name(each['name'])}=={each['version']}" for each in json.loads(found.stdout)
    }
    return {one for one in has - pinned(version) if not one.startswith(NOT_PINNED)}


def pinned(version: str) -> set[str]:
    """Return what constraints.txt names for a CPython, as `name==version`."""
    lines = Path("constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {
        f"{canonicalize_name(each.name)}{each.specifier}"
        for each in requirements
        if each.marker is None or each.marker.evaluate({"python_version": version})
    }


def test(python: str, arguments: list[str]) -> str:
    """Print the versions and run pytest; return what to say about it."""
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "list"], check=True)
    workers = ("-n", str(os.cpu_count() or 1), "--dist=worksteal")
    # The cache of pytest is that of .venv.
    chosen = ("-p", "no:cacheprovider", "-m", "not long")
    command = [python, "-m", "pytest", "-q", "-rfERs", *workers, *chosen, *arguments]
    with scratch() as environment:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=False)
    return "passed" if done.returncode == 0 else "FAILED"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
