"""`millstream draw`: print the structure of a graph, or write it into a file."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from millstream._base.texts import visible
from millstream.cli.failures import DONE, UsageError, causes_shown, reason, text_of
from millstream.cli.installing import in_this_environment
from millstream.cli.options import Target, WholeTraceback
from millstream.cli.output import Output
from millstream.cli.target import load_graph


class Format(str, Enum):
    """The forms of a drawing."""

    MERMAID = "mermaid"
    ASCII = "ascii"
    SVG = "svg"
    PNG = "png"
    HTML = "html"


_SUFFIXES: Final = {
    ".svg": Format.SVG,
    ".png": Format.PNG,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".mmd": Format.MERMAID,
    ".mermaid": Format.MERMAID,
    ".txt": Format.ASCII,
}


def draw(
    target: Target,
    *,
    format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            help="What to make: Mermaid source, lines of characters, a picture, or a page with "
            "one; else what the name of the file says, else Mermaid.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")
    ] = None,
    xray: Annotated[bool, typer.Option("--xray", help="Draw subgraphs open.")] = False,
    traceback: WholeTraceback = False,
) -> int:
    """Draw the graph TARGET, without running it and without a network."""
    form = _form(format, output)
    if form is Format.PNG and output is None and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("a terminal cannot show PNG; name a file, --output graph.png")
    with causes_shown(traceback):
        graph = load_graph(target)
    try:
        drawn = _drawn(graph, form, xray=xray)
    except ImportError as error:
        text = in_this_environment(text_of(error))
        raise UsageError(f"{target} cannot be drawn: {text}") from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"{target} cannot be drawn: {reason(error)}") from error
    if output is not None:
        _write(drawn, output)
    elif isinstance(drawn, bytes):
        Output(sys.stdout).write_bytes(drawn)
    else:
        Output(sys.stdout).write(visible(drawn if drawn.endswith("\n") else f"{drawn}\n"))
    return DONE


def _form(format: Format | None, output: Path | None) -> Format:
    if format is not None:
        return format
    if output is None:
        return Format.MERMAID
    form = _SUFFIXES.get(output.suffix.lower())
    if form is None:
        known = ", ".join(_SUFFIXES)
        raise UsageError(
            f"--output {output}: its name does not say what to make; end it with one of {known}, "
            "or give --format"
        )
    return form


def _drawn(graph: Any, form: Format, *, xray: bool) -> str | bytes:
    from millstream.pictures import DrawableGraph

    # LangGraph's own graphs come here, too.
    drawing = DrawableGraph.of(graph.get_graph(xray=xray))
    name = str(getattr(graph, "name", None) or "Graph")
    if form is Format.SVG:
        return drawing.draw_svg(title=name)
    if form is Format.HTML:
        return drawing.draw_html(title=name)
    if form is Format.PNG:
        return drawing.draw_png()
    return drawing.draw_ascii() if form is Format.ASCII else drawing.draw_mermaid()


def _write(drawn: str | bytes, output: Path) -> None:
    try:
        if isinstance(drawn, bytes):
            output.write_bytes(drawn)
        else:
            output.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output {output}: cannot write it: {error.strerror}") from error
