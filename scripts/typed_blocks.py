"""Check the types of the Python blocks in README.md and docs, with mypy and with pyright.

Users copy them into editors that do. Each block becomes a function of its own, after what
`TAKEN_FOR_GRANTED` declares; the blocks of a page in `CONTINUED`, and of the guide, go on from each
other.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FOLDER: Final = Path("build/typed-blocks")
GUIDE: Final = Path("docs/guide")
PAGES: Final = (Path("README.md"), *sorted(Path("docs").rglob("*.md")))
CONTINUED: Final = {
    Path("docs/checks.md"),
    Path("docs/run-streams.md"),
    Path("docs/testing.md"),
    *GUIDE.rglob("*.md"),
}

# What fragments use and do not show.
TAKEN_FOR_GRANTED: Final = """\
from typing import Any
from millstream.graph import MessagesState
from millstream.graph.state import CompiledStateGraph
from millstream.types import Command
graph: CompiledStateGraph[MessagesState]
config = {"configurable": {"thread_id": "1"}}
input: MessagesState = {"messages": []}
async def send(message: Any) -> None: ...
"""

# Blocks of one page may define a name again, their functions need no annotations, and what their
# data holds at run time is theirs to know.
MYPY: Final = ("--check-untyped-defs", "--allow-redefinition", "--disable-error-code=no-redef")
PYRIGHT: Final = {
    "pythonVersion": "3.10",
    "reportPossiblyUnboundVariable": False,
    "reportRedeclaration": False,
    "reportTypedDictNotRequiredAccess": False,
}


def main() -> int:
    """Write the blocks as modules and check them; return the exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.py"):
        old.unlink()
    for name, source in (module for page in PAGES for module in modules(page)):
        (FOLDER / f"{name}.py").write_text(source, encoding="utf-8")
    (FOLDER / "pyrightconfig.json").write_text(json.dumps(PYRIGHT), encoding="utf-8")
    bin_folder = Path(sys.executable).parent
    commands: list[list[str | Path]] = [
        [bin_folder / "mypy", "--config-file=", "--cache-dir=.mypy_cache", *MYPY, FOLDER],
        [bin_folder / "pyright", "--pythonpath", sys.executable, "--project", FOLDER],
    ]
    env = {**os.environ, "MYPYPATH": "src"}
    codes = [subprocess.run(command, env=env, check=False).returncode for command in commands]
    return int(any(codes))


def modules(page: Path) -> Iterator[tuple[str, str]]:
    """Yield name and source of a module for each block of a page, or for all of them."""
    name = "_".join(page.with_suffix("").parts).replace("-", "_")
    text = page.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    if page in CONTINUED:
        yield name, "\n".join(block[1] for block in blocks)
        return
    for block in blocks:
        line = text.count("\n", 0, block.start()) + 2
        body = textwrap.indent(block[1], "    ")
        yield f"{name}_line_{line}", f"{TAKEN_FOR_GRANTED}async def block() -> None:\n{body}"


if __name__ == "__main__":
    sys.exit(main())
