"""A graph as a page that can be opened from a disk: no script, nothing from elsewhere."""

from __future__ import annotations

from xml.sax.saxutils import escape as escaped

from langchain_core.runnables.graph import Graph

from millstream.pictures.svg import svg
from millstream.pictures.texts import harmless, shown

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{color-scheme: light dark}}
body {{font: 15px/1.5 Helvetica, Arial, sans-serif; margin: 1.5rem}}
h1 {{font-size: 1.2rem}}
label {{user-select: none}}
.sheet {{overflow: auto; margin: 1rem 0}}
.sheet svg {{max-width: none !important}}
#fit:checked ~ .sheet svg {{max-width: 100% !important}}
pre {{overflow: auto}}
</style>
</head>
<body>
<h1>{title}</h1>
<input type="checkbox" id="fit"> <label for="fit">Fit to the window</label>
<div class="sheet">
{picture}</div>
<details><summary>Mermaid</summary>
<pre>{source}</pre>
</details>
</body>
</html>
"""


def html(graph: Graph, *, title: str = "Graph") -> str:
    """Return a page that shows a graph, and its Mermaid source for what takes that."""
    return _PAGE.format(
        title=escaped(shown(title)),
        picture=svg(graph, title=title),
        source=escaped(harmless(graph.draw_mermaid())),
    )
