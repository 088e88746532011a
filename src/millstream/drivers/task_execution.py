"""The life of a task, from its first attempt to what it leaves behind.

Written once: what it waits for goes through the `Waits` of its run (`waits`). An async run awaits
`execute`; a sync one calls `execute_here`.

    execute         as many attempts as the task's policies allow; a result may be kept for later
    attempt         call the node once, in a run of its own if anybody listens
    write_result    what the result writes, and where the conditional edges lead

A question, a command for a graph above and an error that is not tried again leave `execute` as they
were raised. The driver tells the machine (`Run.report`).
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables.config import var_child_runnable_config

from millstream._base.run_trees import inside
from millstream.drivers import caching, taps, tracing
from millstream.drivers.failure_notes import add_task_notes
from millstream.drivers.nodecall import call_in, sync_timeout_error
from millstream.drivers.questions import interrupt_in
from millstream.drivers.timeouts import attempt_in_time, timeout_of
from millstream.drivers.waits import carried, finish
from millstream.errors import GraphBubbleUp, NodeCancelledError, ParentCommand
from millstream.outbox.abandoned import as_traced

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from millstream.drivers.context import TaskContext
    from millstream.drivers.executor import Executor
    from millstream.drivers.nodecall import Call, NodeCall
    from millstream.drivers.task_calls import CallContext


async def execute(context: TaskContext) -> None:
    """Run a task until it succeeds or must not be tried again."""
    run, task = context.run, context.task
    body: NodeCall = task.node.body
    timeout = None
    # Only then is there more than one attempt, or a clock to look at.
    if body.has_policies or task.timeout is not None:
        timeout = timeout_of(context)
        if timeout is not None and not run.waits.is_async:
            raise sync_timeout_error(task.name)
        context.record_start()
    while True:
        # For each attempt anew: the code before may have set something else.
        var_child_runnable_config.set(context.ambient_config)  # type: ignore[arg-type]  # a dict subclass
        try:
            if timeout is None:
                await attempt(context)
            else:
                await attempt_in_time(context, timeout, attempt)
        except ParentCommand as signal:
            # A command for a graph further up goes on its way; one for this graph counts as the
            # result.
            if not body.take_command(context, signal):
                raise
            await write_result(context, body.commanded(context, signal))
            return
        except BaseException as error:
            delay = _delay_after(context, error)
            if delay is None:
                raise
        else:
            if body.cache is not None:
                await caching.keep(context)
            return
        # Code of the attempt that is still at work has nothing more to say while the next one
        # waits.
        context.is_over = True
        if run.taps:
            taps.end_attempt(context)
        await run.waits.sleep(run, delay)
        context.next_attempt()


def execute_here(context: TaskContext) -> None:
    """Do what `execute` does, in this thread.

    A single attempt takes less of it, and one without a run of its own is made without coroutines:
    most tasks of sync runs are of that kind, and many would take a tenth longer.
    """
    run, task = context.run, context.task
    body: NodeCall = task.node.body
    if not body.is_direct or task.timeout is not None:
        finish(execute, context)
        return
    var_child_runnable_config.set(context.ambient_config)  # type: ignore[arg-type]  # a dict subclass
    try:
        if run.callbacks is not None:
            finish(attempt, context)
            return
        if run.taps:
            taps.record_input(context)
        # What `attempt` does, written out: no coroutine is made, and no method is called that would
        # only call another.
        call, value = body.call, task.input
        simple = call.simple
        result = call.call(value, context) if simple is None else simple(value)
        # A dict is the commonest result, and no runnable.
        if type(result) is not dict:
            result = _result_here(context, call, value, result)
        if not task.put_dict(result, body.to_writes):
            writes = task.writes
            writes += body.own_writes(context, result)
            for branch in body.branches:
                given = branch.input(context, result)
                answer = branch.call.call(given, context)
                writes += branch.writes(_result_here(context, branch.call, given, answer))
        if run.taps:
            taps.emit_result(context, result)
    except ParentCommand as signal:
        if not body.take_command(context, signal):
            raise
        finish(write_result, context, body.commanded(context, signal))
    except BaseException as error:
        _delay_after(context, error)
        raise


def _result_here(context: TaskContext, call: Call, value: Any, result: Any) -> Any:
    if (runnable := call.returned(result)) is not None:
        return runnable.invoke(value, cast("RunnableConfig", context.config))
    return result


async def execute_call(
    context: CallContext, lock: AbstractContextManager[Any]
) -> BaseException | None:
    """Run a call of a `@task`, unless a cache knows the result; return what went wrong.

    Whoever tells the machine of the result holds the lock.
    """
    try:
        # Dropped before it began: its caller has cancelled it.
        if context.future.cancelled():
            raise asyncio.CancelledError
        run, task = context.run, context.task
        known = None if task.node.body.cache is None else await caching.find(context)
        if known is not None:
            with lock:
                run.machine.replay(task, known)
        elif run.waits.is_async:
            await execute(context)
        else:
            execute_here(context)
    except BaseException as error:
        return carried(error)
    return None


async def attempt(context: TaskContext) -> None:
    """Call the node once and leave its writes in the task."""
    run, task = context.run, context.task
    body: NodeCall = task.node.body
    if run.taps:
        taps.record_input(context)
    if run.callbacks is not None and body.is_traced:
        result = await _attempt_traced(context, body)
    else:
        if body.executor is not None:
            result = await _call_elsewhere(context, body.executor)
        else:
            call, value = body.call, task.input
            result = await run.waits.call(call, value, context)
            if type(result) is not dict and (runnable := call.returned(result)) is not None:
                result = await run.waits.invoke(runnable, value, context.config)
        if not task.put_dict(result, body.to_writes):
            await write_result(context, result)
    if run.taps:
        taps.emit_result(context, result)


async def _call_elsewhere(context: TaskContext, executor: Executor) -> Any:
    # Few graphs have executors, and importing what they are told takes as long as a small graph
    # takes to compile and run.
    from millstream.drivers.elsewhere import call_elsewhere

    return await call_elsewhere(context, executor)


async def _attempt_traced(context: TaskContext, body: NodeCall) -> Any:
    node_run = await tracing.start_node(context, body)
    try:
        with inside(node_run):
            if body.executor is not None:
                result = await _call_elsewhere(context, body.executor)
            elif body.call.steps:
                result = await tracing.call_steps(body.call, context)
            else:
                result = await call_in(context, body.call, context.task.input)
            context.task.writes += body.own_writes(context, result)
            if body.branches:
                await _follow_edges(context, body, result)
    except BaseException as error:
        context.node_run = None
        await context.run.waits.notified(node_run.on_chain_error(as_traced(carried(error))))
        raise
    await tracing.end_node(context, node_run, body, result)
    return result


async def write_result(context: TaskContext, result: Any) -> None:
    """Leave in the task what the node's result writes, and where its edges lead."""
    body: NodeCall = context.task.node.body
    context.task.writes += body.own_writes(context, result)
    await _follow_edges(context, body, result)


async def _follow_edges(context: TaskContext, body: NodeCall, result: Any) -> None:
    writes = context.task.writes
    for branch in body.branches:
        given = branch.input(context, result)
        if context.callbacks is None:
            answer = await call_in(context, branch.call, given)
        else:
            answer = await tracing.call_path(body, branch, given, context)
        writes += branch.writes(answer)


def _delay_after(context: TaskContext, error: BaseException) -> float | None:
    """Return the seconds until the next attempt, None when the error ends the task.

    Raises what the run understands in place of a cancellation or of a group of questions.
    """
    # A signal is no failure, so no policy is asked.
    if isinstance(error, GraphBubbleUp):
        return None
    if isinstance(error, Exception):
        body: NodeCall = context.task.node.body
        raised = carried(error)
        delay = body.retry_delay(context, raised)
        if delay is None:
            add_task_notes(raised, context)
        return delay
    # Code of the node has raised it, and nobody has cancelled the task: to the run that is a
    # failure.
    if isinstance(error, asyncio.CancelledError) and not context.is_over:
        raise NodeCancelledError(context.task.name) from error
    if (signal := interrupt_in(error)) is not None:
        raise signal from error
    return None
