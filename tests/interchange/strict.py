"""Play every scenario on SQLite and print the records as JSON: `python -m interchange.strict`.

Serializers read LANGGRAPH_STRICT_MSGPACK when they are imported, so this is a process of its own.
"""

from __future__ import annotations

import json
import pathlib
import sys
import tempfile

from interchange.playing import DIRECTIONS, THEIRS, Stage, play
from interchange.scenarios import SCENARIOS


def main() -> None:
    """Print one JSON object: the record of each scenario under `first-second-name`."""
    records: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage("sync", "sqlite", str(pathlib.Path(folder, "saver.sqlite")))
        for first, second in ((THEIRS, THEIRS), *DIRECTIONS):
            for scenario in SCENARIOS:
                key = f"{first}-{second}-{scenario.name}"
                records[key] = play(scenario, first, second, stage)
    json.dump(records, sys.stdout)


if __name__ == "__main__":
    main()
