import { describe, expect, it } from "vitest";

import type { Json } from "../api/types";
import { pictureOf, nestedIn, standingsOf, supersteps } from "./drawing";
import { differences } from "./difference";
import { begun, ended, isRead, MAX_SPEECHES, MAX_TASKS, reduce, reduceAll, type RunView, type Told } from "./run";

function told(...events: [string, Json][]): RunView {
  return events.reduce((view, [event, data], at) => reduce(view, event, data, at), begun("r"));
}

const START = { id: "t1", name: "model", input: { a: 1 }, triggers: ["start"] };

describe("a run", () => {
  it("has its tasks from their beginning to their end", () => {
    const running = told(["tasks", START]);
    expect(running.tasks.get("t1")).toMatchObject({ status: "running", startedAt: 0 });

    const done = reduce(running, "tasks", { id: "t1", name: "model", result: { b: 2 }, error: null, interrupts: [] }, 9);
    expect(done.tasks.get("t1")).toMatchObject({ status: "done", endedAt: 9, input: { a: 1 }, result: { b: 2 } });
  });

  it("tells who fails and who asks", () => {
    const view = told(
      ["tasks", { id: "t1", name: "a", error: "ValueError('x')", interrupts: [] }],
      ["tasks|a:t9", { id: "t2", name: "b", error: null, interrupts: [{ id: "q", value: "how many?" }] }],
    );
    expect(view.tasks.get("t1")?.status).toBe("failed");
    expect(view.tasks.get("t2")).toMatchObject({ status: "asks", path: ["a:t9"] });
  });

  it("begins anew what another attempt begins anew", () => {
    const view = told(["metadata", { run_id: "r", attempt: 1 }], ["tasks", START], ["metadata", { run_id: "r", attempt: 2 }]);
    expect(view.attempt).toBe(2);
    expect(view.tasks.size).toBe(0);
  });

  it("joins the pieces of what models say, with their tool calls and usage", () => {
    const metadata = { langgraph_node: "model", ls_model_name: "m" };
    const piece = (more: Json) => [{ type: "AIMessageChunk", id: "m1", ...(more as object) }, metadata] as Json;
    const view = told(
      ["messages", piece({ content: "Hel" })],
      ["messages", piece({ content: [{ type: "text", text: "lo" }, { type: "reasoning", reasoning: "hm" }] })],
      ["messages", piece({ content: "", tool_call_chunks: [{ index: 0, id: "c", name: "add", args: '{"a"' }] })],
      ["messages", piece({ content: "", tool_call_chunks: [{ index: 0, id: null, name: null, args: ":1}" }], usage_metadata: { input_tokens: 3, output_tokens: 4 } })],
      // As a whole it is known already.
      ["messages", [{ type: "ai", id: "m1", content: "Hello" }, metadata]],
    );
    expect(view.speeches.get("m1")).toMatchObject({
      text: "Hello",
      reasoning: "hm",
      toolCalls: [{ id: "c", name: "add", args: '{"a":1}' }],
      usage: { input: 3, output: 4 },
      pieces: 4,
    });
  });

  it("has nothing under way when it is over", () => {
    expect(ended(told(["tasks", START]), 5).tasks.get("t1")).toMatchObject({ status: "stopped", endedAt: 5 });
    const failed = ended(told(["tasks", START]), 5, new Map([["t1", "ValueError('x')"]]));
    expect(failed.tasks.get("t1")).toMatchObject({ status: "failed", error: "ValueError('x')" });
  });

  it("is the same by events one by one and all at once", () => {
    const events: [string, Json][] = [
      ["metadata", { run_id: "r", attempt: 1 }],
      ["tasks", START],
      ["messages", [{ type: "AIMessageChunk", id: "m", content: "a" }, { langgraph_node: "model" }]],
      ["custom", { n: 1 }],
      ["values", { a: 1 }],
      ["tasks", { id: "t1", name: "model", result: {}, error: null, interrupts: [] }],
    ];
    const before = begun("r");
    const all = reduceAll(before, events.map(([event, data], at) => ({ event, data, at })));
    expect(all).toEqual(told(...events));
    expect(before).toEqual(begun("r"));
  });

  it("is held in part if it is long, and still counted as a whole", () => {
    const count = MAX_TASKS + 100;
    const events: Told[] = [];
    for (let at = 0; at < count; at++) {
      const id = `t${at}`;
      events.push({ event: "tasks|team:x", data: { id, name: "ask", triggers: [] }, at });
      // The first one fails, and the last one goes on.
      const error = at === 0 ? "ValueError()" : null;
      if (at < count - 1) events.push({ event: "tasks|team:x", data: { id, name: "ask", result: {}, error, interrupts: [] }, at });
      const message = { type: "AIMessageChunk", id, content: "a" };
      events.push({ event: "messages", data: [message, { langgraph_node: "ask" }], at });
    }
    const view = reduceAll(begun("r"), events);
    expect(view.tasks.size).toBeLessThanOrEqual(MAX_TASKS);
    expect(view.speeches.size).toBeLessThanOrEqual(MAX_SPEECHES);
    expect(view.tasks.get("t0")?.status).toBe("failed");
    expect(view.tasks.has(`t${count - 1}`)).toBe(true);
    const open = standingsOf(view, pictureOf(GRAPH, new Set(["team"])));
    expect(open.get("team:ask")).toMatchObject({ status: "running", count, running: 1 });
  });

  it("needs only some of what is told", () => {
    expect(["tasks|a:1", "messages", "values", "custom|x:1"].map(isRead)).toEqual([true, true, true, true]);
    expect(["updates", "checkpoints", "values|a:1", "messages/partial", ""].map(isRead)).toEqual([false, false, false, false, false]);
  });

  it("is not disturbed by what makes no sense", () => {
    const view = told(["tasks", null], ["messages", "x"], ["tasks", { id: 3 }], ["values", [1]], ["?", {}], ["error", 7]);
    expect(view.tasks.size).toBe(1);
    expect(view.error?.error).toBe("Error");
  });
});

const GRAPH = {
  nodes: [{ id: "__start__" }, { id: "plan" }, { id: "team:ask" }, { id: "team:deep:dig" }, { id: "__end__" }],
  edges: [
    { source: "__start__", target: "plan" },
    { source: "plan", target: "team:ask", conditional: true, data: "more" },
    { source: "team:ask", target: "team:deep:dig" },
    { source: "team:deep:dig", target: "__end__" },
  ],
};

describe("a picture", () => {
  it("folds nested graphs up, and unfolds them", () => {
    expect(nestedIn(GRAPH)).toEqual(["team", "team:deep"]);
    const folded = pictureOf(GRAPH, new Set());
    expect(folded.nodes.map((node) => node.id)).toEqual(["__start__", "plan", "team", "__end__"]);
    expect(folded.edges.map((edge) => edge.id)).toEqual(["__start__ plan", "plan team", "team __end__"]);
    const open = pictureOf(GRAPH, new Set(["team"]));
    expect(open.nodes.map((node) => node.id)).toContain("team:deep");
    expect(open.edges).toContainEqual({ id: "plan team:ask", source: "plan", target: "team:ask", label: "more", isConditional: true });
  });

  it("shows in which nodes a run is, also in those that are folded up", () => {
    const run = told(
      ["tasks", { id: "a", name: "plan", triggers: [] }],
      ["tasks", { id: "a", name: "plan", result: {}, error: null, interrupts: [] }],
      ["tasks", { id: "b", name: "team", triggers: [] }],
      ["tasks|team:b", { id: "c", name: "ask", triggers: [] }],
      ["tasks|team:b", { id: "d", name: "ask", triggers: [] }],
    );
    const folded = standingsOf(run, pictureOf(GRAPH, new Set()));
    expect(folded.get("plan")).toMatchObject({ status: "done", count: 1 });
    expect(folded.get("team")).toMatchObject({ status: "running", count: 1, running: 1, since: 2 });
    const open = standingsOf(run, pictureOf(GRAPH, new Set(["team"])));
    expect(open.get("team:ask")).toMatchObject({ status: "running", count: 2, running: 2 });
    expect(open.get("__end__")).toMatchObject({ status: "waits" });
  });

  it("tells supersteps by what was under way together", () => {
    const task = (id: string, startedAt: number, endedAt: number | null) =>
      ({ id, name: id, path: [], step: 1, status: "done", startedAt, endedAt, input: null, result: null, error: null, questions: [] }) as const;
    const steps = supersteps([task("a", 0, 5), task("b", 1, 9), task("c", 10, null)].map((each) => ({ ...each, path: [], questions: [] })));
    expect(steps.map((step) => step.map((each) => each.id))).toEqual([["a", "b"], ["c"]]);
  });
});

describe("a difference", () => {
  it("names the innermost values that differ", () => {
    const changes = differences({ a: 1, b: [1, 2], c: { d: 1 } }, { a: 1, b: [1, 3, 4], c: {}, e: null });
    expect(changes.map(({ path, kind }) => [path, kind])).toEqual([
      ["b[1]", "changed"],
      ["b[2]", "added"],
      ["c.d", "removed"],
      ["e", "added"],
    ]);
  });
});
