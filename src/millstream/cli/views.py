"""Choose how a run is shown: on a terminal, line by line, or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO, cast

from rich.console import Console

from millstream.cli.live.dots import DottedOutput, DottedView
from millstream.cli.live.paper import Paper
from millstream.cli.live.view import LiveView
from millstream.cli.output import Output
from millstream.cli.render import BlockRenderer, JsonRenderer, Renderer
from millstream.modes.names import CUSTOM, UPDATES

DEFAULT_MODES = (UPDATES, CUSTOM)
"""What is shown where there is no terminal, unless something else is asked for."""


def choose_view(modes: Sequence[str] | None, *, has_subgraphs: bool, as_json: bool) -> Renderer:
    """Return what shows a run on stdout."""
    out = Output(sys.stdout)
    if as_json:
        return JsonRenderer(out, modes or DEFAULT_MODES, has_subgraphs=has_subgraphs)
    # Not what the environment says of colours (FORCE_COLOR): whether the cursor can be moved.
    if not out.isatty():
        return BlockRenderer(out, modes or DEFAULT_MODES, has_subgraphs=has_subgraphs)
    console = Console(file=cast("TextIO", out), highlight=False)
    if console.is_dumb_terminal or console.legacy_windows:
        dotted = DottedOutput(sys.stdout)
        return DottedView(dotted, Paper(console), modes, has_subgraphs=has_subgraphs)
    return LiveView(out, Paper(console), modes, has_subgraphs=has_subgraphs)
