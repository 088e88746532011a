"""Whether a failed attempt is tried again, and after how long."""

from __future__ import annotations

from typing import Any

import pytest

from millstream.core.retry import decide_retry
from millstream.errors import FencedError
from millstream.types import RetryPolicy


def half() -> float:
    return 0.5


def policy(**options: Any) -> RetryPolicy:
    return RetryPolicy(**{"jitter": False, "retry_on": ValueError, **options})


def test_delays_grow_up_to_the_longest_allowed() -> None:
    """Each attempt waits `backoff_factor` times longer; the last one is not followed by any."""
    steep = policy(initial_interval=1.0, backoff_factor=3.0, max_interval=5.0, max_attempts=4)

    delays = [decide_retry([steep], ValueError(), attempt, half) for attempt in range(1, 5)]

    assert delays == [1.0, 3.0, 5.0, None]


def test_jitter_is_added_to_the_delay() -> None:
    """The random part is an input, even at the longest interval."""
    shaky = policy(initial_interval=8.0, max_interval=2.0, jitter=True)

    delay = decide_retry([shaky], ValueError(), 1, half)

    assert delay == 2.5


def test_the_first_policy_that_accepts_the_error_decides() -> None:
    """A later policy is not asked, even if the first one gives up."""
    policies = [
        policy(retry_on=KeyError, initial_interval=9.0),
        policy(initial_interval=1.0, max_attempts=2),
        policy(initial_interval=7.0, max_attempts=9),
    ]

    delays = [decide_retry(policies, ValueError(), attempt, half) for attempt in (1, 2)]

    assert delays == [1.0, None]


@pytest.mark.parametrize(
    ("retry_on", "expected"),
    [
        pytest.param(ValueError, True, id="class"),
        pytest.param(KeyError, False, id="other-class"),
        pytest.param((KeyError, ValueError), True, id="tuple"),
        pytest.param([KeyError, ValueError], True, id="list"),
        pytest.param((KeyError,), False, id="other-tuple"),
        pytest.param(lambda error: str(error) == "no", True, id="callable"),
        pytest.param(lambda error: 0, False, id="refusing-callable"),
    ],
)
def test_a_policy_says_which_errors_it_accepts(retry_on: Any, expected: bool) -> None:
    """By class, by several classes or by asking."""
    delay = decide_retry([policy(retry_on=retry_on)], ValueError("no"), 1, half)

    assert (delay is not None) is expected


@pytest.mark.parametrize("policies", [[], [policy(retry_on=BaseException)]])
def test_an_error_that_ends_the_program_is_never_tried_again(policies: list[Any]) -> None:
    """KeyboardInterrupt and its like pass through every policy."""
    assert decide_retry(policies, KeyboardInterrupt(), 1, half) is None


def test_a_run_that_goes_on_elsewhere_is_not_tried_again_here() -> None:
    """Whatever a policy accepts."""
    for retry_on in (FencedError, Exception, lambda error: True):
        policies = [policy(retry_on=retry_on)]
        assert decide_retry(policies, FencedError("thread", ""), 1, half) is None


def test_no_policy_means_no_retry() -> None:
    """Without policies the first failure counts."""
    assert decide_retry([], ValueError(), 1, half) is None


@pytest.mark.parametrize("retry_on", [7, KeyboardInterrupt()])
def test_a_policy_that_cannot_be_asked_is_refused(retry_on: Any) -> None:
    """The message lists what is allowed."""
    with pytest.raises(TypeError) as caught:
        decide_retry([policy(retry_on=retry_on)], ValueError(), 1, half)

    assert str(caught.value) == (
        "retry_on must be an Exception class, a list or tuple of Exception classes, or a callable"
    )
