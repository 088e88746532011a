"""`millstream draw`: print the structure of a graph."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Annotated

import typer

from millstream._base.texts import visible
from millstream.cli.failures import DONE, UsageError, reason
from millstream.cli.output import Output
from millstream.cli.target import FORMS, load_graph


class Format(str, Enum):
    """The forms of a drawing."""

    MERMAID = "mermaid"
    ASCII = "ascii"


def draw(
    target: Annotated[str, typer.Argument(metavar="TARGET", help=f"The graph: {FORMS}.")],
    *,
    format: Annotated[
        Format, typer.Option("--format", "-f", help="Mermaid source, or lines of characters.")
    ] = Format.MERMAID,
    xray: Annotated[bool, typer.Option("--xray", help="Draw subgraphs open.")] = False,
) -> int:
    """Print a drawing of the graph TARGET."""
    graph = load_graph(target)
    try:
        drawing = graph.get_graph(xray=xray)
        text = drawing.draw_mermaid() if format is Format.MERMAID else drawing.draw_ascii()
    except ImportError as error:
        raise UsageError(
            f"drawing needs the package {error.name or 'grandalf'}; "
            "pip install grandalf, or use --format mermaid"
        ) from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"{target} cannot be drawn: {reason(error)}") from error
    Output(sys.stdout).write(visible(text if text.endswith("\n") else f"{text}\n"))
    return DONE
