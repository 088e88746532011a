"""Checkpoints and caches hold the names that LangGraph uses."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import pickle
import sqlite3
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

import langgraph.types
import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.event_hooks import register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from ormsgpack import Ext, packb
from pydantic import BaseModel, ConfigDict

import millstream.types
from forked_python import run_python
from millstream.wire import UnknownPacketError, WireSerializer, wired

Types = Any
"""The module `types` of either library."""

PACKETS: dict[str, Callable[[Types], Any]] = {
    "send": lambda types: types.Send("node", {"k": 1}),
    "send with a timeout": lambda types: types.Send("node", {"k": 1}, timeout=3),
    "send in a send": lambda types: types.Send("node", {"k": types.Send("other", [])}),
    "command": lambda types: types.Command(
        update={"log": types.Overwrite(["a"])}, goto=[types.Send("node", 1)], resume={"id": 1}
    ),
    "interrupt": lambda types: types.Interrupt({"q": 1}, "1f", response_schema={"type": "string"}),
    "interrupts": lambda types: [types.Interrupt("q", "1f"), types.Interrupt("r", "2f")],
    "overwrite": lambda types: types.Overwrite([1]),
    "timeout policy": lambda types: types.TimeoutPolicy(run_timeout=1.0, refresh_on="heartbeat"),
    "state update": lambda types: types.StateUpdate({"x": 1}, "node", None),
    "output": lambda types: types.GraphOutput({"x": 1}, [types.Interrupt("q", "1f")]),
    "in a dict": lambda types: {"a": {"b": [types.Send("node", 1)]}, 1: types.Send("node", 2)},
    "in a set": lambda types: {types.Send("node", 1)},
    "in a deque": lambda types: deque([types.Interrupt("q", "1f")]),
    "in a dataclass": lambda types: Box([types.Send("node", Box(types.Interrupt("q", "1f")))]),
    "in a model": lambda types: Model(value=types.Send("node", 1, timeout=1)),
}
# Read back with lists for tuples, by LangGraph too.
SNAPSHOTS: dict[str, Callable[[Types], Any]] = {
    "task": lambda types: types.PregelTask("1f", "node", ("__pregel_pull", "node")),
    "snapshot": lambda types: types.StateSnapshot(
        {"x": 1}, ("node",), {"configurable": {}}, None, None, None, (), ()
    ),
}


@dataclasses.dataclass
class Box:
    value: Any


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    value: Any


class Mixing:
    """A cipher for tests."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "mixing", bytes(255 - byte for byte in plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "mixing"
        return bytes(255 - byte for byte in ciphertext)


def wire(**options: Any) -> Any:
    return wired(InMemorySaver(serde=JsonPlusSerializer(**options))).serde


@pytest.mark.parametrize("make", [*PACKETS.values(), *SNAPSHOTS.values()], ids=lambda _: "")
def test_what_is_written_equals_what_langgraph_writes(make: Callable[[Types], Any]) -> None:
    theirs = JsonPlusSerializer().dumps_typed(make(langgraph.types))

    assert wire().dumps_typed(make(millstream.types)) == theirs


@pytest.mark.parametrize("make", PACKETS.values(), ids=PACKETS)
def test_what_langgraph_wrote_is_read_as_our_classes(make: Callable[[Types], Any]) -> None:
    stored = JsonPlusSerializer().dumps_typed(make(langgraph.types))

    assert wire().loads_typed(stored) == make(millstream.types)


@pytest.mark.parametrize("make", PACKETS.values(), ids=PACKETS)
def test_langgraph_reads_what_is_written(make: Callable[[Types], Any]) -> None:
    stored = wire().dumps_typed(make(millstream.types))

    assert JsonPlusSerializer().loads_typed(stored) == make(langgraph.types)


@pytest.mark.parametrize("make", SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_snapshots_are_read_as_langgraph_reads_them(make: Callable[[Types], Any]) -> None:
    stored = JsonPlusSerializer().dumps_typed(make(langgraph.types))
    theirs = JsonPlusSerializer().loads_typed(stored)

    ours = wire().loads_typed(stored)

    assert ours == theirs
    assert type(ours) is type(make(millstream.types))


def test_text_that_names_the_modules_is_left_alone() -> None:
    state = {
        "text": "millstream.types and langgraph.types",
        "list": ["millstream.types", "Send", ["node", 1]],
        "theirs": ("langgraph.types", "Send", ["node", 1]),
        "bytes": b"millstream.types langgraph.types",
        "keys": {("millstream.types", 1): 1.5, b"langgraph": None},
        "box": Box("millstream.types"),
        "send": millstream.types.Send("node", "millstream.types"),
    }
    serde = wire()

    assert serde.loads_typed(serde.dumps_typed(state)) == state | {
        "theirs": ["langgraph.types", "Send", ["node", 1]]
    }


def test_an_encrypted_packet_has_the_name_inside() -> None:
    send = PACKETS["send with a timeout"]
    theirs = EncryptedSerializer(Mixing())
    ours = wired(InMemorySaver(serde=EncryptedSerializer(Mixing()))).serde

    assert ours.dumps_typed(send(millstream.types)) == theirs.dumps_typed(send(langgraph.types))
    assert ours.loads_typed(theirs.dumps_typed(send(langgraph.types))) == send(millstream.types)


class Unpackable:
    """Makes the serializer fall back to pickle."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unpackable)

    __hash__ = object.__hash__


@pytest.mark.parametrize(
    "name", ["send with a timeout", "interrupts", "timeout policy", "in a set"]
)
def test_pickled_packets_are_exchanged_too(name: str) -> None:
    ours, theirs = wire(pickle_fallback=True), JsonPlusSerializer(pickle_fallback=True)
    make = PACKETS[name]

    written = ours.dumps_typed([Unpackable(), "millstream.types", make(millstream.types)])
    found = theirs.dumps_typed([Unpackable(), make(langgraph.types)])

    assert (written[0], found[0]) == ("pickle", "pickle")
    assert theirs.loads_typed(written)[1:] == ["millstream.types", make(langgraph.types)]
    assert ours.loads_typed(found)[1] == make(millstream.types)


def test_pickles_are_not_read_unless_asked_for() -> None:
    stored = ("pickle", pickle.dumps(langgraph.types.Send("node", 1)))

    with pytest.raises(NotImplementedError, match="pickle"):
        wire().loads_typed(stored)


@pytest.mark.parametrize("make", [*PACKETS.values(), *SNAPSHOTS.values()], ids=lambda _: "")
def test_our_classes_still_pickle_under_their_own_names(make: Callable[[Types], Any]) -> None:
    data = pickle.dumps(make(millstream.types))

    assert b"langgraph" not in data
    assert pickle.loads(data) == make(millstream.types)


@pytest.mark.parametrize("module", ["types", "constants"])
def test_old_json_checkpoints_are_read(module: str) -> None:
    packet = {"lc": 2, "type": "constructor", "id": ["langgraph", module, "Send"]}
    human = ["langchain_core", "messages", "HumanMessage"]
    state = {
        "sends": [packet | {"kwargs": {"node": "node", "arg": {"k": 1}}}],
        "message": {"lc": 1, "type": "constructor", "id": human, "kwargs": {"content": "hi"}},
    }

    read = wire().loads_typed(("json", json.dumps(state).encode()))

    assert read["sends"] == [millstream.types.Send("node", {"k": 1})]
    assert read["message"].content == "hi"


def test_a_serializer_that_writes_json_writes_the_names_too() -> None:
    class Envelopes(JsonPlusSerializer):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            cls = type(obj)
            envelope = {
                "lc": 2,
                "type": "constructor",
                "id": [*cls.__module__.split("."), cls.__name__],
                "kwargs": {"node": obj.node, "arg": obj.arg},
            }
            return "json", json.dumps(envelope).encode()

    serde = wired(InMemorySaver(serde=Envelopes())).serde
    send = millstream.types.Send("node", "millstream")

    stored = serde.dumps_typed(send)

    assert json.loads(stored[1])["id"] == ["langgraph", "types", "Send"]
    assert serde.loads_typed(stored) == send


@pytest.mark.parametrize(
    "packet",
    [
        ("langgraph.types", "Later", {"x": 1}),
        ("langgraph.types", "Command", {"later": 1}),
    ],
)
@pytest.mark.parametrize("is_nested", [False, True])
def test_an_unknown_packet_is_an_error(packet: tuple[Any, ...], is_nested: bool) -> None:
    ext = Ext(2, packb(packet))
    value = ("langgraph.types", "Send", ["node", [ext]])
    stored = ("msgpack", packb(Ext(1, packb(value)) if is_nested else [ext]))

    with pytest.raises(UnknownPacketError, match=rf"langgraph\.types\.{packet[1]}") as caught:
        wire().loads_typed(stored)

    assert caught.value.name == packet[1]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_an_unknown_packet_in_an_object_of_the_program_is_an_error() -> None:
    box = (Box.__module__, "Box", {"value": Ext(2, packb(("langgraph.types", "Later", {})))})

    with pytest.raises(UnknownPacketError, match="Later"):
        wire().loads_typed(("msgpack", packb(Ext(2, packb(box)))))


STRICT = """
import sys
{before}
from langgraph.checkpoint.memory import InMemorySaver
from millstream.types import Interrupt, Overwrite, Send
from millstream.wire import wired

plain = InMemorySaver()
serde = wired(plain, [("collections", "Counter")]).serde
send = Send("node", {{"k": Send("other", 1)}}, timeout=3)
state = {{"sends": [send], "asked": (Interrupt("q", "1f"),), "set": {{send.node}}}}
stored = serde.dumps_typed(state)
assert b"langgraph.types" in stored[1] and b"millstream" not in stored[1], stored
assert serde.loads_typed(stored) == state | {{"asked": [Interrupt("q", "1f")]}}
assert "langgraph.types" not in sys.modules or sys.modules["langgraph.types"] is None
assert "langgraph.pregel" not in sys.modules
{after}
"""
WITH_LANGGRAPH = """
from langgraph import types
theirs = plain.serde.loads_typed(stored)
assert theirs["sends"] == [types.Send("node", {"k": types.Send("other", 1)}, timeout=3)]
assert serde.loads_typed(plain.serde.dumps_typed(theirs))["sends"] == [send]
"""


@pytest.mark.parametrize("strict", ["true", "false"])
@pytest.mark.parametrize(
    ("before", "after"),
    [("sys.modules['langgraph.types'] = None", ""), ("", WITH_LANGGRAPH)],
    ids=["alone", "with langgraph"],
)
def test_packets_are_exchanged_in_strict_mode(strict: str, before: str, after: str) -> None:
    """Nothing is refused, nothing is imported from langgraph, which need not be there."""
    program = STRICT.format(before=before, after=after)
    environment = os.environ | {"LANGGRAPH_STRICT_MSGPACK": strict}

    done = run_python("-c", program, environment=environment)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_packets_in_refused_objects_are_read() -> None:
    """A strict serializer returns the fields of an object it refuses, with our classes in them."""
    box = Box(millstream.types.Send("node", Box(1), timeout=1))
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    allowed = [(Box.__module__, "Box")]

    stored = wire().dumps_typed(box)

    send = millstream.types.Send("node", {"value": 1}, timeout=1)
    assert wired(InMemorySaver(serde=strict)).serde.loads_typed(stored) == {"value": send}
    assert wired(InMemorySaver(serde=strict), allowed).serde.loads_typed(stored) == box
    assert strict.loads_typed(strict.dumps_typed(box)) != box


def test_a_hook_of_the_program_still_reads_its_packets() -> None:
    def hook(code: int, data: bytes) -> Any:
        return code, data

    serde = wire(__unpack_ext_hook__=hook)
    send = Ext(1, packb(("langgraph.types", "Send", ["node", 1])))
    stored = packb([Ext(99, b"langgraph. text"), Ext(98, b""), send])

    assert serde.loads_typed(("msgpack", stored)) == [
        (99, b"langgraph. text"),
        (98, b""),
        millstream.types.Send("node", 1),
    ]


def test_packets_of_the_program_are_written_as_they_are() -> None:
    class Extended(JsonPlusSerializer):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            return "msgpack", packb([Ext(99, b"text, millstream."), packet("millstream.types")])

    def packet(module: str) -> Ext:
        return Ext(1, packb((module, "Send", ["node", 1])))

    stored = wired(InMemorySaver(serde=Extended())).serde.dumps_typed(None)

    assert stored[1] == packb([Ext(99, b"text, millstream."), packet("langgraph.types")])


def test_containers_of_packets_cause_no_warning() -> None:
    """The serializer tells its listeners of classes it does not know."""
    send = millstream.types.Send("node", 1)
    serde = wire()
    events: list[Any] = []
    forget = register_serde_event_listener(events.append)

    try:
        read = serde.loads_typed(serde.dumps_typed([{send}, frozenset([send]), deque([send])]))
    finally:
        forget()

    assert read == [{send}, frozenset([send]), deque([send])]
    assert events == []


class Foreign:
    """A serializer that calls something else msgpack."""

    def __init__(self, header: bytes) -> None:
        self.header = header

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return "msgpack", self.header + pickle.dumps(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return pickle.loads(data[1].removeprefix(self.header))


class Zipping:
    """A serializer that has another one do the work."""

    def __init__(self, serde: Any) -> None:
        self.serde = serde

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, data = self.serde.dumps_typed(obj)
        return f"{kind}+zip", zlib.compress(data)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return self.serde.loads_typed((data[0].removesuffix("+zip"), zlib.decompress(data[1])))


@pytest.mark.parametrize(
    "header",
    [
        b"\xc1 millstream. langgraph.",
        b"text that starts with a number, millstream. langgraph.",
        packb(Ext(99, b"millstream. langgraph.")),
    ],
    ids=["no msgpack", "a number", "a packet"],
)
def test_a_serializer_with_a_format_of_its_own_is_left_to_it(header: bytes) -> None:
    foreign = Foreign(header)
    serde = wired(InMemorySaver(serde=foreign)).serde
    send = millstream.types.Send("node", 1)

    assert serde.dumps_typed(send) == foreign.dumps_typed(send)
    assert serde.loads_typed(serde.dumps_typed(send)) == send


def test_a_serializer_around_another_one_gets_the_names() -> None:
    zipping = Zipping(JsonPlusSerializer())
    serde = wired(InMemorySaver(serde=zipping)).serde
    send = PACKETS["send"]

    assert serde.dumps_typed(send(millstream.types)) == zipping.dumps_typed(send(langgraph.types))
    assert serde.loads_typed(zipping.dumps_typed(send(langgraph.types))) == send(millstream.types)
    assert type(zipping.serde) is JsonPlusSerializer


def test_a_wired_saver_shares_the_state_of_the_saver() -> None:
    with sqlite3.connect(":memory:", check_same_thread=False) as connection:
        saver = SqliteSaver(connection)
        view = wired(saver)
        config = {"configurable": {"thread_id": "1", "checkpoint_ns": ""}}
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"x": millstream.types.Overwrite(1)}

        view.put(config, checkpoint, {"source": "input", "step": -1}, {})

        assert isinstance(view, SqliteSaver)
        assert saver.is_setup
        read = [s.get_tuple(config).checkpoint["channel_values"]["x"] for s in (saver, view)]
        assert read == [langgraph.types.Overwrite(1), millstream.types.Overwrite(1)]
        assert type(saver.serde) is JsonPlusSerializer
    connection.close()


def test_a_wired_async_saver_shares_lock_loop_and_connection() -> None:
    async def main() -> list[Any]:
        async with AsyncSqliteSaver.from_conn_string(":memory:") as saver:
            view = wired(saver)
            config = {"configurable": {"thread_id": "1", "checkpoint_ns": "", "checkpoint_id": "a"}}
            sends = [("x", millstream.types.Send("node", n)) for n in range(20)]

            await asyncio.gather(
                saver.setup(), *(view.aput_writes(config, [w], str(w[1].arg)) for w in sends)
            )

            assert (view.lock, view.loop, view.conn) == (saver.lock, saver.loop, saver.conn)
            assert saver.is_setup
            await view.aput(config, empty_checkpoint() | {"id": "a"}, {}, {})
            found = await view.aget_tuple(config)
            assert found is not None
            return sorted(value.arg for _, _, value in found.pending_writes or ())

    assert asyncio.run(main()) == list(range(20))


def test_wiring_again_changes_nothing_unless_more_is_allowed() -> None:
    view = wired(InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None)))
    box = (Box.__module__, "Box")

    more = wired(view, [box])

    assert wired(view) is view
    assert wired(more) is more
    assert wired(more, [box]) is more
    assert view.serde.loads_typed(view.serde.dumps_typed(Box(1))) == {"value": 1}
    assert more.serde.loads_typed(more.serde.dumps_typed(Box(1))) == Box(1)
    assert more.storage is view.storage


def test_wiring_with_more_reaches_an_encrypted_serializer() -> None:
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    view = wired(InMemorySaver(serde=EncryptedSerializer(Mixing(), strict)))
    value = Box(millstream.types.Send("node", 1))

    serde = wired(view, [(Box.__module__, "Box")]).serde

    assert serde.loads_typed(serde.dumps_typed(value)) == value
    assert isinstance(serde, EncryptedSerializer)


class Closing(InMemorySaver):
    closed = 0

    def __del__(self) -> None:
        Closing.closed += 1


def test_dropping_a_wired_saver_does_not_close_the_saver() -> None:
    saver = Closing()

    del saver.__dict__["stack"]
    wired(saver)

    assert Closing.closed == 0
    del saver
    assert Closing.closed == 1


class Slotted(InMemorySaver):
    __slots__ = ("extra",)


class Underivable(InMemorySaver):
    def __init_subclass__(cls) -> None:
        raise RuntimeError("no")


class Lonely(Underivable.__base__):  # type: ignore[misc]  # InMemorySaver
    def __init_subclass__(cls) -> None:
        raise RuntimeError("no")

    def __copy__(self) -> Lonely:
        raise RuntimeError("nor this")


@pytest.mark.parametrize("cls", [Slotted, Underivable])
def test_a_saver_that_has_no_view_is_copied(cls: type[InMemorySaver]) -> None:
    saver = cls()

    copied = wired(saver)

    assert type(copied) is cls
    assert copied is not saver
    assert copied.storage is saver.storage
    assert isinstance(copied.serde, WireSerializer)
    assert wired(copied) is copied


def test_a_saver_that_cannot_be_copied_either_is_used_as_it_is() -> None:
    saver = Lonely()

    assert wired(saver) is saver


def test_a_saver_without_a_serializer_of_its_own_has_that_of_its_class() -> None:
    class Bare(BaseCheckpointSaver[int]):
        def __init__(self) -> None:
            pass

    serde = wired(Bare()).serde

    assert serde.loads_typed(serde.dumps_typed(millstream.types.Overwrite(1))) == (
        millstream.types.Overwrite(1)
    )


def test_cached_writes_hold_the_names_too() -> None:
    cache: InMemoryCache[Any] = InMemoryCache()
    key = (("ns",), "key")

    wired(cache).set({key: ([("__pregel_tasks", millstream.types.Send("node", 1))], None)})

    ours, theirs = wired(cache).get([key]), cache.get([key])
    assert ours == {key: [["__pregel_tasks", millstream.types.Send("node", 1)]]}
    assert theirs == {key: [["__pregel_tasks", langgraph.types.Send("node", 1)]]}


class Evil:
    """Runs code of its own when it is read from a pickle."""

    def __reduce__(self) -> Any:
        return ran.append, (1,)


ran: list[int] = []


class NoPickles(JsonPlusSerializer):
    """Refuses to read pickles."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        if data[0] in ("pickle", "json"):
            raise PermissionError(f"{data[0]} is refused")
        return super().loads_typed(data)


class Small(JsonPlusSerializer):
    """Refuses to read anything long."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        if len(data[1]) > 300:
            raise PermissionError("too long")
        return super().loads_typed(data)


class NoConstructors(JsonPlusSerializer):
    """Refuses old JSON objects."""

    def _reviver(self, value: dict[str, Any]) -> Any:
        if value.get("lc") == 2:
            raise PermissionError("no objects")
        return value


def patched() -> JsonPlusSerializer:
    """Return a serializer that was hardened itself, not its class."""
    serde = JsonPlusSerializer(pickle_fallback=True)
    serde.loads_typed = NoPickles(pickle_fallback=True).loads_typed  # type: ignore[method-assign]
    return serde


OLD_JSON = json.dumps(
    {"lc": 2, "type": "constructor", "id": ["langgraph", "types", "Send"], "args": ["node", 1]}
).encode()
HARDENED: dict[str, tuple[Callable[[], Any], tuple[str, bytes]]] = {
    "pickle": (
        lambda: NoPickles(pickle_fallback=True),
        ("pickle", pickle.dumps([Evil(), "langgraph."])),
    ),
    "json": (NoPickles, ("json", OLD_JSON)),
    "objects in json": (NoConstructors, ("json", OLD_JSON)),
    "length": (
        Small,
        ("msgpack", packb(["x" * 300, Ext(1, packb(("langgraph.types", "Send", ["node", 1])))])),
    ),
    "instance": (patched, ("pickle", pickle.dumps([Evil(), "langgraph."]))),
}


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("name", HARDENED)
def test_what_a_hardened_serializer_refuses_stays_refused(name: str, is_encrypted: bool) -> None:
    make, stored = HARDENED[name]
    plain = make()
    if is_encrypted:
        plain = EncryptedSerializer(Reversing(), plain)
        stored = (f"{stored[0]}+reversing", stored[1][::-1])
    serde = wired(InMemorySaver(serde=plain)).serde

    with pytest.raises(PermissionError):
        serde.loads_typed(stored)

    assert ran == []


class Reversing:
    """Encrypts by turning the bytes round."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "reversing", plaintext[::-1]

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return ciphertext[::-1]


@pytest.mark.parametrize("strict", [{}, {"allowed_msgpack_modules": None}], ids=["", "strict"])
@pytest.mark.parametrize("name", [name for name in PACKETS if not name.startswith("in a ")])
def test_a_hardened_serializer_reads_what_it_allows(name: str, strict: Any) -> None:
    serde = wired(InMemorySaver(serde=NoPickles(**strict))).serde
    value = PACKETS[name](millstream.types)

    stored = serde.dumps_typed(value)

    assert stored == wire().dumps_typed(value)
    assert serde.loads_typed(stored) == wire().loads_typed(stored)


def test_a_hardened_serializer_is_told_of_unknown_packets_like_any_other() -> None:
    stored = packb(Ext(2, packb(("langgraph.types", "Later", {"x": 1}))))

    with pytest.raises(UnknownPacketError, match="Later"):
        wired(InMemorySaver(serde=NoPickles())).serde.loads_typed(("msgpack", stored))


def test_what_a_serializer_pickles_in_its_own_way_is_left_to_it() -> None:
    class Signing(JsonPlusSerializer):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            kind, data = super().dumps_typed(obj)
            return kind, b"signed" + data

        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            assert data[1].startswith(b"signed")
            return super().loads_typed((data[0], data[1][len(b"signed") :]))

    serde = wired(InMemorySaver(serde=Signing(pickle_fallback=True))).serde
    value = [Unpackable(), millstream.types.Send("node", 1)]

    kind, data = serde.dumps_typed(value)

    assert (kind, data[:6]) == ("pickle", b"signed")
    assert serde.loads_typed((kind, data))[1] == value[1]
