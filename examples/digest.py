"""Write a digest of any text: the sentences that say most, in their order.

    read -> split -> score (one task per section, in parallel) -> select -> write

`make demo` runs this graph in the live view; `python examples/digest.py FILE` prints its custom
events alone. `extractive` holds the text work. The selection keeps from repeating itself
by maximal marginal relevance (Carbonell and Goldstein, 1998).
"""

from __future__ import annotations

import itertools
import math
import operator
import sys
from pathlib import Path
from typing import Annotated, Literal

from typing_extensions import TypedDict

from extractive import (
    MAX_BYTES,
    Section,
    Vector,
    decode,
    likeness,
    rate,
    shorten,
    to_sections,
    vector,
    weigh,
)
from millstream.config import get_stream_writer
from millstream.graph import END, START, StateGraph
from millstream.types import Send

DIGEST_SENTENCES = (3, 12)


class Scored(TypedDict):
    """A sentence, its place in the text and what it is worth."""

    place: int
    text: str
    score: float


class DigestInput(TypedDict):
    """What the graph is given."""

    path: str


class DigestState(TypedDict, total=False):
    """What the nodes share; each returns the part it made."""

    path: str
    text: str
    sections: list[Section]
    weights: dict[str, float]
    scored: Annotated[list[Scored], operator.add]
    chosen: list[Scored]
    digest: str


class ScoreInput(TypedDict):
    """What one scoring task is sent."""

    section: Section
    weights: dict[str, float]


def read(state: DigestInput) -> DigestState:
    """Read the file as text, whatever its encoding."""
    path = Path(state["path"])
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}; name a text file")
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    text, note = decode(raw[:MAX_BYTES])
    if len(raw) > MAX_BYTES:
        note += f", only the first {MAX_BYTES:,} bytes"
    get_stream_writer()(f"Read {path.name}: {len(text):,} characters{note}")
    return {"text": text}


def split(state: DigestState) -> DigestState:
    """Cut the text into sections of sentences, and weigh its words."""
    sections = to_sections(state["text"])
    sentences = [sentence for section in sections for sentence in section["sentences"]]
    weights = weigh(sentences)
    get_stream_writer()(f"Found sections: {len(sections)}, sentences: {len(sentences)}")
    return {"sections": sections, "weights": weights}


def send_sections(state: DigestState) -> list[Send] | Literal["select"]:
    """Start one scoring task per section; a text without sentences has nothing to score."""
    weights = state["weights"]
    sends = [Send("score", {"section": one, "weights": weights}) for one in state["sections"]]
    return sends or "select"


def score(state: ScoreInput) -> DigestState:
    """Rank the sentences of one section: TextRank times the weight of their words."""
    section, weights = state["section"], state["weights"]
    ratings = rate(section["sentences"], weights)
    scored: list[Scored] = [
        {"place": place, "text": text, "score": rating}
        for place, text, rating in zip(
            itertools.count(section["first"]), section["sentences"], ratings, strict=False
        )
    ]
    best = max(scored, key=operator.itemgetter("score"))
    get_stream_writer()(f"Scored {section['title']!r}, best: {shorten(best['text'], 60)}")
    return {"scored": scored}


def select(state: DigestState) -> DigestState:
    """Choose the best sentences, each unlike those chosen before it."""
    weights = state["weights"]
    ranked = sorted(state["scored"], key=operator.itemgetter("score"), reverse=True)
    low, high = DIGEST_SENTENCES
    wanted = min(len(ranked), high, max(low, round(math.sqrt(len(ranked)))))
    # Far more than can be chosen, and few enough to compare.
    pool = [(one, vector(one["text"], weights)) for one in ranked[:200]]
    chosen: list[tuple[Scored, Vector]] = []

    def worth(candidate: tuple[Scored, Vector]) -> float:
        one, meaning = candidate
        repeats = max((likeness(meaning, other) for _, other in chosen), default=0.0)
        return one["score"] * (1 - repeats)

    while len(chosen) < wanted:
        best = max(pool, key=worth)
        pool.remove(best)
        chosen.append(best)
    get_stream_writer()(f"Chose {len(chosen)} of {len(ranked)} sentences")
    return {"chosen": sorted((one for one, _ in chosen), key=operator.itemgetter("place"))}


def write(state: DigestState) -> DigestState:
    """Write the digest, a sentence at a time."""
    writer = get_stream_writer()
    lines = [f"Digest of {Path(state['path']).name}"]
    lines += [f"  * {shorten(one['text'], 500)}" for one in state["chosen"]]
    if not state["chosen"]:
        lines.append("  Nothing to summarise: there are no sentences in it.")
    writer("")
    for line in lines:
        writer(line)
    writer("")
    return {"digest": "\n".join(lines)}


builder = StateGraph(DigestState, input_schema=DigestInput)
builder.add_node("read", read)
builder.add_node("split", split)
builder.add_node("score", score, input_schema=ScoreInput)
builder.add_node("select", select)
builder.add_node("write", write)
builder.add_edge(START, "read")
builder.add_edge("read", "split")
builder.add_conditional_edges("split", send_sections, ["score", "select"])
builder.add_edge("score", "select")
builder.add_edge("select", "write")
builder.add_edge("write", END)
graph = builder.compile(name="digest")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/digest.py FILE")
    for event in graph.stream({"path": sys.argv[1]}, stream_mode="custom"):
        print(event, flush=True)
