"""From the configuration to the handlers."""

from __future__ import annotations

from langgraph_sdk import Encryption

from millstream.server.config import ServerConfig
from millstream.server.encryption.sealer import Sealer
from millstream.server.errors import ConfigError
from millstream.server.graph_files import import_configured


def load_sealer(config: ServerConfig) -> Sealer | None:
    """Return what the configuration says that things are sealed with; imports its handlers."""
    if config.encryption is None:
        return None
    target = config.encryption.path
    found = import_configured(
        config, "encryption.path", target, Encryption, "langgraph_sdk.Encryption"
    )
    _check(config, target, found)
    return Sealer(found)


def _check(config: ServerConfig, target: str, found: Encryption) -> None:
    pairs = {
        "json": (found._json_encryptor, found._json_decryptor),
        "blob": (found._blob_encryptor, found._blob_decryptor),
    }
    for kind, (seals, opens) in pairs.items():
        if (seals is None) != (opens is None):
            missing = "encrypt" if seals is None else "decrypt"
            raise ConfigError(
                f"encryption.path is {target!r}, which has one of two handlers: give it "
                f"@{missing}.{kind} too"
            )
    if all(seals is None for seals, _ in pairs.values()):
        raise ConfigError(f"encryption.path is {target!r}, which has no handlers")
    if found._blob_encryptor is not None and config.checkpointer.path is not None:
        raise ConfigError(
            "encryption.path has handlers for blobs, which seal the checkpoints of the server's "
            "own saver, and checkpointer.path names another one; take one of them out"
        )
    if found._json_encryptor is not None and config.store.index is not None:
        raise ConfigError(
            "encryption.path has handlers for JSON, and store.index keeps vectors of texts in the "
            "clear, which tell what they are of; take one of them out"
        )
