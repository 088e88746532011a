"""How Sphinx makes the site of these pages; `make docs` calls it on a copy (scripts/pages.py)."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any, Final

from millstream.version import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "millstream"
author = "The millstream authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
html_theme = "furo"
html_title = f"millstream {version}"
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["narrow.css"]
html_copy_source = False

# Headings have the anchors that they have where the pages are read as files.
myst_heading_anchors = 6
myst_enable_extensions = ["fieldlist"]

napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
add_module_names = False
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

# Markup in a docstring that makes no sense is shown as it is written, which is no error: links and
# pages that are nowhere are.
suppress_warnings = ["docutils"]

# What is copied from an example is what a person would type.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

FENCED: Final = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
CODE: Final = re.compile(r"(?<![`\\:])`([^`]+)`(?![`_])(\w?)")


def _marked_up(app: Sphinx, what: str, name: str, it: Any, options: Any, lines: list[str]) -> None:
    """Have code in docstrings be code: they are written as Markdown has it."""

    def literal(found: re.Match[str]) -> str:
        # What follows at once, as in the plural of a name, has to be told from it.
        behind = rf"\ {found[2]}" if found[2] else ""
        return f"``{' '.join(found[1].split())}``{behind}"

    def block(found: re.Match[str]) -> str:
        body = textwrap.indent(textwrap.dedent(found[3]), f"{found[1]}    ")
        return f"{found[1]}.. code-block:: {found[2] or 'text'}\n\n{body}"

    text = FENCED.sub(block, "\n".join(lines))
    lines[:] = CODE.sub(literal, text).split("\n")


def _is_left_out(
    app: Sphinx, what: str, name: str, it: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out what classes have from other packages, which describe it themselves."""
    module = getattr(getattr(it, "fget", it), "__module__", None) or "millstream"
    return None if module.startswith("millstream") else True


def setup(app: Sphinx) -> None:
    """Join what is ours."""
    # Before napoleon, which takes sections apart.
    app.connect("autodoc-process-docstring", _marked_up, priority=400)
    app.connect("autodoc-skip-member", _is_left_out)
