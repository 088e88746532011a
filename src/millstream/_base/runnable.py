"""Functions as runnables: which parameters they want, and how they are called.

A node, a conditional edge's path or an error handler may take, besides its input, any of the
parameters in `INJECTABLE`. What a function wants is worked out once, when it is added to a graph.
"""

from __future__ import annotations

import functools
import inspect
import typing
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from types import CodeType, FunctionType
from typing import Any, Final, TypeAlias, cast

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnableSequence,
)
from langchain_core.runnables.base import RunnableBindingBase, RunnableEachBase
from langchain_core.runnables.config import (
    ensure_config,
    run_in_executor,
    set_config_context,
    var_child_runnable_config,
)

from millstream._base.run_trees import inside
from millstream._types.advice import with_advice
from millstream.config import replaced_runtime, task_context_of
from millstream.runtime import Runtime

RunnableLike: TypeAlias = (
    Runnable[Any, Any]
    | Callable[..., Any]
    | Callable[..., Awaitable[Any]]
    | Callable[..., Iterator[Any]]
    | Callable[..., AsyncIterator[Any]]
    | Mapping[str, Any]
)
"""What can be made a node."""

ANYTHING: Final = None
INJECTABLE: Final[Mapping[str, tuple[str, ...] | None]] = {
    "config": ("RunnableConfig",),
    "writer": ("StreamWriter",),
    "store": ("BaseStore",),
    "previous": ANYTHING,
    "runtime": ANYTHING,
    "error": ("NodeError",),
}
"""Parameter name -> the class names its annotation may mention, None for any annotation.

All but `error` are also injected when they have no annotation.
"""

NAMES_IN_RUNTIME: Final = {"writer": "stream_writer", "store": "store", "previous": "previous"}
"""Injectable parameter -> the attribute of the runtime that it is."""

GENERATES: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
"""Flags of code that makes a generator, sync or async."""


def plain_code(func: Any) -> CodeType | None:
    """Return the code of a function that has no attributes, None for any other callable.

    Such a function wraps nothing and declares nothing beside its code, so that what it takes can be
    read off there, at a fraction of the cost of `inspect.signature`.
    """
    return func.__code__ if type(func) is FunctionType and not func.__dict__ else None


def injected_parameters(func: Callable[..., Any], *, has_input: bool = True) -> tuple[str, ...]:
    """Return the names of the injectable parameters that the function asks for.

    The first positional parameter is the input, if there is one, and not injected. Annotations may
    be classes, `Optional[...]` or `... | None`, and strings of these, so that
    `from __future__ import annotations` changes nothing.
    """
    code = plain_code(func)
    if code is not None:
        named = code.co_argcount + code.co_kwonlyargcount
        if INJECTABLE.keys().isdisjoint(code.co_varnames[:named]):
            return ()
    try:
        parameters = list(inspect.signature(func).parameters.values())
    except (TypeError, ValueError):
        return ()
    wanted = []
    for index, parameter in enumerate(parameters):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        is_input = has_input and index == 0 and parameter.kind is not parameter.KEYWORD_ONLY
        if not is_input and parameter.name in INJECTABLE and _is_wanted(parameter):
            wanted.append(parameter.name)
    return tuple(wanted)


def _is_wanted(parameter: inspect.Parameter) -> bool:
    allowed = INJECTABLE[parameter.name]
    if allowed is ANYTHING:
        return True
    if parameter.annotation is parameter.empty:
        return parameter.name != "error"
    names = _annotation_names(parameter.annotation)
    if parameter.name == "config" and not names & {*allowed, "None"}:
        warnings.warn(
            "The 'config' parameter should be typed as 'RunnableConfig' or "
            f"'RunnableConfig | None', not '{parameter.annotation}'. ",
            stacklevel=7,
        )
    return bool(names & set(allowed)) and names <= {*allowed, "None", "NoneType", "Optional"}


def _annotation_names(annotation: Any) -> set[str]:
    """Return the last names of the classes an annotation consists of."""
    if isinstance(annotation, str):
        cleaned = annotation.strip().strip("'\"")
        for separator in "|[],":
            cleaned = cleaned.replace(separator, " ")
        return {part.rsplit(".", 1)[-1] for part in cleaned.split()}
    arguments = typing.get_args(annotation)
    if arguments and _is_union(annotation):
        return set().union(*(_annotation_names(argument) for argument in arguments))
    if isinstance(annotation, typing.ForwardRef):
        return _annotation_names(annotation.__forward_arg__)
    if _is_stream_writer(annotation):
        return {"StreamWriter"}
    return {getattr(annotation, "__name__", repr(annotation))}


def _is_union(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    return origin is typing.Union or getattr(origin, "__name__", "") == "UnionType"


def _is_stream_writer(annotation: Any) -> bool:
    from millstream.types import StreamWriter

    return bool(annotation == StreamWriter or annotation == Callable[[Any], None])


def is_async_callable(func: Any) -> bool:
    """Say whether calling the function gives something to await."""
    code = plain_code(func)
    if code is not None:
        return bool(code.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(func) or (
        hasattr(func, "__call__") and inspect.iscoroutinefunction(func.__call__)  # noqa: B004
    )


def is_generator_function(func: Any) -> bool:
    """Say whether calling the function gives a generator, sync or async."""
    code = plain_code(func)
    if code is not None:
        return bool(code.co_flags & GENERATES)
    call = func if inspect.isroutine(func) else getattr(func, "__call__", func)  # noqa: B004
    return any(
        check(candidate)
        for candidate in (func, call)
        for check in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    )


class RunnableCallable(Runnable[Any, Any]):
    """A function, or a sync and an async one, as a runnable.

    Parameters named in `INJECTABLE` are filled in from the run. A function that returns a
    runnable has it invoked with the same input, unless `recurse` is False. A call is a run of its
    own for callback handlers, unless `trace` is False: as for the functions that become nodes, for
    which the node's run stands.

    Without an async function, async runs call the sync one where they are, in the thread of their
    event loop: it may look for that, and some loops have no threads.
    """

    may_block: bool = False
    """The sync function has nothing to do with event loops: async runs call it in a thread."""

    def __init__(
        self,
        func: Callable[..., Any] | None,
        afunc: Callable[..., Awaitable[Any]] | None = None,
        *,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        trace: bool = True,
        recurse: bool = True,
        explode_args: bool = False,
        **kwargs: Any,
    ) -> None:
        if func is not None and afunc is None and is_async_callable(func):
            func, afunc = None, func
        if func is None and afunc is None:
            raise ValueError("At least one of func or afunc must be provided.")
        self.func = func
        self.afunc = afunc
        self.name = name or callable_name(func or afunc)
        self.tags = list(tags) if tags else None
        self.kwargs = kwargs
        self.trace = trace
        self.recurse = recurse
        self.explode_args = explode_args
        self.injected = injected_parameters(func) if func is not None else ()
        self.ainjected = injected_parameters(afunc) if afunc is not None else ()

    def __repr__(self) -> str:
        return f"{self.name}(tags={self.tags}, recurse={self.recurse})"

    @property
    def func_accepts(self) -> dict[str, tuple[str, Any]]:
        """The parameters that are injected: where from, and what else there is, as LangGraph says.

        "N/A" are those that are no attribute of the runtime.
        """
        injected = self.injected if self.func is not None else self.ainjected
        return {
            name: (NAMES_IN_RUNTIME.get(name, "N/A"), inspect.Parameter.empty) for name in injected
        }

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Call the function; `TypeError` when there is only an async one."""
        if self.func is None:
            raise missing_sync_function(self.name or "")
        config = config if config is not None else ensure_config()
        if self.trace:
            result = self._call_traced(self.func, input, config, kwargs)
        else:
            args, named = self._arguments(input, config, self.injected, kwargs)
            result = call_in_config(self.func, config, args, named)
        if self.recurse and isinstance(result, Runnable):
            return result.invoke(input, config)
        return result

    def _call_traced(
        self, func: Callable[..., Any], input: Any, config: RunnableConfig, extra: dict[str, Any]
    ) -> Any:
        manager = CallbackManager.configure(**_callbacks_of(config, self.tags))
        run = manager.on_chain_start(None, input, **_run_names(config, self.name))
        inner = _config_inside(config, run)
        try:
            # The parameter is the config from outside, as with LangGraph: what is called with it is
            # a run beside this one.
            args, named = self._arguments(input, config, self.injected, extra)
            result = call_in_config(func, inner, args, named)
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end(result)
        return result

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Await the async function, or call the sync one."""
        config = config if config is not None else ensure_config()
        if self.afunc is None:
            if self.may_block:
                return await run_in_executor(config, self.invoke, input, config, **kwargs)
            return self.invoke(input, config, **kwargs)
        if self.trace:
            result = await self._acall_traced(self.afunc, input, config, kwargs)
        else:
            result = await self._await_in_config(self.afunc, input, config, config, kwargs)
        if self.recurse and isinstance(result, Runnable):
            return await result.ainvoke(input, config)
        return result

    async def _acall_traced(
        self,
        afunc: Callable[..., Awaitable[Any]],
        input: Any,
        config: RunnableConfig,
        extra: dict[str, Any],
    ) -> Any:
        manager = AsyncCallbackManager.configure(**_callbacks_of(config, self.tags))
        run = await manager.on_chain_start(None, input, **_run_names(config, self.name))
        try:
            inner = _config_inside(config, run)
            with inside(run):
                result = await self._await_in_config(afunc, input, config, inner, extra)
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        await run.on_chain_end(result)
        return result

    async def _await_in_config(
        self,
        afunc: Callable[..., Awaitable[Any]],
        input: Any,
        config: RunnableConfig,
        ambient: RunnableConfig,
        extra: dict[str, Any],
    ) -> Any:
        args, named = self._arguments(input, config, self.ainjected, extra)
        token = var_child_runnable_config.set(ambient)
        try:
            return await afunc(*args, **named)
        finally:
            var_child_runnable_config.reset(token)

    def _arguments(
        self,
        input: Any,
        config: RunnableConfig,
        injected: Sequence[str],
        extra: Mapping[str, Any],
    ) -> tuple[Sequence[Any], dict[str, Any]]:
        args: Sequence[Any] = (input,)
        named = {**self.kwargs, **extra}
        if self.explode_args:
            args, given = input
            named = {**self.kwargs, **given, **extra}
        for name in injected:
            if name not in named:
                named[name] = injected_value(name, config)
        return args, named


def _callbacks_of(config: RunnableConfig, tags: Sequence[str] | None) -> dict[str, Any]:
    return {
        "inheritable_callbacks": config.get("callbacks"),
        "inheritable_tags": [*(config.get("tags") or ()), *(tags or ())],
        "inheritable_metadata": config.get("metadata"),
    }


def _run_names(config: RunnableConfig, name: str | None) -> dict[str, Any]:
    return {"name": config.get("run_name") or name, "run_id": config.get("run_id")}


def _config_inside(config: RunnableConfig, run: Any) -> RunnableConfig:
    """Return the config for what a run calls: under its callbacks, with names of their own."""
    inner = {key: value for key, value in config.items() if key not in ("run_name", "run_id")}
    inner["callbacks"] = run.get_child()
    return cast("RunnableConfig", inner)


def injected_value(name: str, config: RunnableConfig) -> Any:
    """Return what a parameter is given, from the config of the task that is running."""
    if name == "config":
        return config
    runtime = replaced_runtime(config)
    if runtime is None or name == "error":
        context = task_context_of(config)
        if context is not None:
            return context.injected(name)
        # Outside a run, as in a test of one node, there is a runtime of which nothing is heard.
        runtime = None if name == "error" else Runtime()
    if name == "runtime":
        return runtime
    return getattr(runtime, "stream_writer" if name == "writer" else name, None)


def functions_called(runnable: Any) -> tuple[Any, Any]:
    """Return the sync and the async function that a runnable stands for, None where it has none.

    What others do with an attribute `func` is their own affair. LangGraph's class is one, too.
    """
    while isinstance(runnable, RunnableBindingBase):
        runnable = runnable.bound
    names = {cls.__name__ for cls in type(runnable).__mro__}
    if names.isdisjoint((RunnableCallable.__name__, RunnableLambda.__name__)):
        return None, None
    return getattr(runnable, "func", None), getattr(runnable, "afunc", None)


def runs_in_thread(runnable: Runnable[Any, Any]) -> bool:
    """Say whether awaiting it has sync code run in a thread, where nothing can cancel it.

    Of a sequence, parallel runnables or a branch, each part must be async; of fallbacks, one.
    """
    # slow to import
    from langchain_core.runnables import RunnableAssign, RunnableBranch, RunnableWithFallbacks

    if isinstance(runnable, RunnableSequence):
        return any(map(runs_in_thread, runnable.steps))
    if isinstance(runnable, RunnableParallel):
        return any(map(runs_in_thread, runnable.steps__.values()))
    if isinstance(runnable, (RunnableBindingBase, RunnableEachBase)):
        return runs_in_thread(runnable.bound)
    if isinstance(runnable, RunnableAssign):
        return runs_in_thread(runnable.mapper)
    if isinstance(runnable, RunnableBranch):
        # Conditions only look, and most are a lambda.
        parts = (runnable.default, *(part for _, part in runnable.branches))
        return any(map(runs_in_thread, parts))
    if isinstance(runnable, RunnableWithFallbacks):
        return all(map(runs_in_thread, runnable.runnables))
    if isinstance(runnable, (RunnableCallable, RunnableLambda)):
        return getattr(runnable, "afunc", None) is None
    return type(runnable).ainvoke is Runnable.ainvoke


def call_in_config(
    func: Callable[..., Any], config: RunnableConfig, args: Sequence[Any], named: dict[str, Any]
) -> Any:
    """Call a function with `config` as the ambient config, leaving no trace of it."""
    with set_config_context(config) as context:
        return context.run(func, *args, **named)


def missing_sync_function(name: str) -> TypeError:
    """Return the error for an async-only node in a sync run."""
    return TypeError(
        f'No synchronous function provided to "{name}".'
        "\nEither initialize with a synchronous function or invoke via the async API "
        "(ainvoke, astream, etc.)"
    )


def coerce_to_runnable(
    thing: Any, *, name: str | None = None, trace: bool = True
) -> Runnable[Any, Any]:
    """Make a runnable of a function, generator function, mapping or runnable.

    Raises `TypeError` for anything else.
    """
    code = plain_code(thing)
    if code is not None and not code.co_flags & GENERATES:
        return function_runnable(thing, name=name, trace=trace)
    if isinstance(thing, Runnable):
        return thing
    if is_generator_function(thing):
        if set(injected_parameters(thing)) <= {"config"}:
            return RunnableLambda(thing, name=name)
        return _generator_runnable(thing, name)
    if callable(thing):
        return function_runnable(thing, name=name, trace=trace)
    if isinstance(thing, dict):
        return RunnableParallel(thing)
    problem = "Expected a Runnable, callable or dict.Instead got an unsupported type: "
    advice = "A function is given itself, as `f`, and not called, as `f()`"
    if hasattr(thing, "compile"):
        advice = "Compile it first, and give what `compile()` returns"
    raise with_advice(TypeError(f"{problem}{type(thing)}"), advice)


def function_runnable(func: Callable[..., Any], **options: Any) -> RunnableCallable:
    """Make a runnable of a function that may block."""
    made = RunnableCallable(func, **options)
    made.may_block = True
    return made


def _generator_runnable(func: Callable[..., Any], name: str | None) -> RunnableCallable:
    """Make a runnable whose result is what the generator yielded, added up where possible."""
    if inspect.isasyncgenfunction(func) or inspect.isasyncgenfunction(
        getattr(func, "__call__", None)  # noqa: B004
    ):

        @functools.wraps(func)
        async def collect_async(*args: Any, **kwargs: Any) -> Any:
            total: Any = None
            async for chunk in func(*args, **kwargs):
                total = added(total, chunk)
            return total

        return RunnableCallable(_refuse_sync, collect_async, name=name)

    @functools.wraps(func)
    def collect(*args: Any, **kwargs: Any) -> Any:
        total: Any = None
        for chunk in func(*args, **kwargs):
            total = added(total, chunk)
        return total

    return function_runnable(collect, name=name)


def _refuse_sync(_: Any) -> Any:
    raise TypeError("Cannot invoke a coroutine function synchronously.Use `ainvoke` instead.")


def added(total: Any, chunk: Any) -> Any:
    """Add a chunk to what came before; one that cannot be added takes its place."""
    if total is None:
        return chunk
    try:
        return total + chunk
    except TypeError:
        return chunk


def callable_name(func: Any) -> str:
    """Return the name of a function, of one with some arguments given, or of a callable's class."""
    while isinstance(func, functools.partial):
        func = func.func
    return getattr(func, "__name__", None) or type(func).__name__


RunnableCallable.__module__ = "millstream.utils.runnable"
