"""Random states and what nodes may do to them: in place, anew, or not at all."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import random
import uuid
from enum import Enum
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.base.id import uuid6
from pydantic import BaseModel


class Colour(Enum):
    """An enum."""

    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Note:
    """A dataclass."""

    text: str
    tags: list[Any]


class Page(BaseModel):
    """A model."""

    title: str
    lines: list[str] = []


class States:
    """Makes values and changes them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self) -> str:
        """Return a short text, or one that is long enough to be cut out."""
        size = self.random.choice((0, 3, 30, 200, 255, 256, 700))
        return "".join(self.random.choices("abcdefgh é\U0001f30d", k=size))

    def leaf(self) -> Any:
        """Return a value without parts that are values too."""
        random = self.random
        make = random.choice(
            (
                self.text,
                lambda: random.randrange(-(2**31), 2**63),
                lambda: random.random(),
                lambda: random.choice((None, True, False, float("inf"))),
                lambda: random.randbytes(random.choice((0, 10, 300, 2000))),
                lambda: datetime.datetime(2026, 1, random.randint(1, 28)),
                lambda: decimal.Decimal(random.randrange(1000)) / 7,
                lambda: uuid.UUID(int=random.getrandbits(128)),
                lambda: random.choice(list(Colour)),
                lambda: {random.randrange(100)},  # the order of more is anybody's guess
            )
        )
        return make()

    def message(self) -> Any:
        """Return a message, with an id or without."""
        kind = self.random.choice((HumanMessage, AIMessage, ToolMessage))
        more = {"tool_call_id": "call"} if kind is ToolMessage else {}
        id = self.random.choice((None, self.random.randbytes(4).hex()))
        return kind(self.text(), id=id, **more)

    def value(self, depth: int = 0) -> Any:
        """Return a value of any kind."""
        random = self.random
        if depth > 2 or random.random() < 0.3:
            return self.leaf()
        size = random.choice((0, 1, 3, 8))
        make = random.choice(
            (
                lambda: [self.value(depth + 1) for _ in range(size)],
                lambda: {self.text()[:20]: self.value(depth + 1) for _ in range(size)},
                lambda: [self.message() for _ in range(size)],
                lambda: [random.randrange(1000) for _ in range(size * 40)],
                lambda: Note(self.text(), [self.value(depth + 1) for _ in range(size)]),
                lambda: Page(title=self.text(), lines=[self.text() for _ in range(size)]),
                lambda: tuple(self.value(depth + 1) for _ in range(min(size, 3))),
                self.message,
            )
        )
        return make()

    def change(self, value: Any) -> Any:
        """Return the value after a node has changed it in place, or another one."""
        random = self.random
        inner = value
        for _ in range(random.randrange(3)):
            parts = list(inner.values()) if isinstance(inner, dict) else inner
            if isinstance(parts, list) and parts:
                inner = random.choice(parts)
        if isinstance(inner, list):
            self._change_list(inner)
        elif isinstance(inner, dict):
            if inner and random.random() < 0.4:
                del inner[random.choice(list(inner))]
            inner[self.text()[:20]] = self.value(2)
        elif isinstance(inner, Note):
            inner.text = self.text()
            inner.tags.append(self.leaf())
        elif isinstance(inner, (AIMessage, HumanMessage)):
            inner.content = self.text()
        else:
            return self.value()
        return value

    def _change_list(self, items: list[Any]) -> None:
        random = self.random
        what = random.choice(("append", "append", "insert", "delete", "replace", "trim", "swap"))
        at = random.randrange(len(items)) if items else 0
        if what == "append" or not items:
            items.append(self.message() if random.random() < 0.7 else self.value(2))
        elif what == "insert":
            items.insert(at, self.value(2))
        elif what == "delete":
            del items[at]
        elif what == "replace":
            items[at] = self.value(2)
        elif what == "trim":
            del items[:at]
        else:
            random.shuffle(items)


class Thread:
    """The checkpoints of one thread as a run would store them."""

    def __init__(self, states: States, thread_id: str) -> None:
        self.states = states
        self.thread_id = thread_id
        self.parent: str | None = None
        self.values: dict[str, Any] = {}
        self.versions: dict[str, Any] = {}
        self.seen: dict[str, dict[str, Any]] = {}
        self.step = -1

    def load(self, saved: Any) -> None:
        """Go on from a checkpoint."""
        checkpoint = saved.checkpoint
        self.parent = checkpoint["id"]
        self.values = checkpoint["channel_values"]
        self.versions = checkpoint["channel_versions"]
        self.seen = checkpoint["versions_seen"]
        self.step = saved.metadata["step"]

    def next(self) -> tuple[Any, Any, Any, Any]:
        """Return the arguments of `put` for the next checkpoint."""
        states, random = self.states, self.states.random
        new: dict[str, Any] = {}
        names = [f"channel{number}" for number in range(6)]
        version = max(self.versions.values(), default=0) + 1
        for name in random.sample(names, random.choice((0, 1, 1, 2, 6))):
            if name in self.values and random.random() < 0.1:
                del self.values[name]
            elif name in self.values:
                self.values[name] = states.change(self.values[name])
            else:
                self.values[name] = states.value()
            new[name] = self.versions[name] = version
        node = random.choice("abc")
        self.seen[node] = {**self.seen.get(node, {}), **new}
        if random.random() < 0.1:
            self.seen.pop(random.choice("abc"), None)
        self.step += 1
        config: Any = {"configurable": {"thread_id": self.thread_id, "checkpoint_ns": ""}}
        if self.parent is not None:
            config["configurable"]["checkpoint_id"] = self.parent
        self.parent = str(uuid6(clock_seq=-2))
        checkpoint = {
            "v": 4,
            "ts": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "id": self.parent,
            "channel_values": dict(self.values),
            "channel_versions": dict(self.versions),
            "versions_seen": {name: dict(seen) for name, seen in self.seen.items()},
            "updated_channels": random.choice((None, sorted(new))),
        }
        metadata = {
            "source": "loop",
            "step": self.step,
            "parents": {},
            "run": f"run{self.step // 10}",
            "odd": {"a": [1, None, True]},
        }
        return config, checkpoint, metadata, new

    def writes(self) -> tuple[Any, Any, str, str]:
        """Return the arguments of `put_writes` for a task of the current checkpoint."""
        states, random = self.states, self.states.random
        count = random.choice((1, 1, 2, 4))
        writes = [(f"channel{at}", states.value()) for at in range(count)]
        writes = random.choice((writes, [("__interrupt__", states.value())]))
        if self.values and random.random() < 0.5:
            name = random.choice(list(self.values))
            writes.append((name, self.values[name]))
        config = {
            "configurable": {
                "thread_id": self.thread_id,
                "checkpoint_ns": "",
                "checkpoint_id": self.parent,
            }
        }
        task = str(uuid.UUID(int=random.randrange(3)))
        return config, writes, task, f"~{random.randrange(3)}"
