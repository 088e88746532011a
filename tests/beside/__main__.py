"""Run the scenes against both servers: `python -m beside [SCENE]...`; see `scripts/beside`.

Exits with 1 if something differs that docs/server-compatibility.md does not list.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from beside.comparing import Listed, compare, key_of, uncovered
from beside.scenes import SCENES
from beside.serving import serving
from beside.side import Side

PAGE = Path(__file__).parents[2] / "docs" / "server-compatibility.md"


def main() -> int:
    """Compare, and tell; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/beside", description=__doc__)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"some of {', '.join(SCENES)}")
    parser.add_argument("--all", action="store_true", help="tell the listed differences too")
    given = parser.parse_args()
    names = given.scenes or list(SCENES)
    if unknown := set(names) - set(SCENES):
        parser.error(f"no scene is called {', '.join(sorted(unknown))}")
    listed = Listed.read(PAGE)
    exchanges = unlisted = differing = 0
    asked = []
    with serving() as (reference, ours):
        for name in names:
            sides = [Side(url, name) for url in (reference, ours)]
            for side in sides:
                SCENES[name](side)
                side.close()
            exchanges += len(sides[1].exchanges)
            asked += sides[1].exchanges.values()
            for exchange, found in compare(*sides).items():
                known, new = listed.split(f"{name}: {exchange}", found)
                differing += bool(known)
                unlisted += len(new)
                for text in [*new, *(known if given.all else ())]:
                    mark = "" if text in new else " (listed)"
                    sys.stdout.write(f"{name}: {exchange}: {key_of(text)}: {text[:300]}{mark}\n")
    missing = uncovered(asked) if not given.scenes else []
    for operation in missing:
        sys.stdout.write(f"nobody asks for {operation}\n")
    sys.stdout.write(
        f"{exchanges} exchanges, {differing} of them differ as listed; {unlisted} differences are "
        "not listed\n"
    )
    return 1 if unlisted or missing else 0


if __name__ == "__main__":
    sys.exit(main())
