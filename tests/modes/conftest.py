"""Fixtures of these tests: those of the run stream tests that hold for any stream."""

from __future__ import annotations

from stream.conftest import no_thread_is_left

__all__ = ("no_thread_is_left",)
