"""Checks of what async nodes and paths call: while it waits, nothing else of the loop runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from millstream.graph._checking.findings import Finding, finding
from millstream.graph._checking.reading import Called, Reading
from millstream.graph._checking.structure import Structure

_THREAD: Final = "await it in a thread, asyncio.to_thread(...), or use an async client"

BLOCKING: Final = (
    (r"time\.sleep", "await asyncio.sleep(...)"),
    (
        r"subprocess\.(run|call|check_call|check_output|getoutput|getstatusoutput)",
        "await asyncio.create_subprocess_exec(...)",
    ),
    (r"(os|posix|nt)\.(system|popen|wait|waitpid)", "await asyncio.create_subprocess_shell(...)"),
    (r"_?socket\.(create_connection|getaddrinfo|gethostbyname\w*)", _THREAD),
    (r"_?socket\.socket\.(connect|recv|send|sendall|accept)", _THREAD),
    (r"urllib\.request\.(urlopen|urlretrieve)", _THREAD),
    (r"requests\.(api\.|sessions\.Session\.|Session\.)?_VERB_", "use httpx.AsyncClient"),
    (r"httpx\.(_api\.|Client\.)?_VERB_", "use httpx.AsyncClient"),
    (r"_?sqlite3\.(connect|Connection\.\w+|Cursor\.\w+)", _THREAD),
    (r"psycopg2?(\.\w+)*\.connect", "use psycopg.AsyncConnection.connect"),
    (r"builtins\.input", "ask with interrupt(...), which stops the run until there is an answer"),
    (r"asyncio\.(runners\.)?run", "await the coroutine: a loop that runs cannot run another one"),
    (r".*\.invoke", "await its ainvoke(...)"),
    (r".+\.batch", "await its abatch(...)"),
)
"""Full names of what waits -> what to do instead; one of something unknown begins with a dot."""

_VERBS: Final = "(get|post|put|patch|delete|head|options|request)"
_PATTERNS: Final = [
    (re.compile(pattern.replace("_VERB_", _VERBS)), advice) for pattern, advice in BLOCKING
]


def check_waiting(structure: Structure) -> Iterator[Finding]:
    """Yield calls that probably hold up the event loop."""
    for node in structure.nodes.values():
        for reading in node.readings:
            yield from _blocking(f"async node {node.name!r}", reading)
    for path in (path for paths in structure.paths.values() for path in paths):
        yield from _blocking(f"async path {path.name!r} after {path.source!r}", path.reading)


def _blocking(who: str, reading: Reading) -> Iterator[Finding]:
    if not reading.is_async:
        return
    for call in reading.calls:
        advice = advice_for(call.name)
        if advice is not None:
            yield finding(
                "blocking-call",
                f"{who} calls {_shown(call)}, which probably waits: nothing else of the event "
                "loop runs meanwhile",
                advice,
                call.place,
            )


def advice_for(name: str) -> str | None:
    """Return what to do instead of a call that waits, None for any other."""
    for pattern, advice in _PATTERNS:
        if pattern.fullmatch(name):
            return advice
    return None


def _shown(call: Called) -> str:
    name = call.name.removeprefix("builtins.")
    # The class of what it is called of is no news; `requests.sessions.Session.get` is.
    name = f"{name.removeprefix('.')}()"
    through = "".join(f"{each}(), which calls " for each in call.through)
    return f"{through}{name}"
