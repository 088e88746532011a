"""The journal whose rows are sealed by handlers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from millstream.journal import PostgresJournal, SqliteJournal
from millstream.journal.saver import Journal
from millstream.journal.sealing import Sealing
from millstream.server.encryption.context import bound
from millstream.server.encryption.sealer import Sealer
from millstream.server.errors import ConfigError

_NAME: Final = "handlers"
"""The name of the cipher in the rows."""


class _Sealed(Journal):
    """A journal whose rows are sealed in the context of who stores them."""

    sealer: Sealer

    def _sealing(self) -> Sealing:
        known = super()._sealing()
        # Asked for where something is to be stored; it may be carried out elsewhere.
        return Sealing(known.serde, _Cipher(self.sealer, known.cipher))


class SealedJournal(_Sealed, SqliteJournal):
    """One in a file."""

    def __init__(self, path: str | os.PathLike[str], sealer: Sealer, **options: Any) -> None:
        super().__init__(path, **options)
        self.sealer = sealer


class SealedPostgresJournal(_Sealed, PostgresJournal):
    """One in PostgreSQL."""

    def __init__(self, address: str, sealer: Sealer, **options: Any) -> None:
        super().__init__(address, **options)
        self.sealer = sealer


class _Cipher:
    """The handlers, as a cipher in the context in which it is made."""

    def __init__(self, sealer: Sealer, other: Any) -> None:
        self._sealer = sealer
        self._seal = bound(sealer.seal_bytes)
        self._other = other
        """The cipher of rows that were sealed before there were handlers."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        """Return the name of the cipher, and what is stored."""
        return _NAME, self._seal("checkpoint", None, plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        """Return what was sealed."""
        if ciphername != _NAME and self._other is not None:
            opened: bytes = self._other.decrypt(ciphername, ciphertext)
            return opened
        return self._sealer.open_bytes("checkpoint", None, ciphertext)


def aes_serializer(serde: Any, environment: Mapping[str, str] = os.environ) -> Any:
    """Return a serializer that encrypts with `LANGGRAPH_AES_KEY`, or the same without that key."""
    if environment.get("LANGGRAPH_AES_JSON_KEYS"):
        # Whoever says so relies on it.
        raise ConfigError(
            "LANGGRAPH_AES_JSON_KEYS in the environment has keys of JSON sealed, which is not done "
            "here: take it out, and name handlers with encryption.path"
        )
    key = environment.get("LANGGRAPH_AES_KEY")
    if not key:
        return serde
    if len(key.encode()) not in (16, 24, 32):
        raise ConfigError("LANGGRAPH_AES_KEY in the environment has to have 16, 24 or 32 bytes")
    options = {} if serde is None else {"serde": serde}
    try:
        return EncryptedSerializer.from_pycryptodome_aes(key=key.encode(), **options)
    except ImportError as error:
        raise ConfigError(f"LANGGRAPH_AES_KEY is set, and needs pycryptodome: {error}") from error
