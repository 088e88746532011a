"""The transition table, and the error of a driver that breaks it."""

from __future__ import annotations

import pickle

import pytest

from millstream.core.state import ALLOWED, ENDED, ProtocolError, RunStatus


def test_the_ends_are_the_statuses_that_allow_no_input() -> None:
    """A status is an end exactly if no input is listed for it."""
    without_input = set(RunStatus) - set(ALLOWED.values())

    assert set(ENDED) == without_input


@pytest.mark.parametrize("received", sorted(ALLOWED))
def test_a_protocol_error_names_the_input_and_both_statuses(received: str) -> None:
    """The message says what came, when it is allowed and where the run stands."""
    error = ProtocolError(received, RunStatus.PAUSED)

    message = str(error)

    assert message == (
        f"{received}() is allowed while the run is {ALLOWED[received].value!r}, "
        "but it is 'paused'; this is a bug in the driver"
    )


def test_a_protocol_error_pickles_with_its_facts() -> None:
    """The error arrives whole in another process."""
    error = ProtocolError("commit", RunStatus.READY)

    twin = pickle.loads(pickle.dumps(error))

    assert (twin.received, twin.status) == ("commit", RunStatus.READY)
    assert str(twin) == str(error)
