"""A release is what `scripts/release` says it is, and what it would build is described right."""

from __future__ import annotations

import importlib.util
import re
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[1]
METADATA: Final = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
RELEASED: Final = """\
# Changelog

## [Unreleased]

## [0.10.0] - 2026-12-01

### Added

- Something.

## [0.9.0] - 2026-11-01
"""


@pytest.fixture(scope="module")
def release() -> Any:
    """Give the module behind `scripts/release`."""
    spec = importlib.util.spec_from_file_location("release", ROOT / "scripts" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_version_is_read_from_its_only_place(release: Any) -> None:
    import millstream

    text = (ROOT / "src/millstream/version.py").read_text(encoding="utf-8")

    assert release.version_of(text) == millstream.__version__


def test_a_changelog_with_a_date_for_the_version_is_right(release: Any) -> None:
    assert [*release.wrong_in_changelog(RELEASED, "0.10.0")] == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("## [Unreleased]\n", "", "does not begin with"),
        ("## [Unreleased]\n", "## [Unreleased]\n\n- More.\n", "has unreleased changes"),
        (" - 2026-12-01", "", "a version without a date"),
        ("0.10.0", "0.11.0", "the newest version"),
        ("0.9.0", "0.12.0", "not in order"),
    ],
)
def test_another_changelog_is_told_of(release: Any, old: str, new: str, problem: str) -> None:
    told = [*release.wrong_in_changelog(RELEASED.replace(old, new), "0.10.0")]

    assert problem in told[0]


def test_our_changelog_has_what_is_not_released_on_top(release: Any) -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert re.findall(r"^## (.*)", text, re.MULTILINE)[0] == "[Unreleased]"


def wheel(folder: Path, **files: str) -> Path:
    """Make a wheel of these files."""
    folder.mkdir()
    path = folder / "millstream-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return path


def test_builds_that_differ_are_told_of_by_their_files(
    release: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "WORK", tmp_path)
    one, same = wheel(tmp_path / "one", a="1", b="2"), wheel(tmp_path / "same", a="1", b="2")
    other = wheel(tmp_path / "other", a="1", b="3", c="4")

    assert [*release.differences([one, one, one], [same, same, same])] == []
    assert [
        line.partition(" differ in ")[2]
        for line in release.differences([one, one, other], [same, same, other])
    ] == ["b, c"]


def test_the_classifiers_name_the_pythons_that_are_tested() -> None:
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', METADATA)
    looked_for = (ROOT / "scripts" / "find-pythons").read_text(encoding="utf-8")

    assert named == ["3.10", "3.11", "3.12", "3.13", "3.14"]
    assert f'requires-python = ">={named[0]}"' in METADATA
    assert f"for version in {' '.join(reversed(named))}; do" in looked_for


def test_what_runs_before_a_commit_is_part_of_the_check_and_fetches_nothing() -> None:
    given = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    check = (ROOT / "scripts" / "check").read_text(encoding="utf-8")

    [repository] = given["repos"]
    entries = [hook["entry"].replace(" --force-exclude", "") for hook in repository["hooks"]]

    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    for entry in entries:
        tool, *arguments = entry.removeprefix(".venv/bin/").split(" ")
        assert " ".join([f'"$bin/{tool}"', *arguments]) in check
