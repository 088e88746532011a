"""The graph on docs/pictures.md; `python tests/pictures/picture.py` draws it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from typing_extensions import TypedDict

from millstream.constants import END, START
from millstream.graph import StateGraph
from millstream.pictures import DrawableGraph

FILE: Final = Path(__file__).parents[2] / "docs" / "pictures" / "graph.svg"


class State(TypedDict):
    text: str


def step(state: State) -> State:
    return state


def choose(state: State) -> str:
    return "found"


def researcher() -> Any:
    builder = StateGraph(State)
    for name in ("search", "read", "rank"):
        builder.add_node(name, step)
    builder.add_edge(START, "search").add_edge("search", "read")
    builder.add_conditional_edges("read", choose, {"found": "rank", "nothing new": "search"})
    return builder.add_edge("rank", END).compile()


def writer() -> DrawableGraph:
    builder = StateGraph(State)
    for name in ("plan", "outline", "draft", "review", "publish"):
        builder.add_node(name, step)
    builder.add_node("research", researcher())
    builder.add_edge(START, "plan").add_edge("plan", "research").add_edge("plan", "outline")
    builder.add_edge(["research", "outline"], "draft").add_edge("draft", "review")
    ends = {"accepted": "publish", "revise": "draft", "start over": "plan"}
    builder.add_conditional_edges("review", choose, ends)
    builder.add_edge("publish", END)
    return builder.compile(name="Writer", interrupt_before=["publish"]).get_graph(xray=True)


if __name__ == "__main__":
    FILE.write_text(writer().draw_svg(title="Writer"), encoding="utf-8")
