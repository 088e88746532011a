"""How programs are run whose warnings are errors, as those of the tests are."""

from __future__ import annotations

import sys
from typing import Final

STRICT_PYTHON: Final = (
    sys.executable,
    "-W",
    "error",
    # LangSmith, when it is imported on Python 3.14
    "-W",
    "ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning",
)
