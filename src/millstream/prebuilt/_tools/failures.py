"""Tools that fail: which errors become messages to the model, and what these say."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import ToolException
from pydantic import ValidationError

from millstream._base.texts import safe_repr
from millstream.prebuilt._tools.results import msg_content_output

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

INVALID_TOOL_NAME_ERROR_TEMPLATE: Final = (
    "Error: {requested_tool} is not a valid tool, try one of [{available_tools}]."
)
TOOL_CALL_ERROR_TEMPLATE: Final = "Error: {error}\n Please fix your mistakes."
TOOL_EXECUTION_ERROR_TEMPLATE: Final = (
    "Error executing tool '{tool_name}' with kwargs {tool_kwargs} with error:\n"
    " {error}\n"
    " Please fix the error and try again."
)
TOOL_INVOCATION_ERROR_TEMPLATE: Final = (
    "Error invoking tool '{tool_name}' with kwargs {tool_kwargs} with error:\n"
    " {error}\n"
    " Please fix the error and try again."
)

HandleToolErrors: TypeAlias = (
    bool | str | Callable[..., str] | type[Exception] | tuple[type[Exception], ...]
)
"""Which errors of a tool become messages to the model, and their text.

`True`, or a text to say: all of them. Exception types: these. A function that returns the text: the
types in the annotation of its first parameter, all without one.
"""


class ToolInvocationError(ToolException):
    """A model called a tool with arguments that do not fit its schema."""

    def __init__(
        self,
        tool_name: str,
        source: ValidationError,
        tool_kwargs: dict[str, Any],
        filtered_errors: list[ErrorDetails] | None = None,
    ) -> None:
        if filtered_errors is None:
            error: Any = source
        else:
            error = "\n".join(
                f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
                for item in filtered_errors
            )
        self.message = TOOL_INVOCATION_ERROR_TEMPLATE.format(
            tool_name=tool_name, tool_kwargs=tool_kwargs, error=error
        )
        self.tool_name = tool_name
        self.tool_kwargs = tool_kwargs
        """The arguments the model gave."""
        self.source = source
        self.filtered_errors = filtered_errors
        """What the model can mend: no errors of injected arguments."""
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        parameters = (self.tool_name, self.source, self.tool_kwargs, self.filtered_errors)
        return type(self), parameters


def _default_handle_tool_errors(e: Exception) -> str:
    """Tell the model about arguments that do not fit, and raise every other error again."""
    if isinstance(e, ToolInvocationError):
        return e.message
    raise e


def unknown_tool(call: ToolCall, available: list[str]) -> ToolMessage:
    """Return the message for a call of a tool that the node does not have."""
    content = INVALID_TOOL_NAME_ERROR_TEMPLATE.format(
        requested_tool=call["name"], available_tools=", ".join(available)
    )
    return _error_message(content, call)


def handles(handler: HandleToolErrors, error: Exception) -> bool:
    """Say whether an error is one that `handler` wants made a message.

    Raises `ValueError` for a function whose annotation names anything but exceptions.
    """
    if not handler:
        return False
    if isinstance(handler, tuple):
        return isinstance(error, handler)
    if isinstance(handler, type):
        return isinstance(error, handler) if issubclass(handler, Exception) else True
    if callable(handler):
        return isinstance(error, _annotated_types(handler))
    return True


def as_message(handler: HandleToolErrors, error: Exception, call: ToolCall) -> ToolMessage:
    """Return what the model is told; raises whatever a function given as `handler` raises."""
    return _error_message(_text(handler, error), call)


def _error_message(content: Any, call: ToolCall) -> ToolMessage:
    return ToolMessage(content=content, name=call["name"], tool_call_id=call["id"], status="error")


def _text(handler: Any, error: Exception) -> Any:
    is_type = isinstance(handler, type) and issubclass(handler, Exception)
    if isinstance(handler, (bool, tuple)) or is_type:
        return TOOL_CALL_ERROR_TEMPLATE.format(error=safe_repr(error))
    if isinstance(handler, str):
        return handler
    if callable(handler):
        return msg_content_output(handler(error))
    raise ValueError(
        "Got unexpected type of `handle_tool_error`. Expected bool, str or callable. "
        f"Received: {handler}"
    )


def _annotated_types(handler: Callable[..., Any]) -> tuple[type[Exception], ...]:
    parameters = list(inspect.signature(handler).parameters)
    if parameters and parameters[0] in ("self", "cls"):
        del parameters[0]
    hints = typing.get_type_hints(_function_of(handler))
    if not parameters or parameters[0] not in hints:
        return (Exception,)
    annotation = hints[parameters[0]]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = typing.get_args(annotation)
        if all(_is_exception(member) for member in members):
            return members
        raise ValueError(
            "All types in the error handler error annotation must be Exception types. "
            "For example, `def custom_handler(e: Union[ValueError, TypeError])`. "
            f"Got '{annotation}' instead."
        )
    if _is_exception(annotation):
        return (annotation,)
    raise ValueError(
        "Arbitrary types are not supported in the error handler signature. "
        "Please annotate the error with either a specific Exception type or a union of Exception "
        "types. For example, `def custom_handler(e: ValueError)` or "
        "`def custom_handler(e: Union[ValueError, TypeError])`. "
        f"Got '{annotation}' instead."
    )


def _is_exception(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Exception)


def _function_of(handler: Any) -> Any:
    if isinstance(handler, functools.partial):
        return _function_of(handler.func)
    return handler if inspect.isroutine(handler) else handler.__call__


ToolInvocationError.__module__ = "millstream.prebuilt.tool_node"
