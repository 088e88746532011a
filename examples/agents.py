"""A supervisor has two agents look at a text, and everything is shown at once, from one run.

    supervisor -> counter and reader, in parallel -> supervisor

`millstream run examples/agents.py:graph --input '{"messages": "Look at it."}'` shows them side by
side on a terminal; the text is that of README.md, or of the file that `$FILE` names.
`python examples/agents.py FILE` shows line by line what each of them says, the tools they call and
when they start and end: each is a reader of its own of the same run. Models are scripts that need
no key (`actor`), or the one that `--model` names, as `init_chat_model` of the package langchain
knows it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import operator
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.tools import BaseTool, tool

from actor import Actor, Part
from extractive import MAX_BYTES, STOP_WORDS, WORD, decode, rate, shorten, to_sections, weigh
from millstream.graph import START, MessagesState, StateGraph
from millstream.graph.state import CompiledStateGraph
from millstream.prebuilt import ToolCallTransformer, ToolNode, ToolRuntime, tools_condition
from millstream.stream.run_stream import AsyncGraphRunStream, AsyncSubgraphRunStream
from millstream.types import Send
from rulebook import call, words

Graph = CompiledStateGraph[Any, Any, Any, Any]
Cast = Callable[[Part, float], BaseChatModel]
"""Chooses the model for a part, and how much longer than usual its words take."""

PACE = 0.035
README = Path(__file__).parents[1] / "README.md"
MANNERS = {
    "supervisor": "Have both colleagues look at the text, then sum up briefly what they found.",
    "counter": "Answer in one sentence what a text is like, by numbers. Use both tools first.",
    "reader": "Answer in a few sentences what a text says. Use both tools first, one by one.",
}


@tool
def counter(question: str) -> None:
    """Ask the colleague who counts what a text consists of."""


@tool
def reader(question: str) -> None:
    """Ask the colleague who reads what a text says."""


COLLEAGUES = (counter, reader)
"""Tools only by name: what carries out their calls are nodes."""


def counter_tools(text: str) -> list[BaseTool]:
    """Return the tools of the agent that counts."""
    sections = to_sections(text)
    sentences = [sentence for section in sections for sentence in section["sentences"]]

    @tool
    def count() -> str:
        """Count sections, sentences and words."""
        total = sum(len(sentence.split()) for sentence in sentences)
        return f"{len(sections)} sections, {len(sentences)} sentences, {total:,} words"

    @tool
    def common_words() -> str:
        """Find the words that are used most."""
        used = WORD.findall(" ".join(sentences).lower())
        telling = Counter(word for word in used if word not in STOP_WORDS)
        return ", ".join(word for word, _ in telling.most_common(3)) or "none"

    return [count, common_words]


def reader_tools(text: str, pace: float) -> list[BaseTool]:
    """Return the tools of the agent that reads."""
    sections = to_sections(text)

    @tool
    async def outline(runtime: ToolRuntime) -> str:
        """List the titles of all sections."""
        titles = list(dict.fromkeys(section["title"] for section in sections))
        for title in titles:
            runtime.emit_output_delta(title)
            await asyncio.sleep(5 * pace)
        return ", ".join(titles)

    @tool
    def central_sentences() -> str:
        """Find the sentences that others lean on."""
        weights = weigh(sentence for section in sections for sentence in section["sentences"])
        rated = [
            pair
            for section in sections
            for pair in zip(rate(section["sentences"], weights), section["sentences"], strict=True)
        ]
        best = sorted(rated, key=operator.itemgetter(0), reverse=True)[:2]
        return " ".join(sentence for _, sentence in best)

    return [outline, central_sentences]


def supervise(messages: Sequence[BaseMessage]) -> Iterator[AIMessageChunk]:
    """Play the supervisor."""
    answers = [message for message in messages if isinstance(message, ToolMessage)]
    if answers:
        found = " ".join(shorten(str(answer.text), 90) for answer in answers)
        yield from words(f"In short: {found}")
        return
    yield from words("I have one colleague count, and one read.")
    for index, colleague in enumerate(COLLEAGUES):
        question = {"question": f"What is in this text? {messages[-1].text}"}
        yield from call(colleague.name, question, number=index, index=index)


def take_part(opening: Sequence[str], tools: Sequence[str], closing: str) -> Part:
    """Return the part of an agent that calls its tools one by one, then says what they found."""

    def play(messages: Sequence[BaseMessage]) -> Iterator[AIMessageChunk]:
        found = [str(each.text) for each in messages if isinstance(each, ToolMessage)]
        if len(found) < len(tools):
            yield from words(opening[len(found)])
            yield from call(tools[len(found)], {}, number=len(found))
        else:
            yield from words(closing.format(*found))

    return play


COUNT = take_part(
    ["I count.", "Now the words."],
    ["count", "common_words"],
    "The text has {0}; its words are above all {1}.",
)
READ = take_part(
    ["First I look at how the text is built.", "Now for the sentences that others lean on."],
    ["outline", "central_sentences"],
    "It goes through these matters: {0}. What it comes down to is this: {1}",
)


def make_agent(name: str, model: BaseChatModel, tools: Sequence[BaseTool]) -> Graph:
    """Return a graph in which a model calls tools until it knows the answer."""
    speaker = model.bind_tools(tools)
    manners = SystemMessage(MANNERS[name])

    async def speak(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [await speaker.ainvoke([manners, *state["messages"]])]}

    builder = StateGraph(MessagesState)
    builder.add_node(speak)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "speak")
    builder.add_conditional_edges("speak", tools_condition)
    builder.add_edge("tools", "speak")
    return builder.compile(name=name)


def make_graph(text: str, cast: Cast, pace: float = 0.0) -> Graph:
    """Return the supervisor of two agents that look at `text`."""
    speaker = cast(supervise, 1).bind_tools(COLLEAGUES)
    manners = SystemMessage(MANNERS["supervisor"])

    async def supervisor(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [await speaker.ainvoke([manners, *state["messages"]])]}

    def assign(state: MessagesState) -> list[Send]:
        message = state["messages"][-1]
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        return [Send(each["name"], each) for each in calls]

    builder = StateGraph(MessagesState)
    builder.add_node(supervisor)
    agents = (
        make_agent("counter", cast(COUNT, 1), counter_tools(text)),
        make_agent("reader", cast(READ, 1.6), reader_tools(text, pace)),
    )
    for colleague, agent in zip(COLLEAGUES, agents, strict=True):
        builder.add_node(colleague.name, asking(agent, text))
        builder.add_edge(colleague.name, "supervisor")
    builder.add_edge(START, "supervisor")
    builder.add_conditional_edges("supervisor", assign, [each.name for each in COLLEAGUES])
    return builder.compile(name="agents")


def asking(agent: Graph, text: str) -> Callable[[ToolCall], Coroutine[Any, Any, dict[str, Any]]]:
    """Return a node that has an agent answer a call."""

    async def ask(request: ToolCall) -> dict[str, Any]:
        question = HumanMessage(request["args"]["question"])
        messages = (await agent.ainvoke({"messages": [question]}))["messages"]
        answer = str(messages[-1].text)
        return {"messages": [ToolMessage(answer, tool_call_id=request["id"])]}

    return ask


def graph() -> Graph:
    """Return the supervisor of two agents that look at `$FILE`, or README.md."""
    with Path(os.environ.get("FILE") or README).open("rb") as file:
        text, _ = decode(file.read(MAX_BYTES))
    return make_graph(text, choose_cast(None, PACE), PACE)


class Voice:
    """Prints lines of one speaker, each when it is complete: several speak at once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: list[str] = []

    def say(self, words: str) -> None:
        """Add words to the line."""
        self._open.append(words)

    def end_line(self) -> None:
        """End the line, if one has begun."""
        if self._open:
            print(f"{self._name}: {''.join(self._open)}", flush=True)
            self._open.clear()

    def note(self, line: str) -> None:
        """Print a line of something else."""
        self.end_line()
        print(f"{self._name}: {line}", flush=True)


async def show(run: AsyncGraphRunStream) -> None:
    """Show a run: whoever reads a view of it carries all of it on."""
    await asyncio.gather(
        show_messages(run, Voice("supervisor")),
        show_agents(run),
        show_lifecycle(run, Voice("lifecycle")),
    )


async def show_agents(run: AsyncGraphRunStream) -> None:
    """Show each agent, from the moment in which it starts."""
    readers: list[asyncio.Task[None]] = []
    try:
        async for agent in run.subgraphs:
            reading = asyncio.create_task(show_agent(agent))
            readers.append(reading)
        await asyncio.gather(*readers)
    finally:
        for each in readers:
            each.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def show_agent(agent: AsyncSubgraphRunStream) -> None:
    """Show what an agent says and does."""
    voice = Voice(str(agent.graph_name))
    await asyncio.gather(show_messages(agent, voice), show_tools(agent, voice))


async def show_messages(run: AsyncGraphRunStream, voice: Voice) -> None:
    """Show what the models of one graph say."""
    async for message in run.messages:
        async for text in message.text:
            voice.say(text)
        voice.end_line()
        for each in await message.tool_calls:
            arguments = ", ".join(f"{value!r}" for value in each["args"].values())
            voice.note(f"-> {each['name']}({shorten(arguments, 40)})")


async def show_tools(run: AsyncGraphRunStream, voice: Voice) -> None:
    """Show what the tools of one graph emit and return."""
    async for each in run.tool_calls:
        async for delta in each:
            voice.note(f"   {delta}")
        outcome = f"failed: {each.error}" if each.error is not None else each.output
        voice.note(f"<- {each.tool_name}: {shorten(str(outcome), 60)}")


async def show_lifecycle(run: AsyncGraphRunStream, voice: Voice) -> None:
    """Show when agents start and end."""
    names: dict[str, str | None] = {}
    async for change in run.lifecycle:
        place = change["namespace"][-1]
        name = names.setdefault(place, change.get("graph_name"))
        voice.note(f"{name} {change['event']}")


async def main(text: str, name: str, cast: Cast, pace: float) -> None:
    """Run the graph and show it; Ctrl-C cancels."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # not on Windows
        # Before Python 3.11 Ctrl-C would be raised in the middle of anything.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
    given = {"messages": [HumanMessage(f"The text is {name}.")]}
    run = await make_graph(text, cast, pace).astream_events(
        given, version="v3", transformers=[ToolCallTransformer]
    )
    # Leaving in any way stops the run, agents included.
    async with run:
        await show(run)


def choose_cast(model: str | None, pace: float) -> Cast:
    """Return the choice of models: the one that is named, for every part, or actors."""
    if model is None:
        return lambda part, slowness: Actor(part=part, pace=pace * slowness)
    # Only a named model needs the packages langchain and, say, langchain-openai.
    from langchain.chat_models import init_chat_model

    try:
        chosen: BaseChatModel = init_chat_model(model)
    except Exception as error:  # each package of models has errors of its own for a missing key
        raise ValueError(f"{model} cannot be used: {error}") from error
    return lambda part, slowness: chosen


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Watch two agents look at a text.")
    parser.add_argument("file", nargs="?", default=README, help="default: README.md")
    parser.add_argument("--model", help="such as openai:gpt-4o-mini; default: scripts")
    parser.add_argument("--pace", type=float, default=PACE, help="seconds between two words")
    options = parser.parse_args()
    path = Path(options.file)
    try:
        with path.open("rb") as file:
            content, _ = decode(file.read(MAX_BYTES))
        chosen = choose_cast(options.model, options.pace)
    except (OSError, ImportError, ValueError) as error:
        sys.exit(f"agents: {error}")
    try:
        asyncio.run(main(content, path.name, chosen, options.pace))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
    except BrokenPipeError:  # as in `python examples/agents.py | head`
        # Python flushes stdout once more at its end, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        sys.exit(f"agents: {type(error).__name__}: {error}")
