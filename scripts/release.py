"""Build a release, and try it: `release.py [--draft]`. Nothing is published.

The sdist and the wheel are built twice, from two copies of the commit that is checked out, in other
folders, time zones and with other permissions; they must be the same to the byte, and the wheel the
same as one that is built from the sdist. Then every CPython found installs the wheel into an empty
environment, looks whether all that it asks for can be had, runs a graph, the command and a test.

A release also has to be one: a clean tree, a new version that CHANGELOG.md has a date for, the
addresses of the project, the page of the studio. `--draft` asks for none of that, and leaves what
it has built in build/release instead of dist.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.parser import Parser
from pathlib import Path
from typing import Final

from packaging.version import Version

ROOT: Final = Path(__file__).resolve().parents[1]
WORK: Final = ROOT / "build" / "release"
PAGE: Final = Path("src/millstream/server/studio/page")
CONDITIONS: Final[Sequence[Mapping[str, str]]] = (
    {"TZ": "UTC", "LC_ALL": "C"},
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8"},
)
"""What two builds differ in, besides their folders and the permissions of their files."""
NEEDED: Final = ("millstream/py.typed", "millstream/testing/plugin.py")
"""What the wheel has to have besides its code: what only other programs look for."""

STRICT: Final = (
    *("-W", "error"),
    # LangSmith, when it is imported on Python 3.14
    *("-W", "ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning"),
)
"""What has Python fail at a warning."""

PROGRAM: Final = """\
import millstream
from millstream.graph import START, MessagesState, StateGraph
graph = StateGraph(MessagesState).add_node("say", lambda state: {"messages": "Hello"})
result = graph.add_edge(START, "say").compile().invoke({"messages": "Hi"})
print(millstream.__version__, result["messages"][-1].text)
"""
TEST: Final = """\
def test_the_plugin_is_found(millstream_model):
    assert millstream_model("Hello").invoke("Hi").text == "Hello"
"""


def main() -> int:
    """Build and try what the arguments ask for; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/release", description=__doc__)
    parser.add_argument("--draft", action="store_true", help="build any commit")
    is_draft = parser.parse_args().draft
    version = version_of((ROOT / "src/millstream/version.py").read_text(encoding="utf-8"))
    problems = [] if is_draft else [*unready(version)]
    if not problems:
        commit = git("rev-parse", "HEAD")
        say(f"building {version} of {git('log', '-1', '--format=%h %s', commit)}")
        first, second = (built(WORK / name, commit, i) for i, name in enumerate(("one", "two")))
        problems = [*differences(first, second), *wrong_in(first, commit, version)]
    if not problems:
        wheel = next(path for path in first if path.suffix == ".whl")
        problems = tried(wheel, version)
    for problem in problems:
        say(f"FAILED: {problem}")
    if not problems:
        keep(first, WORK / "draft" if is_draft else ROOT / "dist", version, is_draft=is_draft)
    return int(bool(problems))


def version_of(text: str) -> str:
    """Return what version.py says; it is the only place that does."""
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("release: version.py has no __version__")
    return found[1]


def unready(version: str) -> Iterator[str]:
    """Yield why what is checked out is no release."""
    if git("status", "--porcelain"):
        yield "there are changes that are not committed"
    if git("tag", "--list", f"v{version}"):
        yield f"there is a tag v{version} already: raise the version in src/millstream/version.py"
    yield from wrong_in_changelog((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    if "[project.urls]" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8"):
        yield "pyproject.toml has no [project.urls]: nobody would find the project"
    if "has no public address yet" in (ROOT / "SECURITY.md").read_text(encoding="utf-8"):
        yield "SECURITY.md does not say where faults are reported"
    if not (ROOT / PAGE / "index.html").exists():
        yield "the page of the studio is not built: make studio"


def wrong_in_changelog(text: str, version: str) -> Iterator[str]:
    """Yield why a changelog is not that of a version."""
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    titles = [part.partition("\n")[0] for part in parts]
    if not titles or titles[0] != "[Unreleased]":
        yield "CHANGELOG.md does not begin with `## [Unreleased]`"
    elif re.search(r"^- ", parts[0], re.MULTILINE):
        yield f"CHANGELOG.md has unreleased changes: put them under `## [{version}] - YYYY-MM-DD`"
    dated = [title for title in titles[1:] if re.fullmatch(r"\[.+\] - \d{4}-\d\d-\d\d", title)]
    if dated != titles[1:]:
        yield "CHANGELOG.md has a version without a date (`## [1.2.3] - YYYY-MM-DD`)"
        return
    versions = [title[1 : title.index("]")] for title in dated]
    if versions[:1] != [version]:
        yield f"the newest version in CHANGELOG.md is {versions[:1]}, and the code has {version}"
    if versions != sorted(versions, key=Version, reverse=True):
        yield f"the versions in CHANGELOG.md are not in order, the newest first: {versions}"


def built(folder: Path, commit: str, number: int) -> list[Path]:
    """Build both from a copy of a commit, and the wheel from the sdist; return all three."""
    shutil.rmtree(folder, ignore_errors=True)
    tree, out = folder / "tree", folder / "out"
    tree.mkdir(parents=True)
    mask = 0o077 if number else 0o022
    archive = folder / "tree.tar"
    git("archive", f"--output={archive}", commit)
    subprocess.run(["tar", "-xf", archive, "-C", tree], check=True, umask=mask)
    if (ROOT / PAGE).is_dir():
        shutil.copytree(ROOT / PAGE, tree / PAGE)
    date = git("log", "-1", "--format=%ct", commit)
    environment = {**os.environ, **CONDITIONS[number], "SOURCE_DATE_EPOCH": date}

    def make(where: Path, out: Path, *targets: str) -> None:
        command = [sys.executable, "-m", "hatchling", "build", "-d", out, *targets]
        done = subprocess.run(
            command, cwd=where, env=environment, umask=mask, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"release: {where} cannot be built:\n{done.stdout}{done.stderr}")

    make(tree, out, "-t", "sdist", "-t", "wheel")
    [sdist] = out.glob("*.tar.gz")
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", sdist, "-C", unpacked], check=True, umask=mask)
    [source] = unpacked.iterdir()
    make(source, folder / "of-sdist", "-t", "wheel")
    return [sdist, *out.glob("*.whl"), *(folder / "of-sdist").glob("*.whl")]


def differences(first: Sequence[Path], second: Sequence[Path]) -> Iterator[str]:
    """Yield what two builds differ in, and the wheel of the sdist from that of the tree."""
    sdist, wheel, other = first
    pairs = [*zip(first, second, strict=True), (wheel, other)]
    for one, two in pairs:
        if one.read_bytes() == two.read_bytes():
            continue
        texts, others = contents(one), contents(two)
        names = sorted(
            name for name in texts.keys() | others.keys() if texts.get(name) != others.get(name)
        )
        yield (
            f"{one.relative_to(WORK)} and {two.relative_to(WORK)} differ"
            f" in {', '.join(names[:10]) or 'what stands beside the files'}"
        )
    say(f"built twice: {digest(sdist)}, {digest(wheel)}")


def contents(path: Path) -> dict[str, bytes]:
    """Return the files of an sdist or a wheel."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    with tarfile.open(path) as sdist:
        files = ((member.name, sdist.extractfile(member)) for member in sdist)
        return {name: file.read() for name, file in files if file is not None}


def wrong_in(built: Sequence[Path], commit: str, version: str) -> Iterator[str]:
    """Yield what is wrong with the sdist and the wheel of a version."""
    sdist, wheel, _ = built
    info = f"millstream-{version}.dist-info"
    files = contents(wheel)
    folders = ("src", "docs", "examples", "tests")
    tracked = set(git("ls-tree", "-r", "--name-only", commit, *folders).splitlines())
    code = {name.removeprefix("src/") for name in tracked if name.startswith("src/")}
    if missing := sorted({*code, *NEEDED, f"{info}/licenses/LICENSE"} - files.keys()):
        yield f"the wheel lacks {', '.join(missing[:10])}"
    page = PAGE.relative_to("src").as_posix()
    known = (f"{page}/", f"{info}/")
    if surplus := sorted(n for n in files if n not in code and not n.startswith(known)):
        yield f"the wheel has what is no part of the package: {', '.join(surplus[:10])}"
    if not (ROOT / PAGE).is_dir():
        say("without the page of the studio, which is not built")
    inside = {name.partition("/")[2] for name in contents(sdist)}
    if missing := sorted(tracked - inside):
        yield f"the sdist lacks {', '.join(missing[:10])}"
    about = Parser().parsestr(files[f"{info}/METADATA"].decode())
    if about["Version"] != version:
        yield f"the metadata name version {about['Version']}, version.py {version}"
    if b"millstream.testing.plugin" not in files[f"{info}/entry_points.txt"]:
        yield "pytest would not find the plugin"


def tried(wheel: Path, version: str) -> list[str]:
    """Install the wheel for every CPython found; return what went wrong."""
    found = subprocess.run(["scripts/find-pythons"], capture_output=True, text=True, check=True)
    pythons = dict(line.split(" ", 1) for line in found.stdout.splitlines())
    with ThreadPoolExecutor(2) as pool:
        tries = pool.map(lambda one: tried_with(*one, wheel, version), pythons.items())
        return [problem for problem in tries if problem]


def tried_with(name: str, python: str, wheel: Path, version: str) -> str:
    """Install the wheel into an empty environment, and use it; return what went wrong."""
    folder = WORK / f"python-{name}"
    own = folder / "bin" / "python"
    pip = [own, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    extras = ",".join(user_extras(wheel))
    steps: list[tuple[Sequence[str | Path], str | None]] = [
        ([*pip, "install", wheel], None),
        ([*pip, "check"], None),
        ([own, "-I", *STRICT, "-c", PROGRAM], f"{version} Hello\n"),
        ([folder / "bin" / "millstream", "--version"], f"millstream {version}\n"),
        ([own, "-I", "-m", "millstream", "--version"], f"millstream {version}\n"),
        ([*pip, "install", "--dry-run", f"{wheel}[{extras}]"], None),
        ([*pip, "install", "-c", ROOT / "constraints.txt", "pytest"], None),
        ([own, "-m", "pytest", "-q", *STRICT, "test_it.py"], None),
        # There millstream is imported before pytest.
        ([own, "-m", "millstream", "exec", "-m", "pytest", "-q", *STRICT], None),
    ]
    subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
    empty = folder / "empty"
    empty.mkdir()
    (empty / "test_it.py").write_text(TEST, encoding="utf-8")
    # Else pytest would take the configuration of this repository.
    (empty / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for command, expected in steps:
        done = subprocess.run(
            command, cwd=empty, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode or expected not in (None, done.stdout):
            words = " ".join(map(str, command)).replace("\n", "; ")
            return f"CPython {name}: {words}\nsaid (exit code {done.returncode}):\n{done.stdout}"
    say(f"CPython {name}: installed, run, tested; {extras} can be installed")
    return ""


def user_extras(wheel: Path) -> list[str]:
    """Return the extras that are not for developing the project itself."""
    files = contents(wheel)
    [name] = [name for name in files if name.endswith(".dist-info/METADATA")]
    about = Parser().parsestr(files[name].decode())
    return sorted(set(about.get_all("Provides-Extra", [])) - {"dev", "test", "docs"})


def keep(built: Sequence[Path], folder: Path, version: str, *, is_draft: bool) -> None:
    """Put sdist and wheel where they belong, and say what is left to do."""
    folder.mkdir(parents=True, exist_ok=True)
    sums = folder / "SHA256SUMS"
    for path in built[:2]:
        shutil.copy2(path, folder)
    sums.write_text("".join(f"{digest(path)}\n" for path in built[:2]), encoding="utf-8")
    say(f"{folder.relative_to(ROOT)} has {', '.join(path.name for path in built[:2])}")
    if not is_draft:
        say(f"to publish it: git tag -s v{version}, push the tag, upload {folder.name}/*{version}*")


def digest(path: Path) -> str:
    """Return a line of a file of checksums."""
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"


def git(*words: str) -> str:
    """Return what git says."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def say(line: str) -> None:
    """Tell whoever waits."""
    sys.stdout.write(f"release: {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
