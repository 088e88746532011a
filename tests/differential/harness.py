"""Record a program on one engine under every setting, and compare two recordings."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import io
import logging
import re
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from differential import ordering
from differential.differences import DIFFERENCES
from differential.engines import CANDIDATE_ROOT, REFERENCE_ROOT, Engine, engine
from differential.registry import Call, Late, Look, Matrix, Program
from differential.render import mask, number, render, render_raised

DEFAULT_MODE: Final = "default"
VERSIONS: Final = ("v1", "v2")


@dataclass(frozen=True, slots=True)
class Setting:
    """How the calls of a program are made; `mode` is None for invoke."""

    driver: str
    method: str
    mode: str | tuple[str, ...] | None = None
    version: str | None = None
    subgraphs: bool | None = None

    def label(self) -> str:
        """Return a short text for messages."""
        mode = "all" if isinstance(self.mode, tuple) else self.mode
        version = self.version and f"{self.version}"
        nested = "subgraphs" if self.subgraphs else None
        return " ".join(filter(None, (self.driver, self.method, mode, version, nested)))


@dataclass(slots=True)
class Recording:
    """What one program did under one setting, a list of lines for each call."""

    calls: list[list[str]] = field(default_factory=list)
    around: list[str] = field(default_factory=list)


def settings(program: Program) -> Iterator[Setting]:
    """Yield the settings `program` can be recorded under."""
    yield from first_settings(program)
    yield from further_settings(program)


def first_settings(program: Program) -> Iterator[Setting]:
    """Yield those in which everything is seen: all modes at once, and invoke.

    Of two drivers each is asked for one version, which it knows nothing of, and the first for what
    invoke makes of it.
    """
    modes = tuple(program.modes)
    for driver in program.drivers:
        if program.probe is not None:
            yield Setting(driver, "probe")
        elif program.matrix is Matrix.AS_WRITTEN:
            yield Setting(driver, "stream")
            yield Setting(driver, "invoke")
        else:
            for version in _first_versions(program, driver):
                yield Setting(driver, "stream", modes, version, True)
            if driver == program.drivers[0]:
                yield Setting(driver, "invoke", None, "v1")


def _first_versions(program: Program, driver: str) -> Sequence[str]:
    if len(program.drivers) < 2:
        return VERSIONS
    return [VERSIONS[program.drivers.index(driver)]]


def further_settings(program: Program) -> Iterator[Setting]:
    """Yield those that differ in how the program is asked: the other versions, one mode alone."""
    if program.probe is not None or program.matrix is Matrix.AS_WRITTEN:
        return
    modes = tuple(program.modes)
    for driver in program.drivers:
        for version in VERSIONS:
            if version not in _first_versions(program, driver):
                yield Setting(driver, "stream", modes, version, True)
        if driver != program.drivers[0]:
            yield Setting(driver, "invoke", None, "v1")
        yield Setting(driver, "stream", modes, "v2", False)
        if program.matrix is Matrix.TOGETHER:
            continue
        yield Setting(driver, "invoke", None, "v2")
        if program.matrix is Matrix.BRIEF:
            continue
        yield Setting(driver, "stream", modes, "v1", False)
        for mode in (DEFAULT_MODE, *program.modes):
            yield Setting(driver, "stream", mode, "v1", False)
            if driver == "sync" and mode in ("values", "custom"):
                yield Setting(driver, "stream", mode, "v2", True)


def record(program: Program, root: str, setting: Setting) -> Recording:
    """Build the program afresh on one engine and make its calls."""
    recording = Recording()
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        _watch_warnings(program, recording),
        _watch_logs(program, root, recording),
    ):
        if program.probe is not None:
            recording.calls.append(_ask(program, engine(root), setting.driver))
        else:
            _make_calls(program, engine(root), setting, recording)
    if printed.getvalue():
        recording.around.append(f"printed {printed.getvalue()!r}")
    return _finish(program, recording)


def _ask(program: Program, subject: Engine, driver: str) -> list[str]:
    assert program.probe is not None
    try:
        facts = _shown(program, program.probe(subject, driver))
    except Exception as error:
        return [f"raised {render_raised(error)}"]
    if isinstance(facts, dict):
        return [f"{key}: {render(fact)}" for key, fact in facts.items()]
    return [render(fact) for fact in facts] if isinstance(facts, list) else [render(facts)]


def _make_calls(program: Program, subject: Engine, setting: Setting, into: Recording) -> None:
    assert program.build is not None
    try:
        graph, calls = program.build(subject)
    except Exception as error:
        into.calls.append([f"not built {render_raised(error)}"])
        return
    for call in calls:
        if isinstance(call, Look):
            into.calls.append(_observe(program, graph, call, setting))
            continue
        raw, outcome = _make(program, graph, call, setting)
        # Which of several failing tasks was first is timing; the note with its id goes with it.
        outcome = mask(outcome) if program.unordered else outcome
        into.calls.append([*_lines(program, raw, setting), outcome])


def _observe(program: Program, graph: Any, look: Look, setting: Setting) -> list[str]:
    try:
        facts = _shown(program, look.observe(graph, setting.driver))
    except Exception as error:
        return [f"raised {render_raised(error)}"]
    lines = [render(fact) for fact in facts] if isinstance(facts, list) else [render(facts)]
    return [mask(line) for line in lines] if program.unordered else lines


def _make(program: Program, graph: Any, call: Call, setting: Setting) -> tuple[list[Any], str]:
    kwargs = dict(call.kwargs)
    if setting.version is not None:
        kwargs.setdefault("version", setting.version)
    if setting.method == "stream" and setting.mode is not None:
        kwargs.setdefault("subgraphs", setting.subgraphs)
        if setting.mode != DEFAULT_MODE:
            mode = setting.mode
            kwargs.setdefault("stream_mode", list(mode) if isinstance(mode, tuple) else mode)
    items: list[Any] = []
    try:
        input, config = _known(call.input, graph), _known(call.config, graph)
        if setting.method == "invoke" and setting.driver == "sync":
            result = graph.invoke(input, config, **kwargs)
            return items, f"result {render(_shown(program, result))}"
        if setting.method == "invoke":
            result = asyncio.run(graph.ainvoke(input, config, **kwargs))
            return items, f"result {render(_shown(program, result))}"
        if setting.driver == "sync":
            for item in graph.stream(input, config, **kwargs):
                items.append(_freeze(_shown(program, item)))
        else:
            asyncio.run(_collect(graph.astream(input, config, **kwargs), program, items))
    except Exception as error:
        return items, f"raised {render_raised(error)}"
    except BaseException as error:
        if type(error).__module__.partition(".")[0] not in (REFERENCE_ROOT, CANDIDATE_ROOT):
            raise
        return items, f"raised past `except Exception` {render_raised(error)}"
    return items, "ended"


def _shown(program: Program, fact: Any) -> Any:
    return ordering.settled(fact) if program.unordered else fact


def _known(argument: Any, graph: Any) -> Any:
    return argument.make(graph) if isinstance(argument, Late) else argument


async def _collect(stream: AsyncIterator[Any], program: Program, into: list[Any]) -> None:
    async for item in stream:
        into.append(_freeze(_shown(program, item)))


@dataclass(frozen=True, slots=True)
class _Frozen:
    """An item with its text as it was when it was emitted: payloads are live objects."""

    item: Any
    line: str


def _freeze(item: Any) -> _Frozen:
    return _Frozen(item, render(item))


def _lines(program: Program, raw: list[_Frozen], setting: Setting) -> list[str]:
    lines = [frozen.line for frozen in raw]
    if not program.unordered:
        return lines
    if not isinstance(setting.mode, tuple):
        return ordering.multiset(lines)
    items = [
        ordering.parse(
            frozen.item, version=setting.version or "v1", subgraphs=bool(setting.subgraphs)
        )
        for frozen in raw
    ]
    return ordering.canonical(items)


@contextlib.contextmanager
def _watch_warnings(program: Program, recording: Recording) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    if program.warns:
        recording.around += [f"warned {w.category.__name__}: {_plain(w.message)}" for w in caught]


def _plain(message: object) -> str:
    return render(str(message))


class _Records(logging.Handler):
    def __init__(self, root: str, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.root, self.lines = root, lines

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] == self.root:
            self.lines.append(f"logged {record.levelname}: {record.getMessage()}")


@contextlib.contextmanager
def _watch_logs(program: Program, root: str, recording: Recording) -> Iterator[None]:
    lines: list[str] = []
    handler, logger = _Records(root, lines), logging.getLogger()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    if program.logs:
        recording.around += lines


def _finish(program: Program, recording: Recording) -> Recording:
    ends = [len(lines) for lines in recording.calls]
    flat = [line for lines in recording.calls for line in lines] + recording.around
    for pattern in program.scrub:
        flat = [re.sub(pattern, "<scrubbed>", line) for line in flat]
    flat = number(flat)
    recording.calls = []
    for end in ends:
        recording.calls.append(flat[:end])
        flat = flat[end:]
    recording.around = flat
    return recording


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One setting under which two engines did not do the same."""

    setting: Setting
    call: int
    diff: tuple[str, ...]


def compare(program: Program, under: Sequence[Setting] | None = None) -> list[Mismatch]:
    """Return every undeclared difference, and every declared one that did not show.

    `under` are the settings, all of the program's by default. A declared difference that does not
    show in them is looked for in the others: it need not show in each, but it must in one with
    each driver.
    """
    found: list[Mismatch] = []
    unseen: dict[tuple[str, int], Setting] = {}
    seen: set[tuple[str, int]] = set()
    names = _declared(program)
    every = list(settings(program))
    asked = every if under is None else under
    for setting in (*asked, *(each for each in every if each not in asked)):
        if setting not in asked and unseen.keys() <= seen:
            break
        expected = record(program, REFERENCE_ROOT, setting)
        actual = record(program, CANDIDATE_ROOT, setting)
        declared = {
            index
            for index in range(len(expected.calls))
            if (name := names[index] if index < len(names) else program.differs)
            and DIFFERENCES[name].applies(setting.driver)
        }
        for index in declared:
            unseen.setdefault((setting.driver, index), setting)
        for index, diff in _differing(expected, actual):
            if index in declared:
                seen.add((setting.driver, index))
            else:
                found.append(Mismatch(setting, index, diff))
    if REFERENCE_ROOT != CANDIDATE_ROOT:
        stale = ("declared to differ, but equal under every setting",)
        found += [Mismatch(unseen[key], key[1], stale) for key in sorted(unseen.keys() - seen)]
    return found


def _declared(program: Program) -> list[str | None]:
    """Return the name of the difference that each call declares."""
    if program.build is None:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _, calls = program.build(engine(REFERENCE_ROOT))
        except Exception:
            return []
    return [call.differs or program.differs for call in calls]


def _differing(expected: Recording, actual: Recording) -> Iterator[tuple[int, tuple[str, ...]]]:
    pairs: list[tuple[int, Sequence[str], Sequence[str]]] = []
    for index in range(max(len(expected.calls), len(actual.calls))):
        before = expected.calls[index] if index < len(expected.calls) else ["<no such call>"]
        after = actual.calls[index] if index < len(actual.calls) else ["<no such call>"]
        pairs.append((index, before, after))
    pairs.append((-1, expected.around, actual.around))
    for index, before, after in pairs:
        if before != after:
            lines = difflib.unified_diff(before, after, "expected", "got", lineterm="", n=1)
            yield index, tuple(lines)


def explain(program: Program, mismatches: Sequence[Mismatch], *, limit: int = 3) -> str:
    """Return a message: the settings that differ and the diff of the first few."""
    out = [f"{program.name}: {len(mismatches)} settings differ"]
    out += [f"  {m.setting.label()} (call {m.call})" for m in mismatches]
    for mismatch in mismatches[:limit]:
        out += ["", f"{mismatch.setting.label()}, call {mismatch.call}:", *mismatch.diff]
    return "\n".join(out)
