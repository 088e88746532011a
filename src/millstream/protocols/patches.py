"""What has changed between two values of JSON, as a patch: RFC 6902.

Objects are compared by their keys and lists from their beginning, so that what is appended to a
list is all that is told of it. What is inserted before other elements changes all after it: no
longest common part is looked for, which would take the square of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Operation = dict[str, Any]


def patch(old: Any, new: Any, path: str = "") -> Iterator[Operation]:
    """Yield what makes the new value of the old one, in the order in which it is done.

    Args:
        old: A value, as `json.loads` returns it.
        new: Another one.
        path: The JSON pointer of both, in the document that is changed.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old:
            if key not in new:
                yield {"op": "remove", "path": pointer(path, key)}
        for key, value in new.items():
            if key in old:
                yield from patch(old[key], value, pointer(path, key))
            else:
                yield {"op": "add", "path": pointer(path, key), "value": value}
    elif isinstance(old, list) and isinstance(new, list):
        for place, (before, after) in enumerate(zip(old, new, strict=False)):
            yield from patch(before, after, f"{path}/{place}")
        # From the end, so that the places of the others stay.
        for place in reversed(range(len(new), len(old))):
            yield {"op": "remove", "path": f"{path}/{place}"}
        for value in new[len(old) :]:
            yield {"op": "add", "path": f"{path}/-", "value": value}
    elif type(old) is not type(new) or old != new:
        # `True` and `1` are equal, and are not the same in JSON.
        yield {"op": "replace", "path": path, "value": new}


def pointer(path: str, key: str) -> str:
    """Return the JSON pointer of a key in an object: RFC 6901."""
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
