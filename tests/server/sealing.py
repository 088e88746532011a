"""Encryption handlers of servers in tests: each tenant has a key of its own."""

from __future__ import annotations

import json
import os
import warnings
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any

from langgraph_sdk import Encryption, EncryptionContext
from langgraph_sdk.encryption.types import DecryptResult


def new() -> Encryption:
    """Return handlers, none so far."""
    with warnings.catch_warnings():
        # That the interface may change still.
        warnings.simplefilter("ignore")
        return Encryption()


PLAIN = ("owner", "shown")
asked: list[tuple[str, str | None, str | None, str]] = []
"""What handlers were asked: what for, model, field, tenant."""


def applied(context: EncryptionContext, data: bytes, nonce: bytes) -> bytes:
    """Return bytes, enciphered or deciphered with the key of a tenant."""
    key = sha256(tenant(context).encode() + nonce).digest()
    return bytes(byte ^ key[at % len(key)] for at, byte in enumerate(data))


def tenant(context: EncryptionContext) -> str:
    return str(context.metadata.get("tenant"))


def note(what: str, context: EncryptionContext) -> None:
    asked.append((what, context.model, context.field, tenant(context)))


def sealed(context: EncryptionContext, data: bytes) -> bytes:
    # The name of the tenant tells who opens it with another key.
    nonce = os.urandom(8)
    return nonce + applied(context, tenant(context).encode() + b"|" + data, nonce)


def opened(context: EncryptionContext, data: bytes) -> bytes:
    told, _, plain = applied(context, data[8:], data[:8]).partition(b"|")
    assert told.decode() == tenant(context), "it is opened in another context"
    return plain


def with_json(encryption: Encryption) -> Encryption:
    @encryption.encrypt.json
    async def encrypt_json(context: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
        note("seal", context)
        return {
            key: value
            if key in PLAIN
            else "enc:" + b64encode(sealed(context, json.dumps(value).encode())).decode()
            for key, value in data.items()
        }

    @encryption.decrypt.json
    async def decrypt_json(
        context: EncryptionContext, data: dict[str, Any]
    ) -> dict[str, Any] | DecryptResult[dict[str, Any]]:
        found = {
            key: json.loads(opened(context, b64decode(value[4:])))
            if isinstance(value, str) and value.startswith("enc:")
            else value
            for key, value in data.items()
        }
        return DecryptResult(found) if len(found) > 1 else found

    return encryption


def with_blobs(encryption: Encryption) -> Encryption:
    @encryption.encrypt.blob
    async def encrypt_blob(context: EncryptionContext, blob: bytes) -> bytes:
        note("seal", context)
        return sealed(context, blob)

    @encryption.decrypt.blob
    async def decrypt_blob(context: EncryptionContext, blob: bytes) -> bytes:
        return opened(context, blob)

    return encryption


whole = with_blobs(with_json(new()))
blobs = with_blobs(new())
objects = with_json(new())
tenants = with_blobs(with_json(new()))
"""Those of callers whose name is that of their tenant."""


@tenants.context
async def of_user(user: Any, context: EncryptionContext) -> dict[str, Any]:
    return {**context.metadata, "tenant": user.identity}


half = new()


@half.encrypt.json
async def never_opened(context: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
    return data


renaming = new()


@renaming.encrypt.json
async def rename(context: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
    return {"all": str(data)} if "secret" in data else data


@renaming.decrypt.json
async def never_renamed(context: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
    return data


failing = new()


@failing.encrypt.json
async def fail(context: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("no key")


@failing.decrypt.json
async def never(context: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
    return data


empty = new()
