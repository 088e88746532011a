"""`Send`: apart from `types` because `Command` carries it."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import timedelta
from typing import Any

from typing_extensions import TypeVar

from millstream._types.policies import TimeoutPolicy

__all__ = ("N", "Send")

N = TypeVar("N", bound=Hashable)
"""Names of nodes, in `Command[N]`."""


class Send:
    """Run a node in the next superstep with an input of its own instead of the state.

    Path functions return it, alone or in a list, and `Command(goto=...)` takes it: one task for
    each, all at once. Their updates come in the order of the list.

    Args:
        node: The name of the node.
        arg: What it is given in place of the state.
        timeout: Limits for this one task, before those of the node: seconds or a `TimeoutPolicy`.

    Raises:
        ValueError: A limit that is not positive.

    Example:
        >>> import operator
        >>> from typing import Annotated
        >>> from typing_extensions import TypedDict
        >>> from millstream.graph import START, StateGraph
        >>> from millstream.types import Send
        >>> class State(TypedDict):
        ...     words: list[str]
        ...     lengths: Annotated[list[int], operator.add]
        >>> def each(state: State) -> list[Send]:
        ...     return [Send("measure", word) for word in state["words"]]
        >>> builder = StateGraph(State).add_node("measure", lambda word: {"lengths": [len(word)]})
        >>> graph = builder.add_conditional_edges(START, each, ["measure"]).compile()
        >>> graph.invoke({"words": ["mill", "stream"]})["lengths"]
        [4, 6]
    """

    __slots__ = ("arg", "node", "timeout")

    node: str
    """The node to run."""
    arg: Any
    """Its input."""
    timeout: TimeoutPolicy | None
    """Limits for this one task, before those of the node."""

    def __init__(
        self,
        /,
        node: str,
        arg: Any,
        *,
        timeout: float | timedelta | TimeoutPolicy | None = None,
    ) -> None:
        self.node = node
        self.arg = arg
        self.timeout = None if timeout is None else TimeoutPolicy.coerce(timeout)

    def __hash__(self) -> int:
        # Fails for an argument that cannot be hashed, as in LangGraph.
        return hash((self.node, self.arg, self.timeout))

    def __eq__(self, value: object) -> bool:
        return (
            isinstance(value, Send)
            and self.node == value.node
            and self.arg == value.arg
            and self.timeout == value.timeout
        )

    def __repr__(self) -> str:
        timeout = "" if self.timeout is None else f", timeout={self.timeout!r}"
        return f"Send(node={self.node!r}, arg={self.arg!r}{timeout})"


Send.__module__ = "millstream.types"
