"""What a server is told, and what its answers mean here; without any request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables.graph import Edge, Node

from millstream.constants import CONF, ENGINE_PREFIX, NS_SEP
from millstream.drivers.metadata import PLACE_KEYS, as_text
from millstream.pictures import DrawableGraph
from millstream.types import Command, Interrupt, PregelTask, Send, StateSnapshot

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from millstream.modes.parts import Namespace

CHECKPOINT_KEYS: Final = ("thread_id", *PLACE_KEYS)
"""Keys of `configurable` that name a checkpoint."""
SENT_KEYS: Final = ("recursion_limit", "tags", "metadata")
"""Keys of a config that servers know, besides `configurable`."""
SCALARS: Final = (str, int, float, bool)
MESSAGES_BY_TYPE: Final[dict[str, type[BaseMessage]]] = {
    "AIMessageChunk": AIMessageChunk,
    "ai": AIMessage,
    "human": HumanMessage,
    "system": SystemMessage,
    "tool": ToolMessage,
}


def sent_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a server is told of a config: what JSON can hold and no engine has put there."""
    sent = {
        key: _plain(config[key]) for key in SENT_KEYS if config.get(key) not in (None, {}, [], ())
    }
    given = config.get(CONF) or {}
    sent[CONF] = {
        key: _plain(value)
        for key, value in given.items()
        if isinstance(key, str)
        and not key.startswith(ENGINE_PREFIX)
        and key not in CHECKPOINT_KEYS
        and _is_sent(value)
    }
    return sent


def _is_sent(value: Any) -> bool:
    return isinstance(value, (*SCALARS, dict, list, tuple))


def _plain(value: Any) -> Any:
    """Return the value without what JSON cannot hold."""
    if isinstance(value, Mapping):
        return {
            key: _plain(item)
            for key, item in value.items()
            if isinstance(key, str) and _is_sent(item)
        }
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value if _is_sent(item)]
    return value


def sent_checkpoint(configurable: Mapping[str, Any]) -> dict[str, Any]:
    """Return the name of the checkpoint that a config points to; of the newest without an id."""
    named = {key: configurable[key] for key in CHECKPOINT_KEYS if configurable.get(key)}
    return {
        key: value if isinstance(value, Mapping) else as_text(value) for key, value in named.items()
    }


def sent_command(command: Command[Any]) -> dict[str, Any]:
    """Return the JSON of a command that is given as input."""
    goto: Any = command.goto
    update: Any = command.update
    if update is not None and not isinstance(update, Mapping):
        update = [list(pair) for pair in command._update_as_tuples()]
    targets = goto if isinstance(goto, (list, tuple)) else (goto,)
    sends = [
        {"node": target.node, "input": target.arg} if isinstance(target, Send) else target
        for target in targets
    ]
    return {
        "graph": command.graph,
        "update": update,
        "resume": command.resume,
        "goto": sends if isinstance(goto, (list, tuple)) else sends[0],
    }


def received_command(data: Mapping[str, Any], graph: str) -> Command[Any]:
    """Return a command of a remote graph for the graph around it."""
    goto = data.get("goto") or ()
    update = data.get("update")
    if isinstance(update, list):
        update = [(key, value) for key, value in update]
    targets = goto if isinstance(goto, list) else [goto]
    found = [_target(target) for target in targets] if goto else []
    return Command(
        graph=graph,
        update=update,
        resume=data.get("resume"),
        goto=found if isinstance(goto, list) or not found else found[0],
    )


def _target(target: Any) -> Any:
    if isinstance(target, Mapping):
        return Send(target["node"], target["input"] if "input" in target else target.get("arg"))
    return target


def received_interrupts(data: Iterable[Mapping[str, Any]]) -> tuple[Interrupt[Any], ...]:
    """Return the questions of a remote graph; servers may say more of them than we know."""
    return tuple(
        Interrupt(
            one.get("value"),
            **({"id": one["id"]} if one.get("id") else {}),
            response_schema=one.get("response_schema"),
        )
        for one in data
    )


def event_of(name: str) -> tuple[str, Namespace]:
    """Return the mode and the namespace in the name of an event, `updates|outer:1|inner:2`."""
    mode, *namespace = name.split(NS_SEP)
    return mode, tuple(namespace)


def received_message(data: Any) -> Any:
    """Return the message that JSON stands for; what is none as it is."""
    kind = MESSAGES_BY_TYPE.get(data.get("type", "")) if isinstance(data, Mapping) else None
    return data if kind is None else kind.model_validate(data)


def received_payload(mode: str, payload: Any) -> Any:
    """Return a payload with the classes that it has in streams of graphs that run here."""
    if mode not in ("updates", "values") or not isinstance(payload, Mapping):
        return payload
    asked = payload.get("__interrupt__")
    if not isinstance(asked, Sequence):
        return payload
    return {**payload, "__interrupt__": received_interrupts(asked)}


def received_config(checkpoint: Mapping[str, Any]) -> RunnableConfig:
    """Return the config that points to a checkpoint."""
    named = {
        "thread_id": checkpoint["thread_id"],
        "checkpoint_ns": checkpoint.get("checkpoint_ns") or "",
        "checkpoint_id": checkpoint.get("checkpoint_id"),
        "checkpoint_map": checkpoint.get("checkpoint_map") or {},
    }
    return {"configurable": named}


def snapshot_of(state: Mapping[str, Any], thread_id: str) -> StateSnapshot:
    """Return the state of a thread as graphs that run here show it."""
    parent, checkpoint = state.get("parent_checkpoint"), state.get("checkpoint")
    tasks = tuple(_task_of(task, thread_id) for task in state.get("tasks") or ())
    return StateSnapshot(
        values=state.get("values") or {},
        next=tuple(state.get("next") or ()),
        config=received_config(checkpoint or {"thread_id": thread_id}),
        metadata=cast("Any", state.get("metadata")),
        created_at=state.get("created_at"),
        parent_config=None if not parent else received_config(parent),
        tasks=tasks,
        interrupts=tuple(question for task in tasks for question in task.interrupts),
    )


def _task_of(task: Mapping[str, Any], thread_id: str) -> PregelTask:
    nested, checkpoint, error = task.get("state"), task.get("checkpoint"), task.get("error")
    state: Any = None
    if nested:
        state = snapshot_of(nested, thread_id)
    elif checkpoint:
        state = received_config(checkpoint)
    return PregelTask(
        id=task["id"],
        name=task["name"],
        path=tuple(task.get("path") or ()),
        error=None if error is None else Exception(error),
        interrupts=received_interrupts(task.get("interrupts") or ()),
        state=state,
        result=task.get("result"),
    )


def drawn_graph(data: Mapping[str, Sequence[Mapping[str, Any]]]) -> DrawableGraph:
    """Return a graph to be drawn."""
    drawn = DrawableGraph()
    for node in data["nodes"]:
        node_id, facts = str(node["id"]), node.get("data", {})
        named = facts.get("name") if isinstance(facts, Mapping) else None
        drawn.nodes[node_id] = Node(
            id=node_id,
            name=str(named or node_id),
            data=cast("Any", facts),
            metadata=cast("Any", node.get("metadata")),
        )
    for edge in data["edges"]:
        drawn.edges.append(
            Edge(
                source=str(edge["source"]),
                target=str(edge["target"]),
                data=cast("Any", edge.get("data")),
                conditional=bool(edge.get("conditional", False)),
            )
        )
    return drawn
