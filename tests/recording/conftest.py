"""Fixtures of the tests of recordings."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_thread_is_left(no_thread_is_left: None) -> None:
    """Ask it of every test of this folder."""
