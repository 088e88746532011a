"""Type variables of the graph API and the shapes a state schema may have."""

from __future__ import annotations

from dataclasses import Field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

from typing_extensions import TypeVar

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from pydantic import BaseModel

__all__ = (
    "ContextT",
    "InputT",
    "OutputT",
    "StateT",
    "StateT_co",
    "StateT_contra",
)


class TypedDictLikeV1(Protocol):
    """A `TypedDict` class of `typing`, as type checkers see it."""

    __required_keys__: ClassVar[frozenset[str]]
    __optional_keys__: ClassVar[frozenset[str]]


class TypedDictLikeV2(Protocol):
    """A `TypedDict` class whose key sets are class attributes without `ClassVar`."""

    __required_keys__: frozenset[str]
    __optional_keys__: frozenset[str]


class DataclassLike(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


# A string, so that importing this module does not import pydantic.
StateLike: TypeAlias = "TypedDictLikeV1 | TypedDictLikeV2 | DataclassLike | BaseModel"

ConfigLike: TypeAlias = "RunnableConfig | dict[str, Any]"
"""A config as callers write it: type checkers take a dict that has a name for a plain one."""

StateT = TypeVar("StateT", bound="StateLike")
"""The state of a graph."""
StateT_co = TypeVar("StateT_co", bound="StateLike", covariant=True)
StateT_contra = TypeVar("StateT_contra", bound="StateLike", contravariant=True)
ContextT = TypeVar("ContextT", bound="StateLike | None", default=None)
"""The run-scoped context of a graph."""
ContextT_contra = TypeVar(
    "ContextT_contra", bound="StateLike | None", contravariant=True, default=None
)
InputT = TypeVar("InputT", bound="StateLike", default=StateT)
"""The input of a graph, by default its state."""
OutputT = TypeVar("OutputT", bound="StateLike", default=StateT)
"""The output of a graph, by default its state."""
ResultT = TypeVar("ResultT")
"""The output of one run; unlike `OutputT` it has no default that names another variable."""
NodeInputT = TypeVar("NodeInputT", bound="StateLike")
"""The input of a node."""
NodeInputT_contra = TypeVar("NodeInputT_contra", bound="StateLike", contravariant=True)
