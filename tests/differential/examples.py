"""How many random graphs a test looks at."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

IS_DEEP: Final = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
"""Whether to look at graphs that nobody has seen yet, and at many: `make test-deep`."""
SECONDS_PER_EXAMPLE: Final = 2


def some(count: int, *, is_new: bool = False) -> settings:
    """Return the settings of a test that looks at `count` graphs, the same ones unless `is_new`."""
    return settings(
        max_examples=count,
        derandomize=not is_new,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
