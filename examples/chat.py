"""Chat in the terminal with a model that remembers the conversation and can calculate.

    chat <-> tools

`.venv/bin/python examples/chat.py` is a conversation; `.venv/bin/millstream run
examples/chat.py:graph -m messages --input '{"messages": "What is 12 * (3 + 4)?"}'` one turn of it.
The model is the one that `CHAT_MODEL` or `--model` names, as `init_chat_model` of the package
langchain knows it; one of OpenAI's when only `OPENAI_API_KEY` is set; without both, or where the
one of the environment cannot be made, the rules of `rulebook`.
"""

from __future__ import annotations

import argparse
import ast
import operator
import os
import sys
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from rich.console import Console
from rich.text import Text

from millstream.checkpoint.memory import InMemorySaver
from millstream.graph import START, MessagesState, StateGraph
from millstream.graph.state import CompiledStateGraph
from millstream.prebuilt import ToolNode, tools_condition
from rulebook import Rulebook

MANNERS = SystemMessage("Answer briefly. Use the tool for every calculation.")
OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
LIMIT = 1e50
"""No intermediate result is larger, so that no expression takes long."""


@tool
def calculate(expression: str) -> str:
    """Calculate an arithmetic expression of numbers, + - * / // % ** and parentheses."""
    try:
        value = evaluate(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        return f"no number: {error}"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def evaluate(node: ast.AST) -> float:
    """Return the value of a parsed expression; raise ValueError for what is not arithmetic."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]  # the type was tested
    if isinstance(node, ast.UnaryOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](evaluate(node.operand))
    if not isinstance(node, ast.BinOp) or type(node.op) not in OPERATORS:
        raise ValueError(f"{ast.unparse(node)} is not arithmetic")
    left, right = evaluate(node.left), evaluate(node.right)
    if isinstance(node.op, ast.Pow) and (abs(right) > 200 or abs(left) > LIMIT):
        raise OverflowError("the number is too large")
    value = OPERATORS[type(node.op)](left, right)
    if isinstance(value, complex) or abs(value) > LIMIT:
        raise OverflowError("the number is too large" if abs(value) > LIMIT else "no real number")
    return value


def choose_model(name: str | None = None) -> BaseChatModel:
    """Return the model that `name` names, else that of the environment, else the local one.

    Where the key or the package is missing for the one of the environment, the local one answers.
    """
    wanted = name or os.environ.get("CHAT_MODEL")
    if not wanted and os.environ.get("OPENAI_API_KEY"):
        wanted = "openai:gpt-4o-mini"
    if not wanted:
        return Rulebook()
    try:
        return load_model(wanted)
    except Exception as error:  # each package of models has errors of its own for a missing key
        if name:
            raise ValueError(str(error)) from error
        print(f"chat: no {wanted}, rules answer: {error}", file=sys.stderr)
        return Rulebook()


def load_model(name: str) -> BaseChatModel:
    """Return a model of LangChain's."""
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        # Only a named model needs packages that do not come with millstream.
        raise ImportError(f"{error}: pip install langchain langchain-openai") from error

    model: BaseChatModel = init_chat_model(name)
    return model


def make_graph(model: BaseChatModel) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return a chat with `model` that keeps its threads in memory."""
    speaker = model.bind_tools([calculate])

    def chat(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [speaker.invoke([MANNERS, *state["messages"]])]}

    builder = StateGraph(MessagesState)
    builder.add_node(chat)
    builder.add_node("tools", ToolNode([calculate]))
    builder.add_edge(START, "chat")
    builder.add_conditional_edges("chat", tools_condition)
    builder.add_edge("tools", "chat")
    return builder.compile(checkpointer=InMemorySaver(), name="chat")


def graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the chat with the model that the environment names."""
    return make_graph(choose_model())


def close_calls(graph: CompiledStateGraph[Any, Any, Any, Any], config: RunnableConfig) -> None:
    """Answer the tool calls that were stopped: models refuse a conversation with open ones."""
    said = graph.get_state(config).values.get("messages") or [None]
    if isinstance(said[-1], AIMessage) and said[-1].tool_calls:
        stopped = [ToolMessage("stopped", tool_call_id=call["id"]) for call in said[-1].tool_calls]
        graph.update_state(config, {"messages": stopped}, as_node="tools")


def answer(graph: CompiledStateGraph[Any, Any, Any, Any], text: str, thread: str) -> None:
    """Print the answer to `text` while it comes.

    Ctrl-C stops it with the next token.
    """
    console = Console(highlight=False, soft_wrap=True)
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    close_calls(graph, config)
    tokens: Any = graph.stream({"messages": text}, config, stream_mode="messages")
    try:
        with closing(tokens):
            for message, metadata in tokens:
                said = Text(str(message.text))
                if metadata["langgraph_node"] == "tools":
                    console.print(Text(f"[{message.name}: {said}]", style="dim"))
                else:
                    console.print(said, end="")
    except KeyboardInterrupt:
        console.print(Text(" (stopped)", style="dim"), end="")
    except Exception as error:
        console.print(Text(f" ({type(error).__name__}: {error})", style="red"), end="")
    console.print()


def converse(graph: CompiledStateGraph[Any, Any, Any, Any]) -> None:
    """Answer line by line until the input ends."""
    console = Console(highlight=False)
    console.print(Text("/new starts anew, Ctrl-D ends, Ctrl-C stops an answer", style="dim"))
    thread = str(uuid.uuid4())
    while True:
        try:
            text = console.input("[bold cyan]you>[/] ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if text == "/new":
            thread = str(uuid.uuid4())
            console.print(Text("a new conversation", style="dim"))
        elif text:
            answer(graph, text, thread)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Chat in the terminal.")
    parser.add_argument("--model", help="such as openai:gpt-4o-mini; default: CHAT_MODEL")
    try:
        chosen = choose_model(parser.parse_args().model)
    except ValueError as error:
        sys.exit(f"chat: {error}")
    converse(make_graph(chosen))
