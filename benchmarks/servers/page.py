"""Write SERVER.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks.servers.scenes import Numbers, Size
from benchmarks.servers.table import cells, head, misses, rows

INTRODUCTION: Final = """\
# Servers

`make bench-server` writes this page. Each server is started in a process of its own, in an empty
folder, with the same graphs (`benchmarks/servers/served`) and {slots} runs at a time; the client is
one process on the same machine and takes its share of it, most of all in the rows with many
clients. aegra has a PostgreSQL server beside it, whose memory and processor time are not counted;
what it does not have is left out: `/threads/{{id}}/copy`, streams of threads. So is what takes a
server longer than five minutes. A ratio is what millstream's number is of the other's: 1/30 is a
thirtieth, 2.00x is twice.
"""


def page(facts: Mapping[str, Any], size: Size, slots: int, measured: Mapping[str, Numbers]) -> str:
    """Return the text of the page."""
    return "\n".join(
        (INTRODUCTION.format(slots=slots), *_facts(facts), "", *_table(size, measured))
    )


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"- {facts['date']}, commit {facts['commit']}"
    yield f"- {facts['machine']}; load before: {facts['load']}, after: {facts['load after']}"
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    yield f"- {facts['python']}; {versions}"


def _table(size: Size, measured: Mapping[str, Numbers]) -> Iterator[str]:
    columns = head(measured)
    yield f"| {' | '.join(columns)} |"
    yield "|" + " --- |" * len(columns)
    for row in rows(size):
        if (shown := cells(row, measured)) is not None:
            yield f"| {' | '.join(shown)} |"
    yield ""
    missed = list(misses(size, measured))
    if missed:
        yield "Goals that are missed:"
        yield ""
        for text in missed:
            yield f"- {text}"
        yield ""
