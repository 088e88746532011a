"""The command that goes on with a run that waits."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from millstream._base.addresses import shown
from millstream._base.texts import visible

_DEPTH: Final = 3
_EXAMPLES: Final[dict[Any, Any]] = {
    "boolean": True,
    "integer": 1,
    "number": 1.0,
    "array": [],
    "null": None,
    "string": "...",
}


def follow_up(
    target: str,
    *,
    thread: str,
    checkpointer: str | None,
    config: str,
    questions: Sequence[Any],
) -> str:
    """Return a line for a shell: with an answer to fill in, or only to go on.

    The password of a database is not in it.
    """
    words = ["millstream", "run", target, "--thread", thread]
    if checkpointer is not None:
        words += ["--checkpointer", shown(checkpointer)]
    if config != "{}":
        words += ["--config", config]
    if not questions:
        words += ["--input", "null"]
    elif len(questions) == 1:
        words += ["--resume", _json(_example(questions[0].response_schema))]
    else:
        answers = {each.id: _example(each.response_schema) for each in questions}
        words += ["--resume", _json(answers)]
    return " ".join(map(_quoted, words))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _example(schema: Any, depth: int = _DEPTH) -> Any:
    """Return a value of the form that a JSON schema describes, as far as that is easily seen."""
    if not isinstance(schema, Mapping) or depth == 0:
        return "..."
    if schema.get("enum"):
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if schema.get("type") == "object":
        parts = schema.get("properties") or {}
        return {name: _example(part, depth - 1) for name, part in parts.items()}
    kind = schema.get("type")
    return _EXAMPLES.get(kind if isinstance(kind, str) else None, "...")


def _quoted(word: str) -> str:
    if visible(word) == word and "\n" not in word and "\t" not in word:
        return shlex.quote(word)
    # In the form that a shell reads, because a picture of a character is another one.
    escaped = "".join(_escaped(char) for char in word)
    return f"$'{escaped}'"


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char in "\n\t" or visible(char) != char:
        return f"\\u{ord(char):04x}"
    return char
