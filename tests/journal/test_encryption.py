"""At rest nothing can be read without the key, and what is alike is still stored once."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from journal.journals import SyncCalls, new_config
from journal.states import States, Thread
from millstream.graph import START, MessagesState, StateGraph
from millstream.journal.damage import DamagedRow

CONFIG: Any = {"configurable": {"thread_id": "thread"}}
SECRET = "the mill grinds at night, and nobody knows of it"


class Cipher:
    """A cipher for tests: a stream from a hash, and a tag that tells another key."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        """Return name, nonce, tag and text."""
        nonce = os.urandom(8)
        tag = hashlib.blake2b(plaintext, key=self.key, digest_size=8).digest()
        return "test", nonce + tag + self._mixed(nonce, plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        """Return the text; refuse what another key has written."""
        plaintext = self._mixed(ciphertext[:8], ciphertext[16:])
        tag = hashlib.blake2b(plaintext, key=self.key, digest_size=8).digest()
        if tag != ciphertext[8:16]:
            raise ValueError("another key")
        return plaintext

    def _mixed(self, nonce: bytes, text: bytes) -> bytes:
        stream = hashlib.shake_128(self.key + nonce).digest(len(text))
        return bytes(a ^ b for a, b in zip(text, stream, strict=True))


def talking(journal: Any) -> Any:
    """Return a graph that answers."""
    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda state: {"messages": [("ai", SECRET * 20)]})
    return builder.add_edge(START, "answer").compile(checkpointer=journal)


def test_a_file_says_nothing_and_is_not_larger_for_it(lasting: SyncCalls) -> None:
    """Names of channels and nodes, and what metadata says, are not to be found in it either."""
    calls = lasting
    journal = calls.open(serde=EncryptedSerializer(Cipher(b"key")))
    graph = talking(journal)
    config = {**CONFIG, "metadata": {"user": SECRET}}
    for _ in range(40):
        graph.invoke({"messages": [HumanMessage(SECRET * 20)]}, config)
    state = graph.get_state(CONFIG)
    assert len(state.values["messages"]) == 80
    assert calls.list(journal, None, filter={"user": SECRET}, limit=1)
    calls.close(journal)
    if calls.kind != "sqlite":
        return  # a server's files are not ours to read
    data = b"".join(path.read_bytes() for path in _files(calls.address))
    for word in (SECRET[:20], "messages", "answer", "HumanMessage"):
        assert word.encode() not in data
    assert len(data) < 3 * sum(len(each.content) for each in state.values["messages"])


def _files(address: str) -> list[Any]:
    import pathlib

    return list(pathlib.Path(address).parent.glob("threads.db*"))


def test_without_the_key_reading_is_an_error(lasting: SyncCalls) -> None:
    """One that says what to do."""
    calls = lasting
    journal = calls.open(serde=EncryptedSerializer(Cipher(b"key")))
    calls.call(journal.put, *Thread(States(1), "thread").next())
    with pytest.raises(DamagedRow, match="encrypted: give the journal the serializer"):
        calls.call(calls.open().get_tuple, new_config("thread"))
    other = calls.open(serde=EncryptedSerializer(Cipher(b"other")))
    with pytest.raises(ValueError, match="another key"):
        calls.call(other.get_tuple, new_config("thread"))


def test_a_plain_thread_can_go_on_encrypted(calls: SyncCalls) -> None:
    """What was stored before stays readable, as with the packages' savers."""
    journal = calls.open()
    talking(journal).invoke({"messages": [HumanMessage("plain")]}, CONFIG)
    journal.serde = EncryptedSerializer(Cipher(b"key"))
    talking(journal).invoke({"messages": [HumanMessage("secret")]}, CONFIG)
    found = [each.content for each in talking(journal).get_state(CONFIG).values["messages"]]
    assert found == ["plain", SECRET * 20, "secret", SECRET * 20]
