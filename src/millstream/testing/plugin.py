"""What pytest has from this package: fixtures and a marker, and nothing for tests without them.

pytest loads this module in every session of an environment that has millstream, so it imports what
the fixtures need when a test asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from millstream.testing.clock import FakeClock
    from millstream.testing.network import NetworkGuard
    from millstream.testing.scripted import ScriptedModel

NO_NETWORK: Final = "millstream_no_network"
"""The name of the fixture and of the marker."""


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marker."""
    config.addinivalue_line(
        "markers",
        f"{NO_NETWORK}(hosts=(), loopback=False, unix=False): the test gets no connection to "
        "anywhere else",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give the fixture to tests that have the marker."""
    names: list[str] = getattr(item, "fixturenames", [])
    if item.get_closest_marker(NO_NETWORK) is not None and NO_NETWORK not in names:
        names.insert(0, NO_NETWORK)


@pytest.fixture
def millstream_clock() -> Iterator[FakeClock]:
    """Give the test's runs and event loops a clock that the test sets: see `fake_clock`."""
    from millstream.testing.clock import fake_clock

    with fake_clock() as clock:
        yield clock


@pytest.fixture
def millstream_model(request: pytest.FixtureRequest) -> Iterator[Callable[..., ScriptedModel]]:
    """Give a function that makes a `ScriptedModel`; a turn that nobody asks for fails the test."""
    from millstream.testing.scripted import ScriptedModel

    made: list[ScriptedModel] = []

    def make(*turns: Any, **options: Any) -> ScriptedModel:
        made.append(ScriptedModel(*turns, **options))
        return made[-1]

    failed = request.session.testsfailed
    yield make
    # A test that failed before its end has said what is wrong.
    if request.session.testsfailed == failed:
        for model in made:
            model.assert_done()


@pytest.fixture
def millstream_no_network(request: pytest.FixtureRequest) -> Iterator[NetworkGuard]:
    """Refuse connections while the test runs, but for those that its marker allows."""
    from millstream.testing.network import no_network

    marker = request.node.get_closest_marker(NO_NETWORK)
    allowed: dict[str, Any] = {} if marker is None else marker.kwargs
    with no_network(**allowed, test=request.node.nodeid) as guard:
        yield guard
