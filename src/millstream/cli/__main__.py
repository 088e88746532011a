"""`python -m millstream.cli` is the `millstream` command."""

from __future__ import annotations

import sys

from millstream.cli import main

sys.exit(main())
