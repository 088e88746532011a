import { describe, expect, it } from "vitest";

import type { Json } from "../api/types";
import { begun, ended, reduce, type RunView } from "./run";
import { noteOf, rowsOf, stepsOf, titleOf } from "./timeline";

function told(...events: [string, Json][]): RunView {
  return events.reduce((view, [event, data], at) => reduce(view, event, data, at), begun("r"));
}

const starts = (id: string, name: string): [string, Json] => ["tasks", { id, name, triggers: [] }];
const ends = (id: string, name: string, error: string | null = null): [string, Json] => ["tasks", { id, name, result: {}, error, interrupts: [] }];
const asks: [string, Json] = ["messages", [{ type: "ai", id: "m", content: "", tool_calls: [{ id: "c", name: "add", args: { a: 1 } }] }, { langgraph_node: "model" }]];
const answers = (more: object): [string, Json] => ["messages", [{ type: "tool", id: "t", tool_call_id: "c", content: "2", ...more }, { langgraph_node: "tools" }]];

describe("supersteps", () => {
  it("are told by the order of what is said, however short they are", () => {
    const view = [starts("a", "plan"), ends("a", "plan"), starts("b", "ask"), starts("c", "ask"), ends("b", "ask"), ends("c", "ask"), starts("d", "join")]
      .reduce((known, [event, data]) => reduce(known, event, data, 5), begun("r"));
    const steps = stepsOf(view);
    expect(steps.map(titleOf)).toEqual(["1: plan", "2: ask ×2", "3: join"]);
    expect(steps.map((step) => [step.startedAt, step.endedAt])).toEqual([[5, 5], [5, 5], [5, null]]);
  });

  it("are those of the outermost graph, and go on when an attempt begins anew", () => {
    const view = told(starts("a", "team"), ["tasks|team:a", { id: "b", name: "inner", triggers: [] }], ["metadata", { attempt: 2 }], starts("c", "team"));
    expect(stepsOf(view).map(titleOf)).toEqual(["2: team"]);
  });
});

describe("the call of a tool", () => {
  it("is known by its own events", () => {
    const view = told(
      ["tools|team:1", { event: "tool-started", tool_call_id: "c", tool_name: "add", input: { a: 1 } }],
      ["tools|team:1", { event: "tool-output-delta", tool_call_id: "c", delta: 1 }],
      ["tools|team:1", { event: "tool-finished", tool_call_id: "c", output: 2 }],
    );
    expect([...view.tools.values()]).toEqual([
      { id: "c", name: "add", path: ["team:1"], status: "done", startedAt: 0, endedAt: 2, input: { a: 1 }, output: 2 },
    ]);
  });

  it("is known by the messages that ask and answer where a server has no such events", () => {
    const view = told(asks, starts("x", "tools"), answers({ name: "add" }));
    expect(view.tools.get("c")).toMatchObject({ name: "add", status: "done", startedAt: 0, endedAt: 2, input: { a: 1 }, output: "2" });
    expect(told(asks, answers({ status: "error" })).tools.get("c")?.status).toBe("failed");
  });

  it("is what its own events say, if its message says no worse", () => {
    const started: [string, Json] = ["tools", { event: "tool-started", tool_call_id: "c", tool_name: "add", input: {} }];
    const finished: [string, Json] = ["tools", { event: "tool-finished", tool_call_id: "c", output: 3 }];
    expect(told(started, finished, answers({})).tools.get("c")).toMatchObject({ output: 3, endedAt: 1 });
    expect(told(started, finished, answers({ status: "error" })).tools.get("c")).toMatchObject({ status: "failed", endedAt: 1 });
  });

  it("has stopped when its run is over", () => {
    const view = ended(told(["tools", { event: "tool-started", tool_call_id: "c", tool_name: "add" }]), 9);
    expect(view.tools.get("c")).toMatchObject({ status: "stopped", endedAt: 9 });
  });

  it("is nothing where the events make no sense", () => {
    expect(told(["tools", null], ["tools", { event: "tool-started" }], ["tools", { event: "?", tool_call_id: "c" }]).tools.size).toBe(0);
  });
});

describe("lines of the timeline", () => {
  it("begin with what has failed, and say why", () => {
    const view = told(asks, starts("a", "one"), ends("a", "one"), starts("b", "two"), ends("b", "two", "ValueError('x')"));
    const rows = rowsOf(view);
    expect(rows.map((row) => [row.kind, row.label])).toEqual([["task", "two"], ["model", "model"], ["task", "one"]]);
    expect(rows.map(noteOf)).toEqual(["ValueError('x')", "– tokens/s", "1 ms"]);
  });
});
