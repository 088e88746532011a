"""What a saver's serializer makes of values, and what its cipher makes of bytes.

Values are cut before they are encrypted, so a serializer that encrypts is taken apart: the inner
one writes the value, and what is stored of it is sealed with the cipher. Nothing that is stored
says what the content is equal to. Every other serializer is asked as it is, and its bytes are cut
if it says that they are msgpack.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Final

from langgraph.checkpoint.serde.base import CipherProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from millstream.journal.damage import DamagedRow

PLAIN: Final = b"\0"
SEALED: Final = b"\1"
PACKED: Final = b"\2"
_LONG: Final = 1024
"""Bytes from which on a row is compressed: it is the names of many parts."""
_MOST: Final = 1 << 28
"""Bytes that a row may have when it is no longer compressed."""
_LONGEST_NAME: Final = 255


@dataclass(slots=True, frozen=True)
class Sealing:
    """A serializer and what is between it and the rows."""

    serde: Any
    """Writes and reads values; it encrypts nothing itself, unless nobody knows how it does so."""
    cipher: CipherProtocol | None = None
    is_usual: bool = False
    """Whether it is LangGraph's own serializer, as it comes: what that reads is known."""

    def seal(self, data: bytes) -> bytes:
        """Return what is stored of bytes."""
        if self.cipher is None:
            return PLAIN + data
        name, sealed = self.cipher.encrypt(data)
        encoded = name.encode()
        if len(encoded) > _LONGEST_NAME:
            raise ValueError(f"the name of a cipher is too long: {name!r}")
        return b"".join((SEALED, bytes((len(encoded),)), encoded, sealed))

    def seal_row(self, data: bytes) -> bytes:
        """Return what is stored of the body of a checkpoint, compressed if it is long.

        Not if it is encrypted, so that the size says nothing of what is in it.
        """
        if self.cipher is None and len(data) > _LONG:
            return PACKED + zlib.compress(data, 1)
        return self.seal(data)

    def open(self, stored: bytes) -> bytes:
        """Return the bytes of what was stored."""
        mark = stored[:1]
        if mark == PLAIN:
            return stored[1:]
        if mark == PACKED:
            unpacking = zlib.decompressobj()
            data = unpacking.decompress(stored[1:], _MOST)
            if not unpacking.eof:
                raise DamagedRow("what is compressed has no end")
            return data
        if mark != SEALED or len(stored) < 2:
            raise DamagedRow("it is neither plain nor encrypted")
        if self.cipher is None:
            raise DamagedRow(
                "it is encrypted: give the journal the serializer that it was written with, "
                "as in serde=EncryptedSerializer.from_pycryptodome_aes()"
            )
        end = 2 + stored[1]
        return self.cipher.decrypt(stored[2:end].decode(), stored[end:])


def sealing_of(serde: Any) -> Sealing:
    """Return how values are stored with a serializer."""
    if isinstance(serde, EncryptedSerializer):
        kind = type(serde)
        # What somebody has changed, to add a check perhaps, is not taken apart.
        if (
            kind.dumps_typed is EncryptedSerializer.dumps_typed
            and kind.loads_typed is EncryptedSerializer.loads_typed
        ):
            return Sealing(serde.serde, serde.cipher, _is_usual(serde.serde))
    return Sealing(serde, None, _is_usual(serde))


def _is_usual(serde: Any) -> bool:
    # Of its class: what a program puts around a serializer passes on what it is asked for.
    if hasattr(type(serde), "is_usual"):
        return bool(serde.is_usual)
    return type(serde) is JsonPlusSerializer and "loads_typed" not in vars(serde)
