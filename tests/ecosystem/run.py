"""Play the scenarios and write what they saw: run.py OUT [--repeat N] [NAME...].

Runs on LangGraph with `python`, and on millstream with `millstream exec`.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import importlib
import inspect
import json
import logging
import os
import pkgutil
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import scenarios
from scenarios.recording import Recorder, Silent

SECONDS = 120
"""No run takes that long, unless something hangs; then its threads are shown."""


def main() -> None:
    """Play what is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--repeat", type=int, default=0)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_intermixed_args()
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for module in pkgutil.iter_modules(scenarios.__path__):
        importlib.import_module(f"scenarios.{module.name}")
    found: dict[str, Any] = {}
    for name, scenario in sorted(scenarios.SCENARIOS.items()):
        wanted = not arguments.names or name.startswith(tuple(arguments.names))
        if wanted and not (
            scenario.needs_postgres and "MILLSTREAM_TEST_POSTGRES" not in os.environ
        ):
            found[name] = {
                "package": scenario.package,
                "version": version(scenario.package),
                "about": scenario.about,
                **_played(scenario, arguments.repeat),
            }
    report = {"is_installed": _is_installed(), "loaded": _real_modules(), "scenarios": found}
    arguments.out.write_text(json.dumps(report))


def _played(scenario: scenarios.Scenario, repeat: int) -> dict[str, Any]:
    recorder = Recorder()
    try:
        play = scenario.prepare()
        _play(play, recorder)
        seconds = _best(play, repeat) if repeat else None
    except Exception as error:
        # It is compared like anything else a scenario sees; the checker does not accept it.
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
        print(f"{scenario.about}: {error!r} at {place}", file=sys.stderr)
        return {"events": recorder.events, "failure": repr(error)}
    return {"events": recorder.events, "seconds": seconds}


def _play(play: scenarios.Play, record: Recorder) -> None:
    outcome = play(record)
    if inspect.iscoroutine(outcome):
        asyncio.run(outcome)


def _best(play: scenarios.Play, repeat: int) -> float:
    """Return what a play takes at best, of up to `repeat` that take about a second together."""
    seconds: list[float] = []
    while len(seconds) < 3 or (len(seconds) < repeat and sum(seconds) < 1):
        seconds.append(_timed(play))
    return min(seconds)


def _timed(play: scenarios.Play) -> float:
    start = time.perf_counter()
    _play(play, Silent())
    return time.perf_counter() - start


def _is_installed() -> bool:
    return any(Path(folder, "langgraph", "pregel").is_dir() for folder in sys.path)


def _real_modules() -> list[str]:
    """Return the loaded modules whose files belong to the `langgraph` distribution."""
    files = set()
    try:
        real = distribution("langgraph")
        files = {str(Path(str(real.locate_file(file))).resolve()) for file in real.files or ()}
    except PackageNotFoundError:
        pass
    loaded = []
    for name, module in sorted(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and str(Path(path).resolve()) in files:
            loaded.append(name)
    return loaded


if __name__ == "__main__":
    main()
