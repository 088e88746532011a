"""What a server says of itself, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.fixtures import Running, config_of, running
from server.graphs import make_graphs


def test_it_says_that_it_is_up_with_its_database(server: Running) -> None:
    for path in ("/", "/ok", "/ok?check_db=1"):
        response = server.http.get(path)

        assert response.status_code == 200
        assert response.json() == {"ok": True, "services": {}}


def test_info_has_what_clients_look_for(server: Running) -> None:
    info = server.http.get("/info").json()

    assert info["flags"]["assistants"] is True
    assert {"version", "langgraph_py_version", "flags", "host"} <= set(info)


def test_unknown_paths_and_methods_are_refused_in_the_form_of_all_errors(server: Running) -> None:
    missing = server.http.get("/nope")
    wrong = server.http.put("/ok")

    assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})
    assert (wrong.status_code, wrong.json()) == (405, {"detail": "Method Not Allowed"})
    assert wrong.headers["allow"] == "GET, HEAD"


def test_trap_12_browsers_may_ask_and_read_where_streams_are(server: Running) -> None:
    asked = server.http.options(
        "/ok",
        headers={
            "Origin": "https://page.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-api-key",
            "Access-Control-Request-Private-Network": "true",
        },
    )
    got = server.http.get("/info", headers={"Origin": "https://page.example"})

    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "*"
    assert asked.headers["access-control-allow-private-network"] == "true"
    exposed = got.headers["access-control-expose-headers"].split(", ")
    assert {"content-location", "location", "x-pagination-total"} <= set(exposed)


@pytest.mark.usefixtures("no_thread_is_left")
def test_nothing_is_left_of_a_server_that_ends(tmp_path: Path) -> None:
    with running(config_of(make_graphs(), tmp_path)) as server:
        assert server.http.get("/ok").status_code == 200
