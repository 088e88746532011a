"""`StreamWriter`, and what keeps a parameter of a tool from the model.

Apart from `types` because it is slow to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NoReturn, TypeAlias

from langchain_core.tools import InjectedToolArg
from pydantic_core import PydanticOmit


class HiddenArg(InjectedToolArg):
    """Mark a parameter that is injected, and that no model is told about.

    LangChain looks for the mark of a parameter, but not within a union such as `X | None`. What is
    left of such a parameter is its JSON schema, so that must not be there either.
    """

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: Any) -> NoReturn:
        """Leave the parameter out."""
        raise PydanticOmit


StreamWriter: TypeAlias = Annotated[Callable[[Any], None], HiddenArg]
"""Puts one item into the `custom` stream of a run.

A node's or tool's parameter with this annotation is given the run's writer, and is not part of
what a model is told about the tool.
"""
