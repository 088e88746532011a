"""`ValidationNode`: check what a model calls tools with, without calling them. Deprecated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_executor_for_config
from langchain_core.tools import BaseTool, create_schema_from_function
from pydantic import BaseModel, ValidationError
from typing_extensions import deprecated

from millstream._base.runnable import RunnableCallable
from millstream.warnings import LangGraphDeprecatedSinceV10


def _default_format_error(error: BaseException, call: ToolCall, schema: type[BaseModel]) -> str:
    """Tell the model what is wrong with its arguments."""
    return f"{error!r}\n\nRespond after fixing all validation errors."


@deprecated(
    "ValidationNode is deprecated. Please use `create_agent` from `langchain.agents` with custom "
    "tool error handling.",
    category=LangGraphDeprecatedSinceV10,
)
class ValidationNode(RunnableCallable):
    """Answer each tool call of the last message with its arguments, or with what is wrong.

    A wrong call's message has `additional_kwargs["is_error"]`. The result has the form of the
    input: a list of messages, or a dict with `messages`.
    """

    def __init__(
        self,
        schemas: Sequence[BaseTool | type[BaseModel] | Callable[..., Any]],
        *,
        format_error: (Callable[[BaseException, ToolCall, type[BaseModel]], str] | None) = None,
        name: str = "validation",
        tags: list[str] | None = None,
    ) -> None:
        super().__init__(self._func, None, name=name, tags=tags, trace=False)
        self._format_error = format_error or _default_format_error
        self.schemas_by_name: dict[str, type[BaseModel]] = dict(_named(item) for item in schemas)

    def _func(
        self, input: list[AnyMessage] | dict[str, Any] | BaseModel, config: RunnableConfig
    ) -> Any:
        message = _last_message(input)
        with get_executor_for_config(config) as executor:
            outputs = list(executor.map(self._check, message.tool_calls))
        return outputs if isinstance(input, list) else {"messages": outputs}

    def _check(self, call: ToolCall) -> ToolMessage:
        schema = self.schemas_by_name[call["name"]]
        try:
            content = schema.model_validate(call["args"]).model_dump_json()
        except ValidationError as error:
            return ToolMessage(
                content=self._format_error(error, call, schema),
                name=call["name"],
                tool_call_id=call["id"],
                additional_kwargs={"is_error": True},
            )
        return ToolMessage(content=content, name=call["name"], tool_call_id=call["id"])


def _named(item: Any) -> tuple[str, type[BaseModel]]:
    if isinstance(item, BaseTool):
        schema = item.args_schema
        if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            raise ValueError(
                "ValidationNode only works with tools that have a pydantic BaseModel args_schema. "
                f"Got {item.name} with args_schema: {schema}."
            )
        return item.name, schema
    if isinstance(item, type) and issubclass(item, BaseModel):
        return item.__name__, item
    if callable(item):
        schema = create_schema_from_function("Validation", item)
        return item.__name__, cast("type[BaseModel]", schema)
    raise ValueError(
        "Unsupported input to ValidationNode. Expected BaseModel, tool or function. "
        f"Got: {type(item)}."
    )


def _last_message(input: Any) -> AIMessage:
    if isinstance(input, list):
        message = input[-1]
    else:
        is_dict = isinstance(input, dict)
        messages = input.get("messages") if is_dict else getattr(input, "messages", None)
        if not messages:
            raise ValueError("No message found in input")
        message = messages[-1]
    if not isinstance(message, AIMessage):
        raise ValueError("Last message is not an AIMessage")
    return message
