"""The error of stored rows that do not make sense."""

from __future__ import annotations


class DamagedRow(ValueError):
    """What a row holds is not what a journal writes; says what, not where."""
