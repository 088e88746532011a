"""Talk to the desk: main.py FOLDER [CUSTOMER DAY], one line of input per turn.

Conversations and what is known of customers stay in FOLDER. A question of the desk is answered by
the next line, `yes`, `no` or a price; when there is none the program ends, and asks again when it
is started again. Without a customer it prints the report.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessageChunk
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.store.sqlite import SqliteStore
from langgraph.types import Command

from shop.desk import make_desk
from shop.report import make_report
from shop.state import Visit

CUSTOMERS = ["anne", "bob"]


def main(folder: str, customer: str | None = None, day: str = "") -> None:
    """Hold the conversation."""
    database = Path(folder)
    with (
        SqliteSaver.from_conn_string(str(database / "conversations.sqlite")) as saver,
        SqliteStore.from_conn_string(str(database / "customers.sqlite")) as store,
    ):
        store.setup()
        if customer is None:
            config: Any = {"configurable": {"thread_id": "report"}}
            print(*make_report(saver, store).invoke(CUSTOMERS, config), sep="\n")
            return
        desk = make_desk(saver, store)
        config = {"configurable": {"thread_id": f"{customer} on {day}"}}
        visit = Visit(customer)
        asked = _questions(desk, config)
        for line in map(str.strip, sys.stdin):
            print(f"{customer}> {line}")
            turn = Command(resume=_decision(line)) if asked else {"messages": [("user", line)]}
            _show(desk.stream(turn, config, context=visit, stream_mode=MODES, subgraphs=True))
            asked = _questions(desk, config)
        state = desk.get_state(config)
        history = list(desk.get_state_history(config))
        print(f"({len(state.values['messages'])} messages, {len(history)} checkpoints,", end=" ")
        print(f"next: {', '.join(state.next) or 'nobody'})")


MODES = ["messages", "custom", "updates"]


def _show(stream: Any) -> None:
    """Print words when they come, and between them what happens."""
    speaker = None
    for namespace, mode, item in stream:
        where = namespace[0].partition(":")[0] if namespace else "desk"
        if mode == "messages":
            message, _ = item
            if isinstance(message, AIMessageChunk) and message.text:
                if speaker != where:
                    print(f"{where}> ", end="")
                    speaker = where
                print(message.text, end="")
            continue
        if speaker is not None:
            print()
            speaker = None
        if mode == "custom":
            print(f"  ({item['progress']})")
        elif not namespace:
            # Nodes that run side by side are in nobody's order, so only the outer graph's.
            print(f"  [{', '.join(item)}]")
    if speaker is not None:
        print()


def _questions(desk: Any, config: Any) -> bool:
    """Print what the desk wants to know, and return whether it does."""
    pending = desk.get_state(config).interrupts
    for each in pending:
        print(f"desk> {each.value['question']}")
    return bool(pending)


def _decision(line: str) -> dict[str, Any]:
    if line.isdigit():
        return {"approved": True, "price": int(line)}
    return {"approved": line == "yes"}


if __name__ == "__main__":
    main(*sys.argv[1:])
