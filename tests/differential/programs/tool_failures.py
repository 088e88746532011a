"""`ToolNode` when a tool, its arguments or a wrapper goes wrong; wrappers.

No `from __future__ import annotations` here: signatures are read at run time.
"""

import warnings
from typing import Annotated, Any, Optional, Union

from langchain_core.tools import tool

from differential.programs.tool_results import answer, ask
from differential.programs.tools import add, boom, calling, plain, slow_add, tool_call
from differential.registry import attempt, probe


@probe("tools.error_handlers", rows=("4.7:errors",))
def error_handlers(e, driver):
    def of_union(error: Union[ValueError, KeyError]) -> str:
        return "one of two"

    def of_key_error(error: KeyError) -> str:
        return "not called"

    def of_anything(error) -> str:
        return f"any {error!r}"

    def of_text(error: "ValueError") -> str:
        return "annotated with a text"

    def of_int(error: int) -> str:
        return "not called"

    def of_mixed(error: Optional[ValueError]) -> str:
        return "not called"

    def gives_blocks(error: ValueError) -> Any:
        return [{"type": "text", "text": "blocks"}]

    def raises(error: ValueError) -> str:
        raise RuntimeError("from the handler")

    def explains(error: e.prebuilt.tool_node.ToolInvocationError) -> str:
        found = [(item["loc"], item["msg"], item["input"]) for item in error.filtered_errors]
        return f"{error.tool_name} {error.tool_kwargs} {found} {error.message}"

    handlers = [of_union, of_key_error, of_anything, of_text, of_int, of_mixed, gives_blocks]
    handlers += [raises, explains, "a text", "", None, ValueError, KeyError, (ValueError, KeyError)]
    handlers += [(), (KeyError,), [ValueError], lambda error: "a lambda", repr]
    fails = calling(tool_call("boom", {"a": 1}))
    misfits = calling(tool_call("boom", {"a": "x", "extra": 1}))
    return [
        ask(e, driver, [boom], input, handle_tool_errors=handler)
        for handler in handlers
        for input in (fails, misfits)
    ]


@probe("tools.invocation_error", rows=("4.7:errors",))
def invocation_error(e, driver):
    kind = e.prebuilt.tool_node.ToolInvocationError
    source = attempt(lambda: add.invoke({"a": "x"}))
    some = [{"loc": ("a", 1), "msg": "wrong", "type": "t", "input": 1}]
    errors = [kind("add", source, {"a": "x"}, found) for found in (None, [], some)]
    templates = [n for n in vars(e.prebuilt.tool_node) if n.endswith("_TEMPLATE")]
    return [
        *errors,
        *(error.args for error in errors),
        *(sorted(vars(error)) for error in errors),
        [(n, getattr(e.prebuilt.tool_node, n)) for n in sorted(templates)],
    ]


@probe("tools.wrappers", rows=("4.7:wrappers",))
def wrappers(e, driver):
    command = e.types.Command

    def wrapped(make):
        """Give a function of the request and what carries it out to both drivers."""

        async def awrap(request, execute):
            return make(request, await execute(request))

        return {
            "wrap_tool_call": lambda request, execute: make(request, execute(request)),
            "awrap_tool_call": awrap,
        }

    def replaced(**overrides):
        """Override fields of the request."""

        def over(request):
            return request.override(**{k: make(request) for k, make in overrides.items()})

        async def awrap(request, execute):
            return await execute(over(request))

        return {
            "wrap_tool_call": lambda request, execute: execute(over(request)),
            "awrap_tool_call": awrap,
        }

    seen = []

    def look(request, result):
        known = request.tool and request.tool.name
        seen.append((request.tool_call, known, request.state, request.runtime.tool_call_id, result))
        return result

    def fail(request, result):
        raise KeyError("from the wrapper")

    @tool
    def extra(a: int, runtime: e.prebuilt.ToolRuntime, s: Annotated[Any, e.prebuilt.InjectedState]):
        """Be no tool of the node."""
        return f"extra {a} {runtime.tool_call_id} {[t.name for t in runtime.tools]} {sorted(s)}"

    tools = [plain, boom]
    said = calling(tool_call("plain", {"a": 1}))
    unknown = calling(tool_call("extra", {"a": 1}))
    facts = [
        ask(e, driver, tools, input, handle_tool_errors=handle, **wrapped(make))
        for input in (said, unknown, calling(tool_call("boom", {"a": 1})))
        for make in (look, fail)
        for handle in (True, False, KeyError, "a text")
    ]
    values = [
        None,
        "text",
        answer("mine"),
        command(goto="x"),
        [answer()],
        [],
        [command(), answer()],
    ]
    facts += [
        ask(e, driver, tools, input, **wrapped(lambda request, result, value=value: value))
        for value in values
        for input in (said, said["messages"])
    ]
    new = {"a": 10}
    changes = [
        {"tool_call": lambda r: {**r.tool_call, "args": new}},
        {"tool_call": lambda r: {**r.tool_call, "id": "new"}},
        {"tool_call": lambda r: {**r.tool_call, "name": "boom"}},
        {"tool": lambda r: boom},
        {"state": lambda r: {"messages": "replaced"}},
        {"nope": lambda r: 1},
    ]
    facts += [ask(e, driver, tools, said, **replaced(**change)) for change in changes]
    facts.append(ask(e, driver, tools, unknown, **replaced(tool=lambda r: extra)))
    return [*facts, *seen]


@probe("tools.assigned_request", rows=("4.7:wrappers",))
def assigned_request(e, driver):
    said = []

    def wrap(request, execute):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            request.tool_call = {**request.tool_call, "args": {"a": 5}}
        said.extend((w.category.__name__, str(w.message)) for w in caught)
        return execute(request)

    return [
        ask(e, "sync", [plain], calling(tool_call("plain", {"a": 1})), wrap_tool_call=wrap),
        said,
    ]


@probe("tools.sync_wrapper", rows=("4.7:wrappers",))
def sync_wrapper(e, driver):
    """A sync wrapper serves async runs too, but an async one no sync run."""

    async def awrap(request, execute):
        return answer("from the async wrapper")

    said = calling(tool_call("plain", {"a": 1}))
    return [
        ask(e, driver, [plain], said, wrap_tool_call=lambda request, execute: answer("wrapped")),
        ask(e, driver, [plain], said, awrap_tool_call=awrap),
        ask(
            e,
            driver,
            [slow_add],
            calling(tool_call("slow_add", {"a": 1, "b": 1})),
            wrap_tool_call=lambda request, execute: execute(request),
        ),
    ]


@probe("tools.signals", rows=("4.7:interrupts",))
def signals(e, driver):
    errors, types = e.errors, e.types
    raised = [
        errors.GraphInterrupt((types.Interrupt("q"),)),
        errors.ParentCommand(types.Command(goto="x")),
        errors.GraphBubbleUp("b"),
    ]
    facts = []
    for signal in raised:

        @tool
        def bubble(signal=signal) -> str:
            """Raise."""
            raise signal

        said = calling(tool_call("bubble"))
        for options in ({}, {"wrap_tool_call": lambda request, execute: execute(request)}):
            facts.append(ask(e, driver, [bubble], said, handle_tool_errors=True, **options))
    return facts
