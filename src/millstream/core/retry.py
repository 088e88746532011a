"""Whether a failed attempt is tried again, and after how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from millstream.errors import FencedError

if TYPE_CHECKING:
    from millstream.types import RetryPolicy


def decide_retry(
    policies: Sequence[RetryPolicy],
    error: BaseException,
    attempt: int,
    jitter: Callable[[], float],
) -> float | None:
    """Return the seconds to wait before the next attempt, or None to give up.

    The first policy that accepts the error decides. `attempt` counts the attempts made so far,
    from 1, over all policies; `jitter` gives a number in [0, 1).
    """
    # Signals and cancellations end the attempt because somebody wants it to end. What a graph that
    # the node calls is told when its run was taken over does so too: it goes on elsewhere.
    if not isinstance(error, Exception) or isinstance(error, FencedError):
        return None
    for policy in policies:
        if not _accepts(policy, error):
            continue
        # The others are not asked: a policy that is in charge and gives up has decided.
        if attempt >= policy.max_attempts:
            return None
        delay = policy.initial_interval * policy.backoff_factor ** (attempt - 1)
        delay = min(policy.max_interval, delay)
        # On top of the longest interval too, so that many that failed together do not try together.
        return delay + jitter() if policy.jitter else delay
    return None


def _accepts(policy: RetryPolicy, error: Exception) -> bool:
    retry_on: Any = policy.retry_on
    # First, because a class can be called, and would make a true value of any error.
    if isinstance(retry_on, type) and issubclass(retry_on, Exception):
        return isinstance(error, retry_on)
    if isinstance(retry_on, (list, tuple)):
        return isinstance(error, tuple(retry_on))
    if callable(retry_on):
        return bool(retry_on(error))
    raise TypeError(
        "retry_on must be an Exception class, a list or tuple of Exception classes, or a callable"
    )
