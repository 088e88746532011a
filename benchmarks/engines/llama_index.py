"""LlamaIndex workflows: steps that react to events.

The chain is a loop of one step: with a step for each link, an event would cost six times as much.
"""

from collections.abc import Awaitable, Callable

from workflows import Context, Workflow, step
from workflows.events import Event, StartEvent, StopEvent

from benchmarks.engines.serving import serve

# The annotations of steps are read at run time, so they are not postponed here.


class Begin(StartEvent):
    """Where counting begins and where it ends."""

    n: int
    end: int


class Counted(Event):
    """How far it is."""

    n: int
    end: int


class Counting(Workflow):
    """Counts, one event after the other."""

    @step
    async def count(self, event: Begin | Counted) -> Counted | StopEvent:
        """Count."""
        n = event.n + 1
        return Counted(n=n, end=event.end) if n < event.end else StopEvent(result=n)


class Width(StartEvent):
    """How many tasks there are."""

    width: int


class Item(Event):
    """One of them."""

    width: int


class Done(Event):
    """Its result."""

    width: int


class Summing(Workflow):
    """Gives each item to a step of its own."""

    @step
    async def scatter(self, context: Context, event: Width) -> Item | None:
        """Send them all."""
        for _ in range(event.width):
            context.send_event(Item(width=event.width))
        return None

    @step(num_workers=1000)
    async def work(self, event: Item) -> Done:
        """Do nothing else."""
        return Done(width=event.width)

    @step
    async def gather(self, context: Context, event: Done) -> StopEvent | None:
        """Wait for all."""
        done = context.collect_events(event, [Done] * event.width)
        return None if done is None else StopEvent(result=len(done))


def runs(workflow: Workflow, begin: StartEvent, expected: int) -> Callable[[], Awaitable[None]]:
    """Return a call that runs the workflow and checks its result."""

    async def run() -> None:
        result = await workflow.run(start_event=begin)
        assert result == expected, f"{result} instead of {expected}"

    return run


def achain(length: int) -> Callable[[], Awaitable[None]]:
    """Count so often."""
    return runs(Counting(timeout=None), Begin(n=0, end=length), length)


def branches(width: int) -> Callable[[], Awaitable[None]]:
    """Run so many steps at once."""
    return runs(Summing(timeout=None), Width(width=width), width)


if __name__ == "__main__":
    serve({"achain": achain, "abranches": branches})
