"""No network: connections are refused, and the error says which, and in which test."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

__all__ = ("NetworkGuard", "NetworkRefused", "no_network")

LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})
METHODS: Final = {"connect": 0, "connect_ex": 0, "sendto": -1, "sendmsg": 3}
"""Methods of sockets that name an address -> its place among the arguments."""
LOOKUPS: Final = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")
"""Functions that ask for the address of a name, which is the first argument."""


class NetworkRefused(AssertionError):
    """Code of a test wanted to speak to a host, and was not allowed to."""

    def __init__(self, host: str, test: str) -> None:
        super().__init__(host, test)
        self.host = host
        self.test = test

    def __str__(self) -> str:
        where = f" in {self.test}" if self.test else ""
        return (
            f"no connection to {self.host}{where}: there is no network here. Replace what connects "
            "(a ScriptedModel for a model), or allow it: hosts=, loopback= or unix="
        )


class NetworkGuard:
    """What is allowed, and what was refused.

    Attributes:
        refused: The hosts that were refused, in order. Those that are still there at the end raise,
            because code may have caught the error; a test that expects them takes them out.
    """

    def __init__(
        self, *, hosts: Collection[str] = (), loopback: bool = False, unix: bool = False
    ) -> None:
        self._hosts = frozenset(hosts)
        self._is_loopback_allowed = loopback
        self._is_unix_allowed = unix
        self._here = threading.local()
        self.refused: list[str] = []

    def allows(self, family: int, address: Any) -> bool:
        """Say whether code may speak to an address of a family of sockets."""
        if family == getattr(socket, "AF_UNIX", None):
            return self._is_unix_allowed
        if family not in (socket.AF_INET, socket.AF_INET6):
            # Nothing else leads to a network that tests would know of.
            return True
        host = str(address[0]) if isinstance(address, tuple) and address else str(address)
        return self.allows_host(host)

    def allows_host(self, host: str) -> bool:
        """Say whether code may speak to a host, or ask for its address."""
        is_local_allowed = self._is_loopback_allowed or getattr(self._here, "is_pairing", False)
        return host in self._hosts or (is_local_allowed and is_loopback(host))

    @contextmanager
    def _pairing(self) -> Iterator[None]:
        """Allow this thread to connect two sockets of its own by way of this machine."""
        self._here.is_pairing = True
        try:
            yield
        finally:
            self._here.is_pairing = False

    def refuse(self, host: str, test: str) -> None:
        """Raise `NetworkRefused`, and take note of it."""
        self.refused.append(host)
        raise NetworkRefused(host, test)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, by its name or its address."""
    if host in LOCAL_NAMES or not host:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    # The unspecified address leads to this machine as well.
    return address.is_loopback or address.is_unspecified


@contextmanager
def no_network(
    *,
    hosts: Collection[str] = (),
    loopback: bool = False,
    unix: bool = False,
    test: str = "",
) -> Iterator[NetworkGuard]:
    """Refuse connections, datagrams and look-ups of names, in all threads, while inside.

    The fixture `millstream_no_network` is the same for a whole test. Python's sockets are watched:
    libraries that bring sockets of their own, such as uvloop, libpq and gRPC, are not seen.

    Args:
        hosts: Names and addresses that are allowed. A name alone does not allow its addresses.
        loopback: Whether this machine may be spoken to.
        unix: Whether Unix sockets may be connected.
        test: What the error names as the test.

    Raises:
        NetworkRefused: In the code that connects; and at the end if something was refused that is
            still in `refused`, unless another error is on its way.

    Example:
        >>> import socket
        >>> from millstream.testing import NetworkRefused, no_network
        >>> with no_network(test="an example") as guard:
        ...     try:
        ...         socket.create_connection(("example.org", 443))
        ...     except NetworkRefused as error:
        ...         print(error.host, guard.refused)
        ...     guard.refused.clear()
        example.org ['example.org']
    """
    guard = NetworkGuard(hosts=hosts, loopback=loopback, unix=unix)
    with ExitStack() as patched:
        for name, place in METHODS.items():
            if hasattr(socket.socket, name):
                method = _method(getattr(socket.socket, name), place, guard, test)
                patched.enter_context(patch.object(socket.socket, name, method))
        for name in LOOKUPS:
            lookup = _lookup(getattr(socket, name), guard, test)
            patched.enter_context(patch.object(socket, name, lookup))
        patched.enter_context(patch.object(socket, "socketpair", _pair(socket.socketpair, guard)))
        yield guard
    if guard.refused:
        raise NetworkRefused(", ".join(dict.fromkeys(guard.refused)), test)


def _method(
    real: Callable[..., Any], place: int, guard: NetworkGuard, test: str
) -> Callable[..., Any]:
    def method(self: socket.socket, *given: Any) -> Any:
        # `sendmsg` needs no address where the socket is connected.
        address = given[place] if place < len(given) else None
        if address is not None and not guard.allows(self.family, address):
            if real.__name__.startswith("connect"):
                # `create_connection` closes it for errors of the system alone.
                self.close()
            guard.refuse(told(address), test)
        return real(self, *given)

    return method


def _pair(real: Callable[..., Any], guard: NetworkGuard) -> Callable[..., Any]:
    def socketpair(*given: Any, **named: Any) -> Any:
        # Where the system has no pairs (Windows), one socket connects to the other; every event
        # loop needs a pair.
        with guard._pairing():
            return real(*given, **named)

    return socketpair


def _lookup(real: Callable[..., Any], guard: NetworkGuard, test: str) -> Callable[..., Any]:
    def lookup(host: Any, *given: Any, **named: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        # None and the empty name are this machine, to listen at; an address is no question.
        if name and not _is_address(name) and not guard.allows_host(name):
            guard.refuse(name, test)
        return real(host, *given, **named)

    return lookup


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def told(address: Any) -> str:
    """Return an address as an error names it."""
    if isinstance(address, tuple) and len(address) > 1:
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return str(address)
