"""What the package of LangGraph's savers asks of every saver."""

from __future__ import annotations

import asyncio

import pytest

from journal.journals import SyncCalls

conformance = pytest.importorskip("langgraph.checkpoint.conformance")


def test_a_journal_does_all_that_savers_are_asked(calls: SyncCalls) -> None:
    """Every capability is there, and passes."""
    if calls.driver == "sync":
        return  # the suite calls async methods only

    @conformance.checkpointer_test(name=calls.kind)
    async def journal() -> object:
        opened = calls.open()
        yield opened
        await opened.aclose()
        calls.opened.remove(opened)

    report = asyncio.run(conformance.validate(journal))
    assert report.conformance_level() == "FULL"
