"""Run the whole suite on .venv and, beside it, all but what takes longest on the other CPythons.

Two lanes, because much of the time goes into waiting for processes; what the second one prints is
shown at the end. A test that fails is run once more, because many here measure time and a machine
may be busy; the summary names it either way. Arguments are passed on to pytest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import IO

# The summary names what failed, what was run again and what was skipped.
REPORTING = ("-q", "-rfERs", "--reruns=1")
LONGEST = ("differential", "durability", "interchange")


def main() -> int:
    """Run both lanes; return the exit code."""
    default = "{}.{}".format(*sys.version_info[:2])
    found = subprocess.run(["scripts/find-pythons"], capture_output=True, text=True, check=True)
    pythons = dict(line.split(" ", 1) for line in found.stdout.splitlines())
    others = {version: path for version, path in pythons.items() if version != default}
    with tempfile.TemporaryFile("w+") as log, ThreadPoolExecutor(1) as lane:
        beside = lane.submit(run_others, others, log)
        results = {default: run(default, ".venv", sys.argv[1:], None)}
        results |= beside.result()
        log.seek(0)
        sys.stdout.write(log.read())
    for version, result in results.items():
        sys.stdout.write(f"CPython {version}: {result}\n")
    return 0 if set(results.values()) == {"passed"} else 1


def run_others(pythons: dict[str, str], log: IO[str]) -> dict[str, str]:
    """Run all but the longest tests on one CPython after another; return the results."""
    results = {}
    without = [f"--ignore=tests/{name}" for name in LONGEST]
    for version, python in pythons.items():
        venv = f".venv-{version}"
        made = subprocess.run(
            ["scripts/setup-env", venv, "test", python],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
        if made.returncode:
            results[version] = "FAILED (its environment could not be made)"
        else:
            # The cache of pytest is the other lane's.
            arguments = ["-p", "no:cacheprovider", *without, *sys.argv[1:]]
            results[version] = run(version, venv, arguments, log)
    return results


def run(version: str, venv: str, arguments: list[str], log: IO[str] | None) -> str:
    """Run pytest in an environment; return what to say about it."""
    print(f"== CPython {version}", file=log, flush=True)
    done = subprocess.run(
        [f"{venv}/bin/python", "-m", "pytest", *REPORTING, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        check=False,
    )
    return "passed" if done.returncode == 0 else "FAILED"


if __name__ == "__main__":
    sys.exit(main())
