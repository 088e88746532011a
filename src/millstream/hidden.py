"""What keeps a tool's parameter from the model: LangChain's mark, and no place in JSON schemas.

Apart from `types` because it is slow to import.
"""

from __future__ import annotations

from typing import Any, NoReturn

from langchain_core.tools import InjectedToolArg
from pydantic_core import PydanticOmit


class Hidden(InjectedToolArg):
    """Mark a parameter that is injected, and that no model is told about.

    LangChain looks for the mark of a parameter, but not within a union such as `X | None`. What is
    left of such a parameter is its JSON schema, so that must not be there either.
    """

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: Any) -> NoReturn:
        """Leave the parameter out."""
        raise PydanticOmit
