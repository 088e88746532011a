"""The demo summarises any file, and another file gives another digest."""

from __future__ import annotations

import importlib
import subprocess
from pathlib import Path

import pytest

from forked_python import run_python

EXAMPLE = Path(__file__).parents[2] / "examples" / "digest.py"
TEXT = """# Rivers

A river carries water from the hills to the sea. Water wears the stone of its bed away.
A river that carries much stone builds a wide plain. Mr. Brook measured the river for years.

## Mills

- A mill turns the water of a river into work for people.
- The miller opens the gate and the water turns the wheel of the mill.

```
this is code and not a sentence of the text at all.
```
"""


def digest(path: Path) -> subprocess.CompletedProcess[str]:
    return run_python(str(EXAMPLE), str(path))


def lines_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the example says of a file, in this process."""
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    graph = importlib.import_module("digest").graph
    return list(graph.stream({"path": str(path)}, stream_mode="custom"))


def test_digest_consists_of_sentences_of_the_text_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "rivers.md"
    path.write_text(TEXT, encoding="utf-8")

    done = digest(path)

    lines = done.stdout.splitlines()
    chosen = [line[4:] for line in lines if line.startswith("  * ")]
    places = [TEXT.replace("\n", " ").index(sentence) for sentence in chosen]
    assert done.stderr == ""
    assert len(chosen) == 3
    assert places == sorted(places)
    assert "Found sections: 2, sentences: 6" in lines


def test_another_file_gives_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("Cats sleep through most of the day.", encoding="utf-8")
    other.write_text("Dogs run through most of the park.", encoding="utf-8")

    assert "  * Cats sleep through most of the day." in lines_of(one, monkeypatch)
    assert "  * Dogs run through most of the park." in lines_of(other, monkeypatch)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "  Nothing to summarise: there are no sentences in it."),
        (b"Hi.", "  Nothing to summarise: there are no sentences in it."),
        (bytes(range(256)) * 9, "Read file: 0 characters, it is not a text file"),
        (b"A caf\xe9 serves tea and cake.", "  * A café serves tea and cake."),
        ("Tea and cake for all.".encode("utf-16"), "  * Tea and cake for all."),
        ("水は山から海へ流れる。".encode(), "  * 水は山から海へ流れる。"),
        (b"Words of tea. " * 16_000, "Found sections: 640, sentences: 16000"),
    ],
    ids=["empty", "tiny", "binary", "latin", "utf-16", "japanese", "huge"],
)
def test_odd_files_give_a_sensible_digest(
    tmp_path: Path, content: bytes, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    assert line in lines_of(path, monkeypatch)
