"""Graphs drawn with characters."""

from __future__ import annotations

import re

from hypothesis import given, settings

from millstream.constants import START
from millstream.pictures import DrawableGraph
from millstream.pictures.texts import cells
from pictures.graphs import AGENT, LOOPS, graph, graphs

AGENT_DRAWN = """
    +-------+
    | START |
    +-------+
        |
        v
    +-------+
    | agent |
    +-------+
      : ^ :
    +.+ | +..+
    :   |    :
  call  |  done
    :   |    :
   +++--+    +.+
   v |         v
+-------+   +-----+
| tools |   | END |
+-------+   +-----+
"""
LOOPS_DRAWN = """
+-------+
| START |
+-------+
    |
    v
 +-----+
 |  a  |
 +-----+
   | ^
  ++ +.+
  |    :
  |  back
  |    :
  ++ +.+
   v :
+-------+..+
|   b   |  : again
+-------+<.+
    :
    :
   on
    :
    v
 +-----+
 | END |
 +-----+
"""
NEST_DRAWN = """
+-------+
| START |
+-------+
    |
    |
[= in ==]
[   |   ]
[   v   ]
[ +---+ ]
[ | a | ]
[ +---+ ]
[   :   ]
[   :   ]
[  go   ]
[   :   ]
[   v   ]
[ +---+ ]
[ | b | ]
[ +---+ ]
[   |   ]
[   |   ]
[===|===]
    |
    v
  +---+
  | z |
  +---+
"""


def test_an_agent_and_its_tools() -> None:
    assert AGENT.draw_ascii() == AGENT_DRAWN[1:]


def test_loops_are_drawn() -> None:
    """LangChain's drawing of them fails, or leaves them out."""
    assert LOOPS.draw_ascii() == LOOPS_DRAWN[1:]


def test_a_nested_graph_stands_in_brackets() -> None:
    drawn = graph((START, "in:a"), ("in:a", "in:b", "go"), ("in:b", "z"))

    assert drawn.draw_ascii() == NEST_DRAWN[1:]


def test_wide_characters_take_two_columns() -> None:
    lines = graph(nodes=["数字 e\N{COMBINING ACUTE ACCENT}"]).draw_ascii().splitlines()

    assert {cells(line) for line in lines} == {10}
    assert lines[1] == "| 数字 e\N{COMBINING ACUTE ACCENT} |"


@given(drawn=graphs())
@settings(max_examples=30, deadline=None)
def test_any_graph_has_all_its_names_and_heads(drawn: DrawableGraph) -> None:
    text = drawn.draw_ascii()

    for node in drawn.nodes.values():
        assert re.search(rf"\| +{node.name} +\|", text)
    between = [edge for edge in drawn.edges if edge.source != edge.target]
    heads = sum(text.count(head) for head in "v^")
    assert heads >= min(1, len(between))
