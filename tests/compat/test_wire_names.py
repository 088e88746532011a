"""Names of classes outside of the process: in checkpoints, pickles and drawings."""

from __future__ import annotations

import subprocess

from compat.conftest import Python

INSTALL = "import millstream; millstream.install_as_langgraph()\n"
PACKETS = """
from langgraph.types import (Command, Interrupt, Overwrite, PregelTask, Send, StateSnapshot,
                             TimeoutPolicy)
packets = [
    Send("a", {"x": 1}), Send("a", 1, timeout=3), Interrupt("why", id="i"),
    Command(update={"x": 1}, goto=Send("b", 2)), Overwrite([1]), TimeoutPolicy(run_timeout=1),
    PregelTask("id", "n", ()), StateSnapshot({}, (), {}, None, None, None, (), ()),
]
"""


def test_a_serializer_writes_langgraphs_names_and_reads_them_when_strict(python: Python) -> None:
    out = python.check(
        INSTALL
        + PACKETS
        + """
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
serde = JsonPlusSerializer()
kind, data = serde.dumps_typed(packets)
print(kind, b"millstream" in data, data.count(b"langgraph.types"))
again = serde.loads_typed((kind, data))
print(again[:6] == packets[:6], list(map(type, again)) == list(map(type, packets)))
""",
        LANGGRAPH_STRICT_MSGPACK="true",
    )

    assert out == "msgpack False 10\nTrue True\n"


def test_langgraph_reads_what_was_written(with_langgraph: Python) -> None:
    data = with_langgraph.check(
        INSTALL
        + PACKETS
        + """
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
print(JsonPlusSerializer().dumps_typed(packets[:6])[1].hex())
"""
    )
    out = with_langgraph.check(
        """
        import sys
        from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
        packets = JsonPlusSerializer().loads_typed(("msgpack", bytes.fromhex(sys.argv[1])))
        import langgraph.types
        print(all(type(p) is getattr(langgraph.types, type(p).__name__) for p in packets))
        print(langgraph.types.Send.__module__, "millstream" in sys.modules)
        """,
        data.strip(),
    )

    assert out == "True\nlanggraph.types False\n"


def test_pickles_are_read_in_a_process_without_the_finder(with_langgraph: Python) -> None:
    code = INSTALL + PACKETS + "import pickle, sys; sys.stdout.buffer.write(pickle.dumps(packets))"
    written = subprocess.run(
        [*with_langgraph.command, "-c", code],
        capture_output=True,
        env=with_langgraph.environment,
        check=True,
    )
    read = with_langgraph.check(
        """
        import pickle, sys
        packets = pickle.loads(bytes.fromhex(sys.argv[1]))
        print(*{type(packet).__module__.split(".")[0] for packet in packets})
        print(packets[3].goto, [m for m in sys.modules if m.startswith("langgraph.types")])
        """,
        written.stdout.hex(),
    )

    assert read == "millstream\nSend(node='b', arg=2) []\n"


def test_pickles_and_copies_are_equal(python: Python) -> None:
    out = python.check(
        INSTALL
        + PACKETS
        + """
import copy, pickle
for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
    again = pickle.loads(pickle.dumps(packets, protocol))
    assert again == packets and list(map(type, again)) == list(map(type, packets)), protocol
print(copy.deepcopy(packets) == packets, [copy.copy(packet) for packet in packets] == packets)
"""
    )

    assert out == "True True\n"


def test_a_saver_that_pickles_stores_langgraphs_names(with_langgraph: Python) -> None:
    out = with_langgraph.check(
        INSTALL
        + PACKETS
        + """
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from millstream.wire import WireSerializer
class Odd:
    def __init__(self, value):
        self.value = value
serde = WireSerializer(JsonPlusSerializer(pickle_fallback=True))
kind, data = serde.dumps_typed({"odd": Odd(packets), "cls": Send})
print(kind, b"millstream" in data, b"langgraph.types" in data)
again = serde.loads_typed((kind, data))
print(again["odd"].value == packets, again["cls"] is Send)
"""
    )

    assert out == "pickle False True\nTrue True\n"


def test_type_hints_of_renamed_classes_are_found(python: Python) -> None:
    out = python.check(
        INSTALL
        + PACKETS
        + """
from typing import get_type_hints
print([len(get_type_hints(type(packet))) > 0 for packet in packets].count(True))
print({type(packet).__module__ for packet in packets})
"""
    )

    assert out == "8\n{'langgraph.types'}\n"


def test_drawings_show_langgraphs_ids(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
from langgraph.graph import START, MessagesState, StateGraph
graph = StateGraph(MessagesState).add_node("n", lambda state: None).add_edge(START, "n").compile()
print(*{".".join(node["data"]["id"]) for node in graph.get_graph().to_json()["nodes"]
        if node["id"] != "__end__"})
"""
    )

    assert out == "langgraph._internal._runnable.RunnableCallable\n"


def test_without_the_call_classes_keep_their_own_names(with_langgraph: Python) -> None:
    out = with_langgraph.check(
        """
        from millstream.types import Command, Send
        from millstream._base.runnable import RunnableCallable
        import sys
        print(Send.__module__, Command.__module__, RunnableCallable.__module__)
        print([m for m in sys.modules if m.startswith("millstream.compat")])
        """
    )

    assert out == "millstream.types millstream.types millstream.utils.runnable\n[]\n"
