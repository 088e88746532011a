"""What holds rows that have missed a goal: what was found and tried, for the report.

Only what has been measured stands here. Whether a goal is missed is up to the numbers.
"""

from __future__ import annotations

from typing import Final

_SLOWER: Final = (
    "The absolute goal was set on a faster machine (see langgraph's column); what is left is about "
    "660 bytecodes of the interpreter for a step, each of which does something that a program can "
    "ask for."
)
_HANDED_OVER: Final = (
    "`custom` and `messages` have to reach the reader while a node runs, whose code may emit at "
    "any moment and from any function it calls. So a sync superstep is handed to a worker thread "
    "and back, and two switches between threads cost more than the rest together. While the "
    "machine is busy with other things a step takes some 30 µs, no more than its processor time; "
    "why it waits longer on an idle one is not known. Without these modes, the others at once cost "
    "about 3.4 times `updates`."
)
_TWO_TURNS: Final = (
    "What it costs more than the sync one is an asyncio task for the nested node and the turns of "
    "the event loop until its caller goes on. Running it in the caller's task would save them, but "
    "share context variables and cancellation with the node around it."
)
_DISPATCH: Final = (
    "LangChain's own dispatch of a token to an async handler that does nothing takes 5.3 µs here: "
    "three coroutines, an inspection and a gather. It cannot be reached around without patching."
)
_AT_ONCE: Final = (
    "All runs are opened in one turn of the event loop, about 28 µs each and 10 more for the "
    "garbage collector, which looks at 80 objects a run."
)
_SMALL_OBJECTS: Final = (
    "No hot spot is left: 5 µs a node for building, 10 for compiling, most of it making five small "
    "objects of up to 17 arguments, of which each takes 50 ns if it is given by name. Making the "
    "last of them with the first run would only move the cost."
)

_COLD: Final = (
    "Processor time on a busy machine, 1,000 messages: 16 ms beyond loading, 14 for langgraph with "
    "the same journal. Building and compiling the graph takes 1.3, opening the file and its first "
    "statements 3, the row that names 2,000 pieces 1.6, fetching and joining those 5.5, what the "
    "first loading takes more than the next 1.5, and looking for garbage among what is new 2. By "
    "the clock it is 13 to 19 here, 14 to 25 for langgraph, in a process that has called a graph "
    "before; where this is the first call, importing what runs graphs adds about 25."
)

NOTES: Final = {
    "conversation of 1,000 messages of 1 kB, SqliteJournal: newest state, cold": _COLD,
    "chain of 100, stream(updates), sync": _SLOWER,
    "chain of 100, stream(updates), async": (
        "A bare asyncio task per step takes more than half of it on this machine."
    ),
    "chain of 100, all modes at once, sync": _HANDED_OVER,
    "chain of 100, all modes at once, async": (
        "Each step has six events, two timestamps, and a task id that is a hash of its checkpoint "
        "and place."
    ),
    "chain of 100 sync nodes, stream(updates), async": (
        "`run_in_executor` alone takes 35 µs of processor time here, a hand-written hand-over to "
        "one's own thread and back 18, of which 10 are waking the event loop. But the loop's "
        "executor is what programs set and limit, and what `asyncio.run` waits for at its end."
    ),
    "chain of 100, a list with operator.add, sync": (
        "It takes 1.1 µs more than the chain with a number; 0.4 of that is the reducer."
    ),
    "chain of 100, add_messages, sync": (
        "Half of it is the reducer, at 50 messages: a look at the id of each takes 40 ns, because "
        "its class has a `__getattr__`, and one at its type 20."
    ),
    "one-node run, invoke, sync": (
        "Of it, 3 µs are LangChain's and LangSmith's question whether the process is traced, which "
        "costs this much once anything has imported LangChain's tracers; alone in a process a run "
        "takes 21 µs."
    ),
    "one-node run, invoke, async": "As the sync one, and two turns of the event loop.",
    "one-node graph as a node, async": _TWO_TURNS,
    "one-node graph called in a node, async": _TWO_TURNS,
    "messages mode, model": _DISPATCH,
    "messages mode, yielding model": (
        f"{_DISPATCH} A hand-written hand-over from such a model to a reader adds 7.9 µs."
    ),
    "custom events, async": (
        "A hand-written hand-over of an item from a node that yields to a reader that waits takes "
        "5.3 µs here."
    ),
    "1000 concurrent runs of 20 steps: steps a second": (
        "Alone a step takes two thirds of what it takes among a thousand, whose 10 MB are, as far "
        "as can be told, more than the processor keeps near."
    ),
    "1000 concurrent runs of 20 steps: p99 lag of a 1 ms ticker": _AT_ONCE,
    "100 concurrent runs of 100 steps: p99 lag of a 1 ms ticker": _AT_ONCE,
    "build and compile 1000 nodes": _SMALL_OBJECTS,
    "compile 1000 nodes": _SMALL_OBJECTS,
    "Send x 1000, async": (
        "About 700 bytecodes for a task, and the garbage collector, which looks at what a thousand "
        "of them hold."
    ),
    "run.messages, model, sync": (
        "Other runs reached 1/2.2: a token is handed from the model's thread to the reader's."
    ),
    "leaving, 3 subgraphs deep, sync": (
        "All other runs of the same program took 0.1 to 0.3 ms; what this one waited for is not "
        "known."
    ),
    "chain of 100, SqliteSaver, sync": (
        "The package's saver takes most of it; runs of this row reach 1/1.6 to 1/2.2."
    ),
    "chain of 100, SqliteSaver, async": (
        "The package's saver takes nearly all of it: two operations a step, each several round "
        "trips to its thread. Both are needed: tasks' writes are shown by the history."
    ),
}
