"""The node that carries out the tool calls of a model, and the edge that leads to it.

What it is built on is in `_tools`: what may go in and come out in `results`, what tools are given
in `injection`, errors in `failures`, and what wrappers see in `request`. All of it can be imported
from here.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    get_executor_for_config,
    run_in_executor,
)
from langchain_core.tools import BaseTool
from langchain_core.tools import tool as make_tool
from pydantic import BaseModel, ValidationError

from millstream._base.runnable import RunnableCallable, callable_name
from millstream.config import task_context_of
from millstream.constants import CONF, CONFIG_KEY_READ, CONFIG_KEY_READ_STATE
from millstream.drivers.current_strand import await_in_strand, call_in_strand
from millstream.errors import GraphBubbleUp, is_invalid_resume
from millstream.prebuilt._tools.failures import (
    INVALID_TOOL_NAME_ERROR_TEMPLATE,
    TOOL_CALL_ERROR_TEMPLATE,
    TOOL_EXECUTION_ERROR_TEMPLATE,
    TOOL_INVOCATION_ERROR_TEMPLATE,
    HandleToolErrors,
    ToolInvocationError,
    _default_handle_tool_errors,
    as_message,
    handles,
    unknown_tool,
)
from millstream.prebuilt._tools.injection import (
    InjectedState,
    InjectedStore,
    Injections,
    ToolRuntime,
    errors_of_model,
    inject,
    injections_of,
)
from millstream.prebuilt._tools.request import (
    AsyncToolCallWrapper,
    ToolCallRequest,
    ToolCallWithContext,
    ToolCallWrapper,
    names_of,
)
from millstream.prebuilt._tools.results import (
    InputForm,
    checked_response,
    combined,
    msg_content_output,
    pass_on,
)
from millstream.runtime import DEFAULT_RUNTIME, Runtime

__all__ = (
    "INVALID_TOOL_NAME_ERROR_TEMPLATE",
    "TOOL_CALL_ERROR_TEMPLATE",
    "TOOL_EXECUTION_ERROR_TEMPLATE",
    "TOOL_INVOCATION_ERROR_TEMPLATE",
    "AsyncToolCallWrapper",
    "InjectedState",
    "InjectedStore",
    "ToolCallRequest",
    "ToolCallWithContext",
    "ToolCallWrapper",
    "ToolInvocationError",
    "ToolNode",
    "ToolRuntime",
    "msg_content_output",
    "tools_condition",
)


class ToolNode(RunnableCallable):
    """Carry out the tool calls of the last `AIMessage`, all at once.

    The input is a state with messages, a list of messages, a list of tool calls or one
    `ToolCallWithContext`. The result has the messages in the order of the calls: a list for a list
    of messages, else a dict under `messages_key`. When a tool returned a `Command` it is a list of
    such results and commands.

    Sync calls run in threads, a single one in the caller's. When an async call fails, the others
    are cancelled. Interrupts and commands for a parent graph pass through when all calls have
    ended: all tools that ask are asked at once.

    Args:
        tools: Tools, or functions to be made tools. Parameters annotated with `ToolRuntime`,
            `InjectedState` or `InjectedStore` are filled in and not shown to models.
        name: The node's name.
        tags: Tags of its traces.
        handle_tool_errors: What becomes of a failure: True, a text or a function of the exception
            makes it a `ToolMessage` for the model, as do exception classes for those; False
            raises. By default only calls that do not fit the tool's arguments become messages.
        messages_key: The state key with the messages.
        wrap_tool_call: Called with each request and the function that carries it out, to change,
            repeat or replace the call.
        awrap_tool_call: The same, for async runs.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> from millstream.graph import START, MessagesState, StateGraph
        >>> from millstream.prebuilt import ToolNode
        >>> def add(a: int, b: int) -> int:
        ...     "Add two numbers."
        ...     return a + b
        >>> graph = StateGraph(MessagesState).add_node(ToolNode([add])).add_edge(START, "tools")
        >>> calls = [{"name": "add", "args": {"a": 1, "b": 2}, "id": "1", "type": "tool_call"}]
        >>> said = graph.compile().invoke({"messages": [AIMessage("", tool_calls=calls)]})
        >>> said["messages"][-1].content
        '3'
    """

    def __init__(
        self,
        tools: Sequence[BaseTool | Callable[..., Any]],
        *,
        name: str = "tools",
        tags: list[str] | None = None,
        handle_tool_errors: HandleToolErrors = _default_handle_tool_errors,
        messages_key: str = "messages",
        wrap_tool_call: ToolCallWrapper | None = None,
        awrap_tool_call: AsyncToolCallWrapper | None = None,
    ) -> None:
        super().__init__(self._func, self._afunc, name=name, tags=tags, trace=False)
        self._tools_by_name: dict[str, BaseTool] = {}
        self._injections: dict[str, Injections] = {}
        self._handle_tool_errors = handle_tool_errors
        self._messages_key = messages_key
        self._wrap_tool_call = wrap_tool_call
        self._awrap_tool_call = awrap_tool_call
        # Tools are models of pydantic, which can be iterated: over their fields.
        if isinstance(tools, BaseTool) or (callable(tools) and not isinstance(tools, Iterable)):
            named = tools.name if isinstance(tools, BaseTool) else callable_name(tools)
            raise TypeError(f"ToolNode takes a list of tools, as in ToolNode([{named}])")
        for given in tools:
            tool = given if isinstance(given, BaseTool) else make_tool(given)
            self._tools_by_name[tool.name] = tool
            self._injections[tool.name] = injections_of(tool)

    @property
    def tools_by_name(self) -> dict[str, BaseTool]:
        """The tools by the name that models call them by."""
        return self._tools_by_name

    def inject_tool_args(
        self,
        tool_call: ToolCall,
        tool_runtime: ToolRuntime[Any, Any],
        tool: BaseTool | None = None,
    ) -> ToolCall:
        """Return a copy of a call with everything its tool wants injected.

        What the model gave for such a parameter is dropped. `tool` need not be one of this node's.
        Raises `ValueError` when there is no store, or only a list of messages, and the tool wants
        more.
        """
        tool = tool or self._tools_by_name.get(tool_call["name"])
        if tool is None:
            return tool_call
        return inject(tool_call, self._injections_of(tool), tool_runtime, self._messages_key)

    def _fitted(self, tool: BaseTool) -> BaseTool:
        return self._injections_of(tool).fitted(tool)

    def _injections_of(self, tool: BaseTool) -> Injections:
        if self._tools_by_name.get(tool.name) is tool:
            return self._injections[tool.name]
        return injections_of(tool)

    def _func(
        self,
        input: list[AnyMessage] | dict[str, Any] | BaseModel,
        config: RunnableConfig,
        runtime: Runtime[Any],
    ) -> Any:
        calls, form = self._calls_of(input)
        runtimes = self._runtimes(calls, input, config, runtime)
        task, names = task_context_of(config), names_of(calls)

        def run(name: str, call: ToolCall, call_runtime: ToolRuntime[Any, Any]) -> Any:
            try:
                return call_in_strand(task, name, self._run_one, call, form, call_runtime)
            # Kept, so that the other tools end: they may ask as well, and all questions are put at
            # once.
            except GraphBubbleUp as signal:
                return signal

        if len(calls) == 1 and not _is_in_event_loop():
            # Copied so that what a tool does to its context stays there, as in a thread.
            context = contextvars.copy_context()
            outputs = [context.run(run, names[0], calls[0], runtimes[0])]
        else:
            with get_executor_for_config(config) as executor:
                outputs = list(executor.map(run, names, calls, runtimes))
        pass_on(outputs)
        return combined(outputs, form, self._messages_key)

    async def _afunc(
        self,
        input: list[AnyMessage] | dict[str, Any] | BaseModel,
        config: RunnableConfig,
        runtime: Runtime[Any],
    ) -> Any:
        calls, form = self._calls_of(input)
        runtimes = self._runtimes(calls, input, config, runtime)
        task, names = task_context_of(config), names_of(calls)

        async def run(name: str, call: ToolCall, call_runtime: ToolRuntime[Any, Any]) -> Any:
            try:
                return await await_in_strand(task, name, self._arun_one, call, form, call_runtime)
            except GraphBubbleUp as signal:
                return signal

        # In this task: another one would only be waited for.
        if len(calls) == 1:
            outputs = [await run(names[0], calls[0], runtimes[0])]
        else:
            outputs = await _all_of(
                [
                    asyncio.create_task(run(*given))
                    for given in zip(names, calls, runtimes, strict=True)
                ]
            )
        pass_on(outputs)
        return combined(outputs, form, self._messages_key)

    def _calls_of(self, input: Any) -> tuple[list[ToolCall], InputForm]:
        form: InputForm = "dict"
        if isinstance(input, list):
            if isinstance(input[-1], dict) and input[-1].get("type") == "tool_call":
                return input, "tool_calls"
            messages, form = input, "list"
        elif isinstance(input, dict) and input.get("__type") == "tool_call_with_context":
            return [input["tool_call"]], "tool_calls"
        elif isinstance(input, dict):
            messages = input.get(self._messages_key, [])
        else:
            messages = getattr(input, self._messages_key, [])
        if not messages:
            raise ValueError("No message found in input")
        # What other nodes have said since the model does not undo its calls.
        for message in reversed(messages):
            if isinstance(message, AIMessage):
                return list(message.tool_calls), form
        raise ValueError("No AIMessage found in input")

    def _runtimes(
        self,
        calls: list[ToolCall],
        input: Any,
        config: RunnableConfig,
        runtime: Runtime[Any] | None,
    ) -> list[ToolRuntime[Any, Any]]:
        # Outside a graph there is no runtime, and tools that want nothing of it work all the same.
        runtime = runtime or DEFAULT_RUNTIME
        state = _state_of(input, config)
        return [
            ToolRuntime(
                state=state,
                context=runtime.context,
                config=ensure_config(config),
                stream_writer=runtime.stream_writer,
                tool_call_id=call["id"],
                store=runtime.store,
                tools=list(self._tools_by_name.values()),
                execution_info=runtime.execution_info,
                server_info=runtime.server_info,
            )
            for call in calls
        ]

    def _request(self, call: ToolCall, runtime: ToolRuntime[Any, Any]) -> ToolCallRequest:
        tool = self._tools_by_name.get(call["name"])
        return ToolCallRequest(tool_call=call, tool=tool, state=runtime.state, runtime=runtime)

    def _run_one(self, call: ToolCall, form: InputForm, runtime: ToolRuntime[Any, Any]) -> Any:
        def execute(request: ToolCallRequest) -> Any:
            return self._execute(request, form, runtime.config)

        request = self._request(call, runtime)
        if self._wrap_tool_call is None:
            return execute(request)
        try:
            return self._wrap_tool_call(request, execute)
        except GraphBubbleUp:
            raise
        except Exception as error:
            return self._wrapper_failed(error, call)

    async def _arun_one(
        self, call: ToolCall, form: InputForm, runtime: ToolRuntime[Any, Any]
    ) -> Any:
        async def execute(request: ToolCallRequest) -> Any:
            return await self._aexecute(request, form, runtime.config)

        if self._awrap_tool_call is None:
            if self._wrap_tool_call is not None:
                # A wrapper that is not async calls the tool in the sync way, which must not hold
                # the event loop.
                return await run_in_executor(None, self._run_one, call, form, runtime)
            return await execute(self._request(call, runtime))
        try:
            return await self._awrap_tool_call(self._request(call, runtime), execute)
        except GraphBubbleUp:
            raise
        except Exception as error:
            return self._wrapper_failed(error, call)

    def _execute(self, request: ToolCallRequest, form: InputForm, config: RunnableConfig) -> Any:
        call, tool = request.tool_call, request.tool
        if tool is None:
            return unknown_tool(call, list(self._tools_by_name))
        ready = self.inject_tool_args(call, request.runtime, tool)
        try:
            response = self._fitted(tool).invoke(ready, config)
            return checked_response(response, call, form, self._messages_key)
        except GraphBubbleUp:
            raise
        except Exception as error:
            return self._tool_failed(error, call, tool)

    async def _aexecute(
        self, request: ToolCallRequest, form: InputForm, config: RunnableConfig
    ) -> Any:
        call, tool = request.tool_call, request.tool
        if tool is None:
            return unknown_tool(call, list(self._tools_by_name))
        ready = self.inject_tool_args(call, request.runtime, tool)
        try:
            response = await self._fitted(tool).ainvoke(ready, config)
            return checked_response(response, call, form, self._messages_key)
        except GraphBubbleUp:
            raise
        except Exception as error:
            return self._tool_failed(error, call, tool)

    def _tool_failed(self, error: Exception, call: ToolCall, tool: BaseTool) -> ToolMessage:
        if is_invalid_resume(error):
            raise error  # it is no concern of the model, and the question stays open
        if isinstance(error, ValidationError):
            found = errors_of_model(error, self._injections_of(tool))
            source, error = error, ToolInvocationError(call["name"], error, call["args"], found)
            error.__cause__ = source
        if not handles(self._handle_tool_errors, error):
            raise error
        return as_message(self._handle_tool_errors, error, call)

    def _wrapper_failed(self, error: Exception, call: ToolCall) -> ToolMessage:
        if is_invalid_resume(error):
            raise error
        # Not only the types that `handle_tool_errors` names: they are about errors of tools.
        if not self._handle_tool_errors:
            raise error
        return as_message(self._handle_tool_errors, error, call)


def tools_condition(
    state: list[AnyMessage] | dict[str, Any] | BaseModel, messages_key: str = "messages"
) -> Literal["tools", "__end__"]:
    """Say where to go after the model: to `"tools"` if its last message calls any, or to the end.

    For `add_conditional_edges`. Raises `ValueError` when the state has no messages.
    """
    if isinstance(state, list):
        message = state[-1]
    else:
        if isinstance(state, dict):
            messages = state.get(messages_key)
        else:
            messages = getattr(state, messages_key, None)
        if not messages:
            raise ValueError(f"No messages found in input state to tool_edge: {state}")
        message = messages[-1]
    return "tools" if getattr(message, "tool_calls", None) else "__end__"


def _state_of(input: Any, config: RunnableConfig) -> Any:
    """Return the state that the calls are made in.

    An input of calls alone was sent to the node, and the state is that of the graph.
    """
    if isinstance(input, list) and isinstance(input[-1], dict):
        if input[-1].get("type") != "tool_call":
            return input
        configurable = config.get(CONF) or {}
        if (read_state := configurable.get(CONFIG_KEY_READ_STATE)) is not None:
            return read_state()
        # Not sent to this node, but called by the code of another one, whose state it is.
        read = configurable.get(CONFIG_KEY_READ)
        return {} if read is None else read(list(read.args[1]), True)
    if isinstance(input, dict) and input.get("__type") == "tool_call_with_context":
        return input["state"]
    return input


def _is_in_event_loop() -> bool:
    # A tool that starts an event loop of its own cannot do so below a running one.
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _all_of(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    """Return the results in order; leave no task behind when one fails."""
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
