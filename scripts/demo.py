"""Run examples/digest.py on $FILE (README.md without one) in the live view of the CLI."""

from __future__ import annotations

import json
import os
import shlex
import sys

given = json.dumps({"path": os.environ.get("FILE") or "README.md"}, ensure_ascii=False)
command = [".venv/bin/millstream", "run", "examples/digest.py:graph", "--input", given]
sys.stdout.write(f"$ {shlex.join(command)}\n")
sys.stdout.flush()
os.execv(command[0], command)
