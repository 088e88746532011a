"""What pytest gets from the plugin, and that it is nothing for tests that do not ask."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import millstream

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("only_ours")

PLUGIN: Final = "millstream.testing.plugin"
ROOT: Final = Path(__file__).parents[2]


@pytest.fixture
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have sessions of tests load no other plugin: some take long."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", PLUGIN)


def test_the_fixtures_do_what_the_functions_do(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio, socket
        import pytest

        def test_time(millstream_clock):
            began = millstream_clock.seconds
            asyncio.run(asyncio.sleep(3600))
            assert round(millstream_clock.seconds - began) == 3600

        def test_model(millstream_model):
            model = millstream_model("Hello", repeat=True)
            assert model.invoke("Hi").text == "Hello"

        def test_network(millstream_no_network):
            with pytest.raises(AssertionError, match="example.org in .*::test_network"):
                socket.getaddrinfo("example.org", 80)
            assert millstream_no_network.refused.pop() == "example.org"

        @pytest.mark.millstream_no_network(loopback=True)
        def test_marked():
            with socket.create_server(("127.0.0.1", 0)) as server:
                socket.create_connection(server.getsockname()).close()
            with pytest.raises(AssertionError, match="192.0.2.1:80 in .*::test_marked"):
                socket.create_connection(("192.0.2.1", 80))
        """
    )

    result = pytester.runpytest_inprocess("--strict-markers", "-p", "no:cacheprovider")

    # What was refused and is not taken out fails the test when it is over.
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*NetworkRefused: no connection to 192.0.2.1:80 in *test_marked*"])


def test_a_turn_that_nobody_asks_for_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_model(millstream_model):
            millstream_model("one", "two").invoke("?")

        def test_that_fails(millstream_model):
            millstream_model("one", "two").invoke("?")
            assert not "nobody asks for the other turn because of this"
        """
    )

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*the script of a model has 2 turns, and it was called 1 times*"])


def test_tests_that_do_not_ask_have_what_they_had(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio, socket

        def test_nothing(request):
            assert not [n for n in request.fixturenames if n.startswith("millstream")]
            assert "connect" not in vars(socket.socket)
            loop = asyncio.events.new_event_loop()
            loop.close()
            assert type(loop).__module__.startswith("asyncio")
        """
    )

    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_loading_the_plugin_loads_nothing_of_what_it_gives() -> None:
    program = (
        f"import pytest, sys; before = set(sys.modules); import {PLUGIN}\n"
        "print(sorted(m for m in set(sys.modules) - before))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout == (
        "['millstream', 'millstream.testing', 'millstream.testing.plugin', 'millstream.version']\n"
    )


def test_millstream_may_be_imported_before_pytest() -> None:
    """Else pytest warns, because it looks at all modules of what has a plugin."""
    assert "PYTEST_DONT_REWRITE" in (millstream.__doc__ or "")


def test_pytest_finds_the_plugin() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert f'[project.entry-points.pytest11]\nmillstream = "{PLUGIN}"\n' in text
