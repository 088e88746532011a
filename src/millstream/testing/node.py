"""One node of a graph, run as the graph would run it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from millstream.constants import ROOT, START, TASKS
from millstream.drivers.routes import Routes
from millstream.errors import ParentCommand
from millstream.graph._builder.first_input import first_writes
from millstream.graph._builder.node_results import branch_write, result_writers
from millstream.graph.state import CompiledStateGraph
from millstream.journal import MemoryJournal
from millstream.modes.names import CUSTOM, UPDATES
from millstream.pregel._structure.nodes import PregelNode
from millstream.types import Command, Interrupt, Send
from millstream.wire import wired

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.store.base import BaseStore

    from millstream.types import StateSnapshot

__all__ = ("NodeResult", "arun_node", "run_node")


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What a node has done."""

    update: Any
    """What it writes to the state, as the stream mode `updates` shows it: a dict; None for nothing;
    a list of dicts if it writes a key several times; the bare value of a state without keys."""
    goto: tuple[str | Send, ...]
    """Where the run goes on: nodes by their edges, conditional ones included, and by the node's
    `Command`; its `Send`s. Empty at the end, while a question is open, and where an edge waits for
    other nodes too."""
    questions: tuple[Interrupt, ...]
    """What it asks and has got no answer to."""
    custom: tuple[Any, ...]
    """What it gave to its stream writer, and nested graphs to theirs."""
    command: Command[Any] | None
    """What it tells the graph around its own, by `Command(graph=Command.PARENT)`."""
    state: Any
    """The state after it."""


def run_node(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    node: str | Send,
    state: Any = None,
    config: RunnableConfig | None = None,
    *,
    context: Any = None,
    store: BaseStore | None = None,
    answers: Sequence[Any] = (),
) -> NodeResult:
    """Run one node of a graph, with all that the graph gives it, and return what it has done.

    The node sees the part of the state that its annotation asks for, with the reducers and classes
    of the graph, and a runtime. Its retries, its timeout, its cache and its conditional edges are
    those of the graph; breakpoints and error handlers are not asked. What is stored goes into
    memory, never to the graph's own saver. What the node raises is raised.

    Args:
        graph: A compiled `StateGraph`.
        node: The name of the node, or a `Send`, whose argument is then the input of the node.
        state: The state that the node finds, of all keys that matter to it.
        config: The config of the run.
        context: The static context of the run.
        store: The store; that of the graph by default.
        answers: The answers to its questions, in the order in which it asks. With each answer the
            node begins again, as it does in a run.

    Raises:
        AssertionError: The node has asked fewer questions than there are answers.
        ValueError: The graph has no such node.

    Example:
        >>> from millstream.graph import START, MessagesState, StateGraph
        >>> from millstream.testing import run_node
        >>> from millstream.types import Command, interrupt
        >>> def approve(state: MessagesState) -> Command:
        ...     is_fine = interrupt("Send it?") == "yes"
        ...     return Command(goto="send" if is_fine else "write")
        >>> builder = StateGraph(MessagesState).add_node(approve).add_edge(START, "approve")
        >>> _ = builder.add_node("send", lambda state: None)
        >>> graph = builder.add_node("write", lambda state: None).compile()
        >>> run_node(graph, "approve", {"messages": "Dear"}).questions[0].value
        'Send it?'
        >>> run_node(graph, "approve", {"messages": "Dear"}, answers=["no"]).goto
        ('write',)
    """
    trial = _Trial(graph, node, config, context, store, answers)
    given: Any = trial.first_input(state)
    while given is not None:
        with trial.leaving():
            for item in trial.graph.stream(given, **trial.options):
                trial.see(*item)
        given = trial.next_input(trial.graph.get_state(trial.config))
    return trial.result()


async def arun_node(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    node: str | Send,
    state: Any = None,
    config: RunnableConfig | None = None,
    *,
    context: Any = None,
    store: BaseStore | None = None,
    answers: Sequence[Any] = (),
) -> NodeResult:
    """Do what `run_node` does in an event loop, for nodes that are async."""
    trial = _Trial(graph, node, config, context, store, answers)
    given: Any = trial.first_input(state)
    while given is not None:
        with trial.leaving():
            async for item in trial.graph.astream(given, **trial.options):
                trial.see(*item)
        given = trial.next_input(await trial.graph.aget_state(trial.config))
    return trial.result()


class _Trial:
    """The run of a node: what it is asked for, and what is seen of it."""

    def __init__(
        self,
        graph: CompiledStateGraph[Any, Any, Any, Any],
        node: str | Send,
        config: RunnableConfig | None,
        context: Any,
        store: BaseStore | None,
        answers: Sequence[Any],
    ) -> None:
        self._name = node.node if isinstance(node, Send) else node
        self._send = node if isinstance(node, Send) else None
        if not isinstance(graph, CompiledStateGraph):
            raise TypeError(f"run_node runs nodes of a compiled StateGraph, not of {graph!r:.200}")
        if self._name not in graph.nodes or self._name == START:
            names = ", ".join(sorted(graph.nodes.keys() - {START}))
            raise ValueError(f"the graph has no node {self._name!r}; it has {names}")
        self._saver = MemoryJournal()
        self.graph = graph.copy(
            {
                "nodes": _alone(graph, node),
                "checkpointer": self._saver,
                "interrupt_before_nodes": (),
                "interrupt_after_nodes": [self._name],
                "node_error_handler_map": {},
                "store": graph.store if store is None else store,
            }
        )
        configurable = {"thread_id": str(uuid4()), **(config or {}).get("configurable", {})}
        self.config: RunnableConfig = {**(config or {}), "configurable": configurable}
        self.options: dict[str, Any] = {
            "config": self.config,
            "context": context,
            "stream_mode": [UPDATES, CUSTOM],
            "subgraphs": True,
        }
        self._answers, self._answered = list(answers), 0
        self._update: Any = None
        self._custom: list[Any] = []
        self._command: Command[Any] | None = None
        self._snapshot: StateSnapshot | None = None

    def first_input(self, state: Any) -> Any:
        """Return the input with which the node finds a state."""
        # An empty input would be none at all: the run would have nothing to go on with.
        return {} if state is None and self.graph.channels.keys().isdisjoint({ROOT}) else state

    def see(self, ns: tuple[str, ...], mode: str, payload: Any) -> None:
        """Take note of what the run shows."""
        if mode == CUSTOM:
            self._custom.append(payload)
        elif not ns and self._name in payload:
            self._update = payload[self._name]

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Take note of a command for the graph around."""
        try:
            yield
        except ParentCommand as signal:
            self._command = signal.args[0]

    def next_input(self, snapshot: StateSnapshot) -> Command[Any] | None:
        """Return the next answer, None when there is nothing to answer."""
        self._snapshot = snapshot
        left = len(self._answers) - self._answered
        if not (left and snapshot.interrupts):
            if left and self._command is None:
                raise AssertionError(
                    f"node {self._name!r} was given {len(self._answers)} answers, and has asked "
                    f"{self._answered} questions"
                )
            return None
        self._answered += 1
        question = snapshot.interrupts[0].id
        return Command(resume={question: self._answers[self._answered - 1]})

    def result(self) -> NodeResult:
        """Return what the node has done."""
        assert self._snapshot is not None
        questions = self._snapshot.interrupts
        goto: tuple[str | Send, ...] = ()
        if not questions and self._command is None:
            goto = self._where()
        return NodeResult(
            update=self._update,
            goto=goto,
            questions=questions,
            custom=tuple(self._custom),
            command=self._command,
            state=self._snapshot.values,
        )

    def _where(self) -> tuple[str | Send, ...]:
        assert self._snapshot is not None
        saved = wired(self._saver).get_tuple(self.config)
        assert saved is not None
        sends = tuple(saved.checkpoint["channel_values"].get(TASKS) or ())
        names = self._snapshot.next
        # Tasks of `Send`s are the first of a superstep.
        return (*names[len(sends) :], *sends)


def _alone(
    graph: CompiledStateGraph[Any, Any, Any, Any], node: str | Send
) -> dict[str, PregelNode]:
    """Return the nodes of a graph with a start that leads to one of them alone."""
    name = node.node if isinstance(node, Send) else node
    builder: Any = graph.builder
    first = (TASKS, node) if isinstance(node, Send) else branch_write(name)
    writers = result_writers(list(builder.channels), Routes({}), aliases=graph.aliases)
    start = PregelNode(
        channels=START,
        triggers=[START],
        to_writes=writers(START, [first]),
        first_writes=first_writes(builder.channels),
        tags=["langsmith:hidden"],
    )
    return {
        **graph.nodes,
        START: start,
        name: graph.nodes[name].copy({"error_handler_node": None}),
    }
