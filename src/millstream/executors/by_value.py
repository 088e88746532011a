"""Pickling for workers that cannot import what a program is made of: Ray's way.

What is in a module is found there by its name. What is in the program's main module, and functions
that are at the top of none, are sent themselves.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, Final

from ray.cloudpickle import CloudPickler

from millstream.executors import pickling
from millstream.executors.pickling import fetch, place_of

MAIN: Final = "__main__"
"""The module that is another one in a worker."""


class ByValue(CloudPickler):  # type: ignore[misc]  # Ray is not where types are checked
    """Knows of names what our pickler knows, and sends what has none that counts elsewhere."""

    def reducer_override(self, value: Any) -> Any:
        """Return how a value is made there."""
        place = place_of(value)
        if place is not None and place[0] != MAIN:
            return fetch, place
        return super().reducer_override(value)


def dumps(value: Any) -> bytes:
    """Return a value as bytes that a worker can read."""
    buffer = io.BytesIO()
    ByValue(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def dumps_back(value: Any) -> bytes:
    """Return a value as bytes, in a worker.

    Most of it is plain, and a plain pickler is several times as quick. It refuses what is not found
    by its name here, as classes of the program's main module are not.
    """
    try:
        return pickling.dumps(value)
    except Exception:
        return dumps(value)
