"""Every name that a public module of langgraph has can be imported from it, whoever defines it."""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from types import FunctionType, ModuleType
from typing import Any, Final

import pytest

from compat.conftest import Python
from compat.test_finder import INSTALL
from millstream.compat.names import MODULES

PUBLIC: Final = [name for name in MODULES if "_" not in [part[0] for part in name.split(".")]]

ABSENT: Final = {
    "AsyncPregelLoop",
    "AsyncQueue",
    "ChannelRead",
    "PregelRunner",
    "RunnableSeq",
    "SyncPregelLoop",
    "SyncQueue",
    "TaskStatus",
    "achannels_from_checkpoint",
    "acheckpoint_superseded",
    "apply_writes",
    "channels_from_checkpoint",
    "checkpoint_superseded",
    "create_checkpoint",
    "create_checkpoint_plan_for_update_state_api",
    "create_model",
    "delta_channels_overwritten",
    "delta_channels_with_pending_writes",
    "draw_graph",
    "ensure_message_ids",
    "filter_to_user_tags",
    "get_cached_annotated_keys",
    "get_field_default",
    "get_new_channel_versions",
    "get_runnable_for_entrypoint",
    "get_update_as_tuples",
    "get_updated_channels_from_tasks",
    "local_read",
    "map_debug_checkpoint",
    "map_debug_task_results",
    "map_debug_tasks",
    "map_input",
    "prepare_next_tasks",
    "put_writes_accepts_task_path",
    "read_channels",
    "read_task_statuses",
    "recast_checkpoint_ns",
    "sync_timeout_unsupported",
    "task_path_str",
    "tasks_w_writes",
    "validate_keys",
    "validate_timeout_supported",
    "versions_seen_without_bumps",
}
"""Parts of LangGraph's engine: they can be imported, and raise when they are called."""

OWN: Final = {"BaseUser"}
"""Those of langgraph-sdk, without which millstream can be used."""


def shown_names(module: ModuleType) -> list[str]:
    """Return the public names of a module that an editor would complete an import with."""
    values = vars(module).items()
    return [
        name
        for name, value in values
        if not name.startswith("_")
        and name != "annotations"
        and not getattr(value, "__name__", "").startswith("langgraph.")
    ]


def names_by_module() -> dict[str, list[str]]:
    """Return what langgraph's public modules have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modules = {name: importlib.import_module(f"langgraph.{name}") for name in PUBLIC}
    return {name: shown_names(module) for name, module in modules.items()}


def home_of(value: Any) -> str | None:
    """Return where a class or function of another package is from."""
    if not isinstance(value, (type, FunctionType)) or value.__module__.startswith("langgraph."):
        return None
    return f"{value.__module__}.{value.__qualname__}"


def test_every_name_of_a_public_module_can_be_imported(python: Python) -> None:
    out = python.check(
        INSTALL
        + f"""
import importlib, json, warnings
warnings.simplefilter("ignore")
from millstream.compat.engine import is_absent
missing, absent = [], set()
for module, names in json.loads('''{json.dumps(names_by_module())}''').items():
    for name in names:
        try:
            exec(f"from langgraph.{{module}} import {{name}} as value")
        except ImportError:
            missing.append((module, name))
        else:
            if is_absent(value):
                absent.add(name)
print(json.dumps([missing, sorted(absent)]))
"""
    )

    assert json.loads(out) == [[], sorted(ABSENT)]


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python < 3.11 calls annotated types by another name"
)
def test_names_of_other_packages_stand_for_the_same_things(with_langgraph: Python) -> None:
    theirs = {}
    for module, names in names_by_module().items():
        for name in names:
            home = home_of(getattr(importlib.import_module(f"langgraph.{module}"), name))
            if home is not None and name not in OWN:
                theirs[f"{module}:{name}"] = home
    out = with_langgraph.check(
        INSTALL
        + f"""
import importlib, json, warnings
warnings.simplefilter("ignore")
found = {{}}
for place in json.loads('''{json.dumps(list(theirs))}'''):
    module, name = place.split(":")
    value = getattr(importlib.import_module("langgraph." + module), name)
    home, kind = getattr(value, "__module__", None), getattr(value, "__qualname__", repr(value))
    found[place] = f"{{home}}.{{kind}}"
print(json.dumps(found))
"""
    )

    found = json.loads(out)
    assert {place: home for place, home in found.items() if home != theirs[place]} == {}


def test_a_module_reached_as_an_attribute_has_them_too(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
import langgraph.graph
from langgraph.types import Command
print(langgraph.graph.state.Command is Command)
"""
    )

    assert out == "True\n"


def test_a_name_that_langgraph_does_not_have_is_refused(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
import langgraph.graph.state, langgraph.types, langgraph.stream
for module in (langgraph.graph.state, langgraph.types, langgraph.stream):
    print(hasattr(module, "Commando"), hasattr(module, "StateGraph"))
try:
    from langgraph.graph.state import Commando
except ImportError as error:
    print(error.name)
"""
    )

    assert out == "False True\nFalse False\nFalse False\nmillstream.graph.state\n"


def test_a_part_of_the_engine_says_what_it_is_when_it_is_called(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
from langgraph.pregel.main import SyncPregelLoop, apply_writes
print(isinstance(1, SyncPregelLoop))
for call in (SyncPregelLoop, apply_writes):
    try:
        call()
    except NotImplementedError as error:
        print(error)
"""
    )

    assert out == (
        "False\n"
        "langgraph.pregel.main.SyncPregelLoop is a part of LangGraph's engine, which millstream "
        "does not have; run graphs by their methods\n"
        "langgraph.pregel.main.apply_writes is a part of LangGraph's engine, which millstream does "
        "not have; run graphs by their methods\n"
    )


def test_nothing_is_imported_for_names_that_nobody_asks_for(python: Python) -> None:
    out = python.check(
        INSTALL
        + """
import sys
import langgraph.pregel.main, langgraph.pregel.remote, langgraph.func
late = ("langgraph_sdk", "millstream.compat.stand_ins", "millstream.pregel._structure.writers")
print([name for name in late if name in sys.modules])
from langgraph.func import ChannelWrite, P
print([name for name in late if name in sys.modules])
"""
    )

    assert out == "[]\n['millstream.compat.stand_ins', 'millstream.pregel._structure.writers']\n"
