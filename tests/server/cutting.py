"""A proxy that cuts connections in the middle of what they carry."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Cutting:
    """Passes bytes on, and cuts the first streams of events after some of theirs."""

    def __init__(self, target: tuple[str, int], after: list[int], mark: bytes) -> None:
        self._target = target
        self._mark = mark
        self.left = list(after)
        """After how many bytes each of the next streams is cut."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Cut everything."""
        # It waits in `accept`, which closing does not end.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._sockets:
            _cut(each)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                thread = threading.Thread(target=self._serve, args=(client, server))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """Carry one connection, in both directions."""
        limit: list[int] = []
        passed = 0

        def back() -> None:
            nonlocal passed
            with suppress(OSError):
                while data := server.recv(65536):
                    passed += len(data)
                    if limit and passed > limit[0]:
                        client.sendall(data[: limit[0] - passed])
                        break
                    client.sendall(data)
            _cut(client)
            _cut(server)

        thread = threading.Thread(target=back)
        thread.start()
        with suppress(OSError):
            while data := client.recv(65536):
                if self._mark in data and not data.startswith(b"OPTIONS ") and self.left:
                    limit[:] = [passed + self.left.pop(0)]
                server.sendall(data)
        _cut(client)
        _cut(server)
        thread.join()


def _cut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


@contextmanager
def cutting(url: str, after: list[int], mark: bytes = b"/stream/events") -> Iterator[Cutting]:
    """Give a proxy in front of a server, which cuts streams after so many bytes.

    A stream is what is asked for by a request with a mark in it.
    """
    host, _, port = url.removeprefix("http://").partition(":")
    proxy = Cutting((host, int(port)), after, mark)
    try:
        yield proxy
    finally:
        proxy.close()
