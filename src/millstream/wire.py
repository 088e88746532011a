"""What checkpoints and caches hold, under the names LangGraph gives it.

A serializer writes an object with the module of its class and reads it by importing that module.
`Send`, `Interrupt` and the others here live in millstream, in a checkpoint they live in
`langgraph.types`; so a thread can go on in either library, and LangGraph's own list of safe types
covers them. `wired` puts this translation between a saver or cache and its serializer.

The serializer keeps doing all the work: its output is searched for the name of this package, its
input for LangGraph's, and only bytes in which one occurs are looked into. That reaches packets
inside of anything, also of objects only the serializer understands. The formats are those of
`JsonPlusSerializer`: `msgpack`, `json` as old versions wrote it, and `pickle` for what the others
cannot express. Any other format, and bytes of that name that are something else, pass unchanged.

Only methods of `JsonPlusSerializer` itself are gone round, and nothing of what they refuse is read.
A class of somebody else, and what it overrides, gets all bytes that are to be read: `msgpack` with
the names changed, everything else as it was stored.
"""

from __future__ import annotations

import copy
import copyreg
import io
import json
import pickle
import sys
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from ormsgpack import OPT_NON_STR_KEYS, Ext, packb, unpackb

from millstream import types
from millstream._base.contents import contents_of
from millstream.saving.containers import CLASSES, packed

if TYPE_CHECKING:
    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.base import BaseCheckpointSaver

    Storage = TypeVar("Storage", bound=BaseCheckpointSaver[Any] | BaseCache[Any])

__all__ = ("UnknownPacketError", "WireSerializer", "send", "wired")

Key: TypeAlias = tuple[str, str]
"""The module and the name of a class."""

WIRE_MODULE: Final = "langgraph.types"
_OURS: Final = {"msgpack": b"millstream.", "json": b'"millstream"', "pickle": b"millstream."}
"""By format, what bytes with one of our classes contain."""
_THEIRS: Final = {"msgpack": b"langgraph.", "json": b'"langgraph"', "pickle": b"langgraph."}
_NUMBERS: Final = frozenset((int, bool, float, type(None)))
_HOMES: Final[Mapping[str, str]] = {
    "CacheKey": "millstream.types",
    "Command": "millstream.types",
    "GraphOutput": "millstream.types",
    "Interrupt": "millstream.types",
    "Overwrite": "millstream.types",
    "PregelTask": "millstream.types",
    "Send": "millstream.types",
    "StateSnapshot": "millstream.types",
    "StateUpdate": "millstream.types",
    "TimeoutPolicy": "millstream.types",
}
_TO_WIRE: Final[Mapping[Key, Key]] = {
    (home, name): (WIRE_MODULE, name) for name, home in _HOMES.items()
}
# A Send is stored with positional arguments, which its class takes only two of.
_FROM_WIRE: Final[Mapping[Key, Key]] = {
    **{(WIRE_MODULE, name): (home, name) for name, home in _HOMES.items()},
    (WIRE_MODULE, "Send"): (__name__, "send"),
    # Where Send was before 2025.
    ("langgraph.constants", "Send"): (__name__, "send"),
}
_PLAIN_CONTAINERS: Final[Mapping[Key, Callable[[Any], Any]]] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "tuple"): tuple,
    ("builtins", "dict"): dict,
    ("collections", "deque"): deque,
}
# The codes under which JsonPlusSerializer stores a class and its arguments, and objects that can
# have others inside: also pydantic models of either kind, and snapshots of delta channels.
_ARGUMENT, _ARGUMENTS, _KEYWORDS = 0, 1, 2
_NESTING: Final = frozenset((_ARGUMENT, _ARGUMENTS, _KEYWORDS, 4, 5, 7))


def wired(storage: Storage, allowed: Collection[tuple[str, ...]] = ()) -> Storage:
    """Return the saver or cache as it is, with a serializer that uses LangGraph's names.

    What is returned shares all state with `storage`, now and later, which itself keeps its
    serializer. `allowed` are modules and names of classes that a serializer with a list of
    allowed classes is to accept too. A storage that cannot be seen like this is copied, and one
    that cannot be copied either is returned unchanged.
    """
    return cast("Storage", _wired(storage, frozenset(allowed)))


class UnknownPacketError(ValueError):
    """What is stored is a class of LangGraph, or has arguments, that this version does not know."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"cannot read a stored {WIRE_MODULE}.{self.name}: {self.reason}; "
            "it comes from a version of LangGraph that this version of millstream does not know"
        )


def send(node: str, arg: Any, timeout: types.TimeoutPolicy | None = None) -> types.Send:
    """Return a `Send` from the arguments it is stored with."""
    return types.Send(node, arg, timeout=timeout)


class _Wired:
    """A view of a saver, a cache or a serializer with an inner one: it shares its `__dict__`.

    A copy would part from the original as soon as one of them sets an attribute: a saver that
    has set up its tables, a connection that was replaced, a counter.
    """

    __slots__ = ("_allowed", "serde")

    _allowed: frozenset[tuple[str, ...]]
    serde: Any
    """What replaces the serializer of the storage; a slot comes before the `__dict__`."""

    def __del__(self) -> None:
        """Leave the state alone, which the storage may close in its own `__del__`."""


def _wired(storage: Any, allowed: frozenset[tuple[str, ...]]) -> Any:
    cls: Any = type(storage)
    if issubclass(cls, _Wired):
        if allowed <= storage._allowed:
            return storage
        allowed |= storage._allowed
    try:
        view = object.__new__(_view_class(cls))
        view.__dict__ = vars(storage)
        view.serde = _wired_serde(storage.serde, allowed)
    except Exception:  # a foreign class may refuse to be derived from with any error
        return _copied(storage, allowed)
    view._allowed = allowed
    return view


# Bounded: classes made by a function would otherwise stay for ever.
@lru_cache(maxsize=64)
def _view_class(cls: Any) -> Any:
    """Return `cls` with `serde` replaced; raise if its instances are more than a `__dict__`."""
    if issubclass(cls, _Wired):
        return cls
    names = {"__slots__": (), "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls)(cls.__name__, (_Wired, cls), names)


def _copied(storage: Any, allowed: frozenset[tuple[str, ...]]) -> Any:
    if isinstance(storage.serde, WireSerializer):
        return storage
    try:
        clone = copy.copy(storage)
        clone.serde = _wired_serde(storage.serde, allowed)
    except Exception:  # or to be copied
        return storage
    return clone


def _wired_serde(plain: Any, allowed: frozenset[tuple[str, ...]]) -> Any:
    """Return a serializer that uses LangGraph's names in what the innermost one writes."""
    if isinstance(plain, WireSerializer):
        plain = plain.plain
    inner = getattr(plain, "serde", None)
    if hasattr(inner, "dumps_typed") and hasattr(inner, "loads_typed"):
        return _wired(plain, allowed)
    if hasattr(plain, "with_msgpack_allowlist"):
        plain = plain.with_msgpack_allowlist([*_FROM_WIRE.values(), *CLASSES, *allowed])
    return WireSerializer(plain)


def _may_have_objects(data: bytes) -> bool:
    """Say whether there is the name of an array's type in it, if that is objects."""
    # A single byte is found a hundred times as fast, and most values do not have this one.
    first = data.find(b"|")
    return first >= 0 and data.find(b"|O", first) >= 0


class WireSerializer:
    """A serializer that translates what another one writes and reads."""

    __slots__ = (
        "_dumps",
        "_is_dumping_known",
        "_is_loading_known",
        "_is_pickling",
        "_loads",
        "keeps_containers",
        "plain",
    )

    def __init__(self, plain: Any) -> None:
        self.plain = plain
        self.keeps_containers = False
        """Whether there may be containers that `containers` knows of."""
        self._dumps = plain.dumps_typed
        self._loads = plain.loads_typed
        # What somebody has changed, to refuse a format or a class perhaps, decides alone.
        self._is_loading_known = _is_known(plain, "loads_typed") and _is_known(plain, "_reviver")
        self._is_dumping_known = _is_known(plain, "dumps_typed")
        self._is_pickling = (
            self._is_loading_known
            and self._is_dumping_known
            and getattr(plain, "pickle_fallback", False) is True
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    @property
    def is_usual(self) -> bool:
        """Whether the package's own serializer reads, as it comes."""
        from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

        return self._is_loading_known and type(self.plain) is JsonPlusSerializer

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Return the format and the bytes of `obj`."""
        if self._is_dumping_known and type(obj) in _NUMBERS:  # no name is in their bytes
            return cast("tuple[str, bytes]", self._dumps(obj))
        if self.keeps_containers and _is_known(self.plain, "dumps_typed"):
            is_strict = self.plain._allowed_msgpack_modules is not True
            obj = packed(obj, is_strict=is_strict)
        kind, data = stored = self._dumps(obj)
        if kind == "msgpack" and "numpy" in sys.modules and _may_have_objects(data):
            return self._without_pointers(obj, stored)
        mark = _OURS.get(kind)
        # `in` takes longer than `find`: it tries whether the mark is a number.
        if mark is None or data.find(mark) < 0:
            return cast("tuple[str, bytes]", stored)
        if kind == "msgpack":
            try:
                return kind, _Renaming(_TO_WIRE, mark).rename(data)
            except ValueError:
                return kind, data
        if kind == "json":
            return kind, json.dumps(json.loads(data, object_hook=_rename_json)).encode()
        return kind, _pickled(obj) if self._is_pickling else data

    def _without_pointers(self, obj: Any, stored: tuple[str, bytes]) -> tuple[str, bytes]:
        """Return what is stored of what may hold arrays of objects.

        The serializer would store their addresses.
        """
        if not has_object_array(obj):
            return stored
        if self._is_pickling:
            return "pickle", _pickled(obj)
        raise TypeError("Type is not msgpack serializable: numpy.ndarray of objects")

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return the object; raise `UnknownPacketError` for one of LangGraph's not known here."""
        kind, payload = data
        mark = _THEIRS.get(kind)
        if mark is None or payload.find(mark) < 0:
            return self._loads(data)
        if kind == "msgpack":
            return self._read(data) if self._is_loading_known else self._have_read(payload)
        if kind == "json" and self._is_loading_known:
            return json.loads(payload, object_hook=self._revive_json)
        if kind == "pickle" and self._is_pickling:
            return _Unpickler(io.BytesIO(payload)).load()
        return self._loads(data)

    def _read(self, data: tuple[str, bytes]) -> Any:
        reader = _Reader(self._loads)
        value = None
        try:
            value = unpackb(data[1], ext_hook=reader.revive, option=OPT_NON_STR_KEYS)
        except ValueError:
            reader.is_used = False
        if reader.error is not None:
            raise reader.error
        # Without a packet of ours it was perhaps another format, and a part of it was understood.
        return value if reader.is_used else self._loads(data)

    def _have_read(self, payload: bytes) -> Any:
        """Give all of it to the serializer, with our names: whatever it refuses stays refused."""
        renaming = _Renaming(_FROM_WIRE, _THEIRS["msgpack"])
        with suppress(ValueError):  # perhaps it is another format
            payload = renaming.rename(payload)
        if renaming.unknown:
            raise _no_such_class(renaming.unknown)
        return self._loads(("msgpack", payload))

    def _revive_json(self, value: dict[str, Any]) -> Any:
        key = _json_key(value)
        if key in _FROM_WIRE:
            return _rebuilt(key[1], value.get("args") or (), value.get("kwargs") or {})
        if key[0] == WIRE_MODULE:
            raise _no_such_class(key[1])
        return self.plain._reviver(value)


def _is_known(plain: Any, method: str) -> bool:
    """Say whether a method of a serializer is that of the package."""
    # Late, because it is slow to import; who has a serializer has it.
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    own = getattr(JsonPlusSerializer, method)
    return getattr(getattr(plain, method, None), "__func__", None) is own


class _Reader:
    """Reads the packets of one msgpack payload: ours here, the rest through the serializer.

    Errors are kept, because all that ormsgpack says of one in a hook is that there was one.
    """

    __slots__ = ("_loads", "error", "is_used")

    def __init__(self, loads: Callable[[tuple[str, bytes]], Any]) -> None:
        self._loads = loads
        self.error: UnknownPacketError | None = None
        self.is_used = False
        """Whether there were packets of ours."""

    def revive(self, code: int, data: bytes) -> Any:
        packet = packb(Ext(code, data))
        if code in _NESTING and _THEIRS["msgpack"] in data:
            key = _packet_key(code, data)
            if key in _FROM_WIRE:
                return self._rebuilt(key[1], code, data)
            if key in _PLAIN_CONTAINERS:
                given = self._arguments(data)
                container = _PLAIN_CONTAINERS[key]
                return container(*given) if code == _ARGUMENTS else container(given)
            renaming = _Renaming(_FROM_WIRE, _THEIRS["msgpack"])
            packet = renaming.rename(packet)
            self.is_used = self.is_used or renaming.is_used
            if renaming.unknown:
                self.error = _no_such_class(renaming.unknown)
                return None
        return self._loads(("msgpack", packet))

    def _rebuilt(self, name: str, code: int, data: bytes) -> Any:
        self.is_used = True
        payload = self._arguments(data)
        try:
            if code == _KEYWORDS:
                return _rebuilt(name, (), payload)
            return _rebuilt(name, payload, {})
        except UnknownPacketError as error:
            self.error = error
            return None

    def _arguments(self, data: bytes) -> Any:
        return unpackb(data, ext_hook=self.revive, option=OPT_NON_STR_KEYS)[2]


class _Renaming:
    """Renames the classes in a msgpack payload, at any depth."""

    __slots__ = ("_mark", "_names", "is_used", "unknown")

    def __init__(self, names: Mapping[Key, Key], mark: bytes) -> None:
        self._names = names
        self._mark = mark
        self.is_used = False
        """Whether anything was renamed."""
        self.unknown = ""
        """A class of LangGraph that has no name here."""

    def rename(self, data: bytes) -> bytes:
        value = unpackb(data, ext_hook=self._packet, option=OPT_NON_STR_KEYS)
        return packb(value, option=OPT_NON_STR_KEYS) if self.is_used else data

    def _packet(self, code: int, data: bytes) -> Ext:
        if code not in _NESTING or self._mark not in data:
            return Ext(code, data)
        key = _packet_key(code, data)
        value = unpackb(data, ext_hook=self._packet, option=OPT_NON_STR_KEYS)
        if (name := self._names.get(key)) is not None:
            value[:2] = name
            self.is_used = True
        elif key[0] == WIRE_MODULE:
            self.unknown = key[1]
        return Ext(code, packb(value, option=OPT_NON_STR_KEYS))


def _packet_key(code: int, data: bytes) -> Key:
    """Return the class that a packet holds, or two empty strings."""
    if code in (_ARGUMENT, _ARGUMENTS, _KEYWORDS):
        match unpackb(data, ext_hook=Ext, option=OPT_NON_STR_KEYS):
            case [str(module), str(name), _]:
                return module, name
    return "", ""


def _no_such_class(name: str) -> UnknownPacketError:
    return UnknownPacketError(name, "there is no such class")


def _rebuilt(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    build = send if name == "Send" else getattr(types, name)
    try:
        return build(*args, **kwargs)
    except (TypeError, ValueError) as error:
        raise UnknownPacketError(name, str(error)) from error


def _json_key(value: Mapping[str, Any]) -> Key:
    """Return the class that a JSON object stands for, or two empty strings."""
    match value:
        case {"lc": 2, "type": "constructor", "id": [*module, str(name)]}:
            return ".".join(map(str, module)), name
    return "", ""


def _rename_json(value: dict[str, Any]) -> dict[str, Any]:
    key = _TO_WIRE.get(_json_key(value))
    return value if key is None else value | {"id": [*key[0].split("."), key[1]]}


def has_object_array(value: Any) -> bool:
    """Say whether there is a numpy array of objects in the value."""
    if isinstance(value, sys.modules["numpy"].ndarray):
        return bool(value.dtype.hasobject)
    return any(has_object_array(part) for _, part in contents_of(value))


def _pickled(obj: Any) -> bytes:
    """Return a pickle of `obj` that names the classes of LangGraph.

    Up to protocol 3 a class is one instruction with its name in it, which can be exchanged for
    another without moving anything else.
    """
    # Half of what it takes to import this module, for what hardly any program does.
    import pickletools

    file = io.BytesIO()
    pickler = pickle.Pickler(file, protocol=3)
    # Classes that have LangGraph's name in this process are pickled under ours otherwise.
    pickler.dispatch_table = {
        cls: reduce
        for cls, reduce in copyreg.dispatch_table.items()
        if cls.__module__ != WIRE_MODULE
    }
    pickler.dump(obj)
    data = file.getvalue()
    parts: list[bytes] = []
    start = 0
    for instruction, argument, position in pickletools.genops(data):
        if instruction.name != "GLOBAL" or position is None:
            continue
        module, _, name = str(argument).partition(" ")
        if (key := _TO_WIRE.get((module, name))) is not None:
            parts += (data[start:position], "c{}\n{}\n".format(*key).encode())
            start = position + len(f"c{module}\n{name}\n")
    return b"".join([*parts, data[start:]])


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _FROM_WIRE:
            return getattr(types, name)
        return super().find_class(module, name)
