"""A way to a database that is cut, and shut for a while."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from psycopg import conninfo


class Way:
    """Passes on what connections to a database carry, until they are cut."""

    def __init__(self, address: str) -> None:
        known = conninfo.conninfo_to_dict(address)
        self._target = (str(known["host"]), int(str(known["port"])))
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        self.address = address.replace(f":{known['port']}/", f":{port}/")
        self.is_shut = False
        self.cuts = 0
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept, name="test-way")]
        self._threads[0].start()

    def cut(self, most: int | None = None) -> None:
        """Cut what is connected, the oldest first: whatever is on its way is lost."""
        with self._lock:
            pairs, self._pairs = self._pairs[:most], self._pairs[len(self._pairs[:most]) :]
        self.cuts += len(pairs)
        for pair in pairs:
            for each in pair:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut everything, and end."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if self.is_shut:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                with self._lock:
                    self._pairs.append((client, server))
                thread = threading.Thread(target=_serve, args=(client, server), name="test-way")
                self._threads.append(thread)
                thread.start()


def _serve(client: socket.socket, server: socket.socket) -> None:
    """Carry one connection, in both directions."""
    back = threading.Thread(target=_carry, args=(server, client), name="test-way")
    back.start()
    _carry(client, server)
    back.join()
    client.close()
    server.close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
