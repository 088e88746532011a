"""The `Command` a node returns.

A module of its own, which `millstream.types` imports when the name is first used: a command may
be the output of a LangChain tool, and the base class that says so is slow to import.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Final, Generic, Literal

from langchain_core.messages.tool import ToolOutputMixin

from millstream._types.send import N, Send
from millstream._types.update_fields import update_as_tuples
from millstream.constants import PARENT as PARENT_GRAPH

__all__ = ("Command",)


class JoinedUpdates(list[tuple[str, Any]]):
    """The updates of several commands that became one.

    The last value counts for a key that takes no more than one.
    """

    __slots__ = ()


def _targets(goto: Any) -> Sequence[Any]:
    """Return the targets of a command, however wrong they are."""
    # A text can be iterated over as well, letter by letter.
    if isinstance(goto, (str, Send)):
        return (goto,)
    try:
        return tuple(goto)
    except TypeError:
        return (goto,)


# No slots: the base class has a `__dict__` anyway, and `Command[str](...)` fails on a slotted
# frozen dataclass before Python 3.12.
@dataclass(frozen=True, kw_only=True)
class Command(Generic[N], ToolOutputMixin):
    """Update the state, choose what runs next, or answer an interrupt, in one object.

    Nodes and tools return it; `invoke` and `stream` take it as input.

    Args:
        graph: Whom it is for: None is the current graph, `Command.PARENT` the one around it, where
            the nested graph then ends.
        update: The state update: a dict, a list of `(key, value)`, or an object with annotations.
        resume: As input: the answer to the question that waits, or a dict of answers by the id of
            the interrupt.
        goto: The node to run next, a `Send`, or a list of these; in addition to the node's edges.

    Example:
        >>> from typing import Literal
        >>> from typing_extensions import TypedDict
        >>> from millstream.graph import START, StateGraph
        >>> from millstream.types import Command
        >>> class State(TypedDict):
        ...     path: list[str]
        >>> def fork(state: State) -> Command[Literal["left"]]:
        ...     return Command(update={"path": ["fork"]}, goto="left")
        >>> def left(state: State) -> State:
        ...     return {"path": [*state["path"], "left"]}
        >>> builder = StateGraph(State).add_node(fork).add_node(left).add_edge(START, "fork")
        >>> builder.compile().invoke({"path": []})
        {'path': ['fork', 'left']}
    """

    graph: str | None = None
    """Whom it is for: `None` is the current graph, `Command.PARENT` the closest parent."""
    update: Any | None = None
    """The state update: a dict, a list of pairs, or an object with annotations."""
    resume: dict[str, Any] | Any | None = None
    """The answer to the pending interrupt, or answers by interrupt id."""
    goto: Send | Sequence[Send | N] | N = ()
    """The next node or nodes, by name or as `Send`."""

    PARENT: ClassVar[Literal["__parent__"]] = PARENT_GRAPH

    def __repr__(self) -> str:
        contents = ", ".join(
            f"{name}={value!r}" for name in _FIELDS if (value := getattr(self, name))
        )
        return f"Command({contents})"

    def _joined(self, others: Sequence[Command[Any]]) -> Command[Any]:
        """Return one command that does what this and the others do, in order."""
        if not others:
            return self
        commands = (self, *others)
        # Pairs, because several commands may write one key, and a reducer is to see all of them.
        update = JoinedUpdates(pair for one in commands for pair in one._update_as_tuples())
        goto = [target for one in commands for target in _targets(one.goto)]
        return replace(self, update=update or None, goto=goto)

    def _update_as_tuples(self) -> Sequence[tuple[str, Any]]:
        return update_as_tuples(self.update)


_FIELDS: Final = tuple(field.name for field in fields(Command))

Command.__module__ = "millstream.types"
