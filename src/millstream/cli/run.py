"""`millstream run`: run a graph, show what it emits while it runs, and answer what it asks."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millstream.cli.failures import (
    DONE,
    FAILED,
    UsageError,
    causes_shown,
    print_failure,
    text_of,
)
from millstream.cli.notes import about_config, about_engine, about_input, about_keys, about_modes
from millstream.cli.options import (
    CONFIG_KINDS,
    Checkpointer,
    Config,
    EventsAsJson,
    StreamModes,
    Subgraphs,
    Target,
    Thread,
    WholeTraceback,
    check_modes,
    check_record,
    read_config,
    read_json,
)
from millstream.cli.output import Output, OutputError, ReaderGoneError, complain, print_text
from millstream.cli.target import lent_graph

if TYPE_CHECKING:
    from millstream.cli.event_loop import EventLoop


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for, as far as it is about the run."""

    target: str
    input: Any
    answer: Any
    has_input: bool
    has_answer: bool
    checkpointer: str | None
    config_text: str
    config: dict[str, Any]
    is_named: bool
    """Whether a thread is meant that may be there already."""
    modes: list[str]
    """The stream modes that are asked for, if any are."""
    is_json: bool
    record: str | None
    is_whole: bool
    """Whether tracebacks are shown whole."""


def run(
    context: typer.Context,
    target: Target,
    *,
    input: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="JSON|@FILE|-", help="What the graph is given; {} if nothing."
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume", "-r", metavar="JSON|@FILE|-", help="The answer to what the thread asks."
        ),
    ] = None,
    thread: Thread = None,
    checkpointer: Checkpointer = None,
    stream_mode: StreamModes = None,
    subgraphs: Subgraphs = False,
    as_json: EventsAsJson = False,
    config: Config = "{}",
    record: Annotated[
        str | None,
        typer.Option(
            "--record", metavar="FILE", help="Keep the run in this file, for `millstream replay`."
        ),
    ] = None,
    traceback: WholeTraceback = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Run again whenever a Python file beside it changes.")
    ] = False,
) -> int:
    """Run the graph TARGET and show its events as they happen; what it asks is asked here."""
    if resume is not None and input is not None:
        raise UsageError("--resume answers what was asked, --input begins anew; give one of them")
    modes = None if stream_mode is None else check_modes(stream_mode)
    files = _files_of_runs([input, resume, config], record) if watch else []
    order = Order(
        target=target,
        input=read_json("{}" if input is None else input, "--input"),
        answer=None if resume is None else read_json(resume, "--resume"),
        has_input=input is not None,
        has_answer=resume is not None,
        checkpointer=checkpointer,
        config_text=config,
        config=read_config(config, thread),
        is_named=thread is not None,
        modes=modes or [],
        is_json=as_json,
        record=check_record(record),
        is_whole=traceback,
    )

    if watch:
        from millstream.cli.watching import watch as carry_out_again

        again = [each for each in context.obj if each != "--watch"]
        return carry_out_again(again, target, files)
    for note in about_config(order.config, CONFIG_KINDS):
        complain(note)

    from millstream.cli.views import choose_view

    renderer = choose_view(modes, has_subgraphs=subgraphs, as_json=as_json)
    with causes_shown(traceback):
        return _carry_out(order, renderer)


def _files_of_runs(given: list[str | None], record: str | None) -> list[str]:
    """Return the files that options name, if they can be read again and again."""
    if record is not None:
        raise UsageError("--record keeps one run, --watch makes many; give one of them")
    if "-" in given:
        raise UsageError("--watch runs more than once, and stdin is read once; give @FILE")
    return [each[1:] for each in given if each is not None and each.startswith("@")]


def _carry_out(order: Order, renderer: Any) -> int:
    from millstream.cli.event_loop import EventLoop

    with ExitStack() as stack:
        loop = stack.enter_context(EventLoop())
        renderer.load(f"loading {order.target}")
        with renderer.shown():
            graph = stack.enter_context(lent_graph(order.target, order.config, loop))
        renderer.load("")
        notes = [about_engine(graph), *about_keys(order.input, graph)]
        for note in filter(None, notes):
            complain(note)
        try:
            return _Conversation(order, graph, loop, renderer).hold()
        except (KeyboardInterrupt, UsageError, ReaderGoneError, OutputError):
            raise
        except BaseException as error:
            renderer.stop()
            print_failure(error, is_whole=order.is_whole)
            _advise(order, error)
            return FAILED


def _advise(order: Order, error: BaseException) -> None:
    if isinstance(error, ImportError):
        from millstream.cli.installing import how_to_import

        complain(f"{text_of(error)}: {how_to_import(error)}")
    note = None if order.has_input or order.has_answer else about_input(error)
    if note is not None:
        complain(note)


class _Conversation:
    """A graph is run, and again with the answers to what it asks, if somebody is there."""

    def __init__(self, order: Order, graph: Any, loop: EventLoop, renderer: Any) -> None:
        from millstream.cli.asking.questions import is_attended
        from millstream.cli.savers import (
            has_saver,
            is_lasting,
            with_memory,
            with_saver,
            with_thread,
        )
        from millstream.cli.session import Session

        self._order = order
        self._renderer = renderer
        self._is_attended = is_attended() and not order.is_json
        graph = with_saver(graph, order.checkpointer, may_be_new=not order.has_answer)
        self._is_lasting = is_lasting(graph)
        durability = None
        self._has_thread = "thread_id" in (order.config.get("configurable") or {})
        if order.has_answer and not self._has_thread:
            raise UsageError("--resume needs --thread, the one that asks")
        if not has_saver(graph) and (order.has_answer or order.is_named):
            raise UsageError(
                f"{order.target} has no saver, so no thread of it is kept; give --checkpointer PATH"
            )
        if self._is_attended and getattr(graph, "checkpointer", False) is None:
            # Stored at the end alone: until then nobody can ask for it.
            graph, durability = with_memory(graph), "exit"
        config = with_thread(graph, order.config)
        self._thread = str((config.get("configurable") or {}).get("thread_id", ""))
        self._session = Session(graph, config, loop, renderer, durability, order.record)

    def hold(self) -> int:
        """Run the graph until it ends, or nobody answers; return the exit code."""
        from millstream.errors import is_invalid_resume
        from millstream.types import Command

        given: Any = Command(resume=self._order.answer) if self._order.has_answer else None
        if given is None:
            given, is_over = self._first_input()
            if is_over:
                return DONE
        while True:
            try:
                stop = self._session.play(given)
            except Exception as error:
                if not (self._is_attended and is_invalid_resume(error)):
                    raise
                self._say(f"refused: {' '.join(text_of(error).split())}")
                stop = self._session.look()
            if not (stop.is_waiting and self._is_attended):
                break
            answered, given = self._ask(stop)
            if not answered:
                break
        self._renderer.finish()
        if not stop.is_waiting:
            for note in about_modes(self._order.modes, self._session.shown):
                complain(note)
        self._say_how_to_go_on(stop)
        return DONE

    def _first_input(self) -> tuple[Any, bool]:
        """Return what the graph is given first, and whether that is for nobody to say."""
        order = self._order
        if order.has_input or not self._has_thread:
            return order.input, False
        stop = self._session.look()
        if not stop.questions:
            return order.input, False
        # A new input would leave the question unanswered, which nobody has asked for.
        if not self._is_attended:
            raise UsageError(f"thread {self._thread!r} waits for an answer: {self._command(stop)}")
        answered, given = self._ask(stop)
        if not answered:
            self._say_how_to_go_on(stop)
        return given, not answered

    def _ask(self, stop: Any) -> tuple[bool, Any]:
        """Return whether somebody has answered, and what the graph is given then."""
        from rich.console import Console

        from millstream.cli.asking.questions import ask_all, ask_whether_to_go_on
        from millstream.cli.live.paper import Paper
        from millstream.types import Command

        out: Any = Output(sys.stdout)
        paper = Paper(Console(file=out, highlight=False))
        try:
            if not stop.questions:
                return ask_whether_to_go_on(stop.next, out, paper), None
            answers = ask_all(stop.questions, out, paper)
        except KeyboardInterrupt:
            out.write("\n")
            self._say_how_to_go_on(stop)
            raise
        return answers is not None, Command(resume=answers)

    def _say_how_to_go_on(self, stop: Any) -> None:
        if stop.is_lost:
            self._say(
                "waits for an answer, and cannot be given one: the graph has no saver; "
                "give --checkpointer PATH"
            )
        elif stop.is_waiting and self._is_lasting:
            what = "waits for an answer" if stop.questions else "has not ended"
            self._say(f"{what}; to go on:\n  {self._command(stop)}")
        elif stop.is_waiting:
            self._say(
                "waits for an answer, which only a saver would keep; give --checkpointer PATH"
            )

    def _command(self, stop: Any) -> str:
        from millstream.cli.follow_up import follow_up

        order = self._order
        return follow_up(
            order.target,
            thread=self._thread,
            checkpointer=order.checkpointer,
            config=order.config_text,
            questions=stop.questions,
        )

    def _say(self, text: str) -> None:
        from millstream._base.texts import visible

        self._renderer.stop()
        if self._order.is_json:
            # Every line of stdout is an event.
            print_text(f"{text}\n")
            return
        out = Output(sys.stdout)
        out.write(visible(f"{text}\n"))
        out.flush()
