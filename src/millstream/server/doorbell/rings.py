"""Who rings, and who has nobody to ring for."""

from __future__ import annotations

from typing import Protocol


class Rings(Protocol):
    """Has other replicas told that something is new, which is committed."""

    @property
    def is_listening(self) -> bool:
        """Whether what others ring for is heard at the moment."""

    sent: int
    received: int
    """Notifications, for who counts them."""

    def ring(self, kind: str, id: str | None = None) -> None:
        """Say of which kind it is, and which one; from any thread."""

    async def start(self) -> None:
        """Begin to ring, and to hear others."""

    async def close(self) -> None:
        """Ring for what is left, and hear nothing any more."""


class Silence:
    """Has nobody told anything: there are no other replicas."""

    is_listening = True
    sent = received = 0

    def ring(self, kind: str, id: str | None = None) -> None:
        """Do nothing."""

    async def start(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""
