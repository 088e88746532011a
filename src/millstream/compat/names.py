"""Which module of millstream stands for which module of LangGraph; without `langgraph.` here.

Only what is listed exists under `langgraph` in a process that calls `install_as_langgraph`. This
module and `finder` are loaded at the start of every interpreter that the variable
`MILLSTREAM_AS_LANGGRAPH` is set for, so they import nothing that is slow, not even `typing`.
"""

VERSION = "1.2.24"
"""The version of LangGraph whose public API this is."""

OWNED = frozenset(
    (
        "_internal",
        "callbacks",
        "channels",
        "config",
        "constants",
        "errors",
        "func",
        "graph",
        "managed",
        "pregel",
        "runtime",
        "stream",
        "types",
        "typing",
        "utils",
        "version",
        "warnings",
    )
)
"""What the `langgraph` distribution puts into the namespace package `langgraph`.

The rest of it comes from other distributions: checkpoint, store and cache from
langgraph-checkpoint, prebuilt from langgraph-prebuilt, and what others may add.
"""

_PUBLIC = (
    "callbacks",
    "channels",
    "channels.any_value",
    "channels.base",
    "channels.binop",
    "channels.delta",
    "channels.ephemeral_value",
    "channels.last_value",
    "channels.named_barrier_value",
    "channels.topic",
    "channels.untracked_value",
    "config",
    "constants",
    "errors",
    "func",
    "graph",
    "graph.message",
    "graph.state",
    "graph.ui",
    "managed",
    "managed.base",
    "managed.is_last_step",
    "pregel",
    "pregel.debug",
    "pregel.main",
    "pregel.protocol",
    "pregel.remote",
    "pregel.types",
    "runtime",
    "stream",
    "stream.run_stream",
    "stream.stream_channel",
    "stream.transformers",
    "types",
    "typing",
    "utils",
    "utils.config",
    "utils.runnable",
    "warnings",
)
_PRIVATE = {
    "_internal": "compat.internal",
    "_internal._config": "compat.configs",
    "_internal._constants": "constants",
    "_internal._runnable": "_base.runnable",
    "_internal._scratchpad": "compat.scratchpad",
    "_internal._typing": "compat.sentinels",
    "graph._branch": "graph._builder.branches",
    "graph._node": "graph._builder.node_spec",
    "pregel._algo": "compat.algorithm",
    "pregel._call": "compat.call_names",
    "pregel._messages": "compat.messages",
    "pregel._read": "pregel._structure.nodes",
    "pregel._tools": "compat.tools",
    "pregel._write": "pregel._structure.writers",
    "stream._mux": "compat.mux",
    "stream._types": "compat.stream_types",
    "version": "compat.version",
}
MODULES = {**{name: name for name in _PUBLIC}, **_PRIVATE}
"""Module of LangGraph -> module of millstream."""


def by_full_name() -> dict[str, str]:
    """Return the same with whole names, as the import system asks for them.

    `from langgraph.pregel import _tools` asks for a module below the real name of the package,
    `millstream.pregel._tools`, so these are there too.
    """
    targets = {}
    for name, target in MODULES.items():
        package, _, leaf = name.rpartition(".")
        targets[f"langgraph.{name}"] = f"millstream.{target}"
        if package:
            targets.setdefault(f"millstream.{MODULES[package]}.{leaf}", f"millstream.{target}")
    return {name: target for name, target in targets.items() if name != target}
