"""Plain functions that turn bytes into weighed sentences; `digest` makes a graph of them.

The summary is extractive and classical: TextRank (Mihalcea and Tarau, 2004) says how central a
sentence is among its neighbours, and inverse document frequency says which words count.
"""

from __future__ import annotations

import codecs
import itertools
import math
import operator
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from typing_extensions import TypedDict

MAX_BYTES = 1_000_000
SECTION_SENTENCES = 25

COMMON_WORDS = """
    a about after all also am an and any are as at be because been before being but by can could
    did do does doing down each either else ever every few for from had has have having he her here
    hers him his how however i if in into is it its itself just may me might more most much must my
    no nor not now of off on once one only or other our out over own per same shall she should so
    some such than that the their them then there these they this those through to too two under
    until up upon us very was we were what when where which while who whom whose why will with
    within without would yet you your
"""
STOP_WORDS = frozenset(COMMON_WORDS.split())
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_]+(?:['’][^\W\d_]+)?")
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\Wa-z_])|(?<=[。！？])")
ABBREVIATION = re.compile(r"(?:^|\s|\()(?:[A-Z]|Mrs?|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|cf|No|Fig)\.$")
ITEM = re.compile(r"(?:[-*+•]|\d+[.)])\s+")
HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*$")
# Comments and tags go; of images and links only the text stays.
MARKUP = re.compile(
    r"<!--(?:(?!<!--).)*?-->|</?[a-zA-Z][^<>]*>|!?\[([^\[\]]*)\]\([^()]*\)", re.DOTALL
)


Vector: TypeAlias = dict[str, float]


class Section(TypedDict):
    """A part of the text under one heading."""

    title: str
    first: int
    sentences: list[str]


def decode(raw: bytes) -> tuple[str, str]:
    """Return the text in `raw`, and what is to be said about it."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", errors="replace"), " of UTF-16"
    # Control characters are rare in text and common everywhere else.
    sample = raw[:65_536]
    if sum(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in sample) > len(sample) / 50:
        return "", ", it is not a text file"
    try:
        # Where only a part was read, its end may lie inside a character.
        text, _ = codecs.utf_8_decode(raw, "strict", len(raw) < MAX_BYTES)
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace"), " of Windows-1252 (it is not UTF-8)"
    return text.removeprefix("\ufeff"), ""


def to_sections(text: str) -> list[Section]:
    """Cut `text` at its headings, and where a section gets too long for one task."""
    sections: list[Section] = []
    place = 0
    for title, group in itertools.groupby(to_blocks(text), key=operator.itemgetter(0)):
        found = [sentence for _, block in group for sentence in to_sentences(block)]
        for start in range(0, len(found), SECTION_SENTENCES):
            part = found[start : start + SECTION_SENTENCES]
            name = f"{title}, part {start // SECTION_SENTENCES + 1}" if start else title
            sections.append({"title": name, "first": place, "sentences": part})
            place += len(part)
    return sections


def to_blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield (heading, paragraph or list item); code, tables and markup are left out."""
    title, lines, fenced = "the text", list[str](), False
    for line in [*MARKUP.sub(r"\1", text).replace("**", "").splitlines(), ""]:
        line = line.strip()
        fenced ^= line.startswith(("```", "~~~"))
        heading, item = HEADING.match(line), ITEM.match(line)
        ruled = len(line) > 2 and len(set(line)) == 1 and line[0] in "=-~*_`"
        if line and not (heading or item or ruled or fenced or line[0] == "|"):
            lines.append(line)
            continue
        if ruled and len(lines) == 1:
            title = lines.pop()
        if lines:
            yield title, " ".join(lines)
        title = heading[1] if heading and not fenced else title
        lines = [line[item.end() :]] if item and not fenced else []


def to_sentences(block: str) -> Iterator[str]:
    """Yield the sentences of a paragraph; abbreviations do not end one."""
    start = ""
    for part in SENTENCE_END.split(block):
        sentence = f"{start} {part}".strip()
        if ABBREVIATION.search(sentence):
            start = sentence
        else:
            start = ""
            if len(WORD.findall(sentence)) > 2:
                yield sentence
    if start:
        yield start


def weigh(sentences: Iterable[str]) -> dict[str, float]:
    """Return what each word tells: much when it returns, little when it is everywhere."""
    bags = [set(words(sentence)) for sentence in sentences]
    counts = Counter(word for bag in bags for word in bag)
    return {word: math.log(1 + n) * math.log(1 + len(bags) / n) for word, n in counts.items()}


def rate(sentences: list[str], weights: dict[str, float]) -> list[float]:
    """Return what each sentence of a section is worth."""
    ratings: list[float] = []
    ranks = text_rank([vector(sentence, weights) for sentence in sentences])
    for sentence, rank in zip(sentences, ranks, strict=True):
        telling = set(words(sentence))
        weight = sum(weights[word] for word in telling) / max(len(telling), 1)
        # Fragments and endless lists make poor sentences of a digest.
        fitness = min(1.0, len(telling) / 8) * min(1.0, 40 / len(sentence.split()))
        ratings.append(rank * weight * fitness)
    return ratings


def words(sentence: str) -> list[str]:
    """Return the words that say something, without endings that only grammar asks for."""
    found = (word.removesuffix("'s") for word in WORD.findall(sentence.lower()))
    return [
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for word in found
        if word not in STOP_WORDS
    ]


def text_rank(vectors: list[Vector]) -> list[float]:
    """Return how central each sentence is: 1 on average, more where many others are alike."""
    size = len(vectors)
    links = [[0.0] * size for _ in vectors]
    for i, j in itertools.combinations(range(size), 2):
        links[i][j] = links[j][i] = likeness(vectors[i], vectors[j])
    totals = [sum(row) or 1.0 for row in links]
    ranks = [1.0] * size
    for _ in range(20):
        shares = [rank / total for rank, total in zip(ranks, totals, strict=True)]
        ranks = [0.15 + 0.85 * sum(map(operator.mul, row, shares)) for row in links]
    return ranks


def vector(sentence: str, weights: dict[str, float]) -> Vector:
    """Return the weighted words of a sentence as a vector of length 1."""
    bag = {word: count * weights[word] for word, count in Counter(words(sentence)).items()}
    length = math.hypot(*bag.values())
    return {word: value / length for word, value in bag.items()}


def likeness(one: Vector, other: Vector) -> float:
    """Return the cosine of the angle between two vectors of length 1."""
    return sum(one[word] * other[word] for word in one.keys() & other.keys())


def shorten(text: str, width: int) -> str:
    """Return `text` in at most `width` characters."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"
