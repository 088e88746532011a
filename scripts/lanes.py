"""Run the tests: `lanes.py test` what proves the product, `lanes.py all` what takes longer.

`all` runs the tests that are marked `long` on .venv, those of the server that depend on its
database once more on PostgreSQL, looks there which branches the others run (`covering` says of
which folders, and how many are enough), and then runs the others on every other CPython found, but
for those in LONGEST, which compare with langgraph or kill processes: they prove the same on each. A
worker for each core shares the tests, and one more, because many of them wait for processes.
Arguments are passed on to pytest; with some, nobody looks at branches.
"""

from __future__ import annotations

import os
import subprocess
import sys

import covering
from scratch import scratch

# The summary names what failed, what was repeated and what was skipped.
REPORTING = ("-q", "-rfERs")
LONGEST = ("differential", "durability", "interchange")
# What the server stores, finds and goes on with. What runs on both databases anyway is not here,
# nor what is about clients, other programs, configuration and the log.
ON_POSTGRES = (
    "auth", "changes", "collecting", "crons", "deletion", "every_moment", "faults", "guarded",
    "left_behind", "limits", "log_lines", "metrics", "persistence", "priorities", "recordings",
    "recovery", "retention", "runs", "schedules", "sealing", "stopping", "store", "threads",
    "traps", "turns", "v3", "webhooks",
)  # fmt: skip


def main() -> int:
    """Run what is asked for; return the exit code."""
    what, *arguments = sys.argv[1:]
    default = "CPython {}.{}".format(*sys.version_info[:2])
    if what == "test":
        results = {default: run(default, ".venv", ["-m", "not long", *arguments])}
    else:
        results = {f"{default}, long": run(default, ".venv", ["-m", "long", *arguments])}
        if not arguments:
            results |= run_on_postgres(default) | run_watched(default)
        results |= run_others(default, arguments)
    for lane, result in results.items():
        sys.stdout.write(f"{lane}: {result}\n")
    return 0 if set(results.values()) == {"passed"} else 1


def run_on_postgres(default: str) -> dict[str, str]:
    """Run tests with servers on PostgreSQL; return how they ended."""
    files = [f"tests/server/test_{name}.py" for name in ON_POSTGRES]
    name = f"{default}, servers on PostgreSQL"
    kind = {"MILLSTREAM_SERVER_DATABASE": "postgres"}
    return {name: run(name, ".venv", ["-m", "not long", *files], kind)}


def run_watched(default: str) -> dict[str, str]:
    """Run the tests that are watched; return how they ended, and whether it was enough."""
    covering.forget()
    folders = [f"tests/{folder}" for folder in sorted(covering.FOLDERS)]
    watching = ["-p", "scripts.covering", "-m", "not long", *folders]
    name = f"{default}, watched"
    return {name: run(name, ".venv", watching), **covering.report()}


def run_others(default: str, arguments: list[str]) -> dict[str, str]:
    """Run all but the longest tests on one CPython after another; return the results."""
    found = subprocess.run(["scripts/find-pythons"], capture_output=True, text=True, check=True)
    lines = (line.split(" ", 1) for line in found.stdout.splitlines())
    pythons = {f"CPython {version}": python for version, python in lines}
    chosen = ["-m", "not long", *(f"--ignore=tests/{name}" for name in LONGEST), *arguments]
    results = {}
    for version, python in pythons.items():
        if version == default:
            continue
        venv = version.replace("CPython ", ".venv-")
        made = subprocess.run(["scripts/setup-env", venv, "test", python], check=False)
        if made.returncode:
            results[version] = "FAILED (its environment could not be made)"
        else:
            results[version] = run(version, venv, ["-p", "no:cacheprovider", *chosen])
    return results


def run(
    version: str, venv: str, arguments: list[str], variables: dict[str, str] | None = None
) -> str:
    """Run pytest in an environment; return what to say about it."""
    sys.stdout.write(f"== {version}\n")
    sys.stdout.flush()
    workers = ("-n", str((os.cpu_count() or 1) + 1), "--dist=worksteal")
    command = [f"{venv}/bin/python", "-m", "pytest", *REPORTING, *workers, *arguments]
    with scratch() as environment:
        # Hundreds of processes import the same modules, which are compiled once.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment |= variables or {}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=False)
    return "passed" if done.returncode == 0 else "FAILED"


if __name__ == "__main__":
    sys.exit(main())
