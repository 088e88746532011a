"""The page of the studio as it is served; `make test-studio` tests what it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from millstream.server import studio
from millstream.server.config import HttpConfig
from server.fixtures import config_of, running
from server.graphs import make_graphs


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of a page that is served, in which nothing is yet."""
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    monkeypatch.setattr(studio, "PAGE", folder)
    return folder


def test_the_page_may_run_and_load_nothing_but_itself(page: Path, tmp_path: Path) -> None:
    (page / "index.html").write_text("<!doctype html>")
    (page / "assets" / "index-1.js").write_text("1")
    with running(config_of(make_graphs(), tmp_path)) as server:
        assert server.http.get("/studio").headers["location"] == "studio/"
        found = server.http.get("/studio/")
        asset = server.http.get("/studio/assets/index-1.js")

    for answer in (found, asset):
        assert answer.status_code == 200
        policy = dict(part.split(" ", 1) for part in answer.headers[POLICY].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert answer.headers["x-content-type-options"] == "nosniff"
    # What a name says is always the same, and the page has other names when it has changed.
    assert "immutable" in asset.headers["cache-control"]
    assert found.headers["cache-control"] == "no-cache"


POLICY = "content-security-policy"


def test_nothing_beside_the_page_is_served(page: Path, tmp_path: Path) -> None:
    (page / "secret.txt").write_text("secret")
    with running(config_of(make_graphs(), tmp_path)) as server:
        for name in ("..%2Fsecret.txt", "..%5Csecret.txt", "none.js", "%00"):
            answer = server.http.get(f"/studio/assets/{name}")
            assert answer.status_code == 404, name
            assert "secret" not in answer.text


def test_who_has_not_built_it_is_told_how(page: Path, tmp_path: Path) -> None:
    with running(config_of(make_graphs(), tmp_path)) as server:
        answer = server.http.get("/studio/")
    assert answer.status_code == 404
    assert "make studio" in answer.text


def test_it_can_be_left_out(page: Path, tmp_path: Path) -> None:
    (page / "index.html").write_text("<!doctype html>")
    config = config_of(make_graphs(), tmp_path, http=HttpConfig(disable_ui=True))
    with running(config) as server:
        assert server.http.get("/studio/").status_code == 404
