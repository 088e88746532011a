"""A way to a database that is cut, shut for a while, or does not let through in a direction."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from psycopg import conninfo

TO_SERVER, TO_CLIENT = "to the server", "to the client"


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
        self._passes = {TO_SERVER: threading.Event(), TO_CLIENT: threading.Event()}
        self.release()
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

    def hold(self, *directions: str) -> None:
        """Let nothing through in some directions, no end of a connection either.

        Nobody is told: as where a network loses all packets, and they are sent again and again.
        """
        for direction in directions:
            self._passes[direction].clear()

    def release(self) -> None:
        """Let through what was held, and what comes."""
        for passes in self._passes.values():
            passes.set()

    def close(self) -> None:
        """Cut everything, and end."""
        self.release()
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
                thread = threading.Thread(
                    target=self._serve, args=(client, server), name="test-way"
                )
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """Carry one connection, in both directions."""
        passes = self._passes[TO_CLIENT]
        back = threading.Thread(target=_carry, args=(server, client, passes), name="test-way")
        back.start()
        _carry(client, server, self._passes[TO_SERVER])
        back.join()
        client.close()
        server.close()


def _carry(source: socket.socket, target: socket.socket, passes: threading.Event) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            passes.wait()
            target.sendall(data)
    passes.wait()
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
