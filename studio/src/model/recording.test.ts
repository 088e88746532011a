// @vitest-environment node
import { describe, expect, it } from "vitest";

import { openRecording, packed } from "../api/recordingFiles";
import type { Json, ThreadState } from "../api/types";
import { eventsOfHistory, Player, type Recording } from "./recording";
import { RecordingError } from "./recordingFile";
import type { Told } from "./run";

const FIRST = 1_795_217_299_000;

function recorded(events: Told[], status = "success"): Recording {
  return { runId: "r", threadId: "t", graphId: "g", status, events, drawing: null, note: "" };
}

function task(id: string, at: number, end?: number, path = ""): Told[] {
  const told: Told[] = [{ at: FIRST + at, event: `tasks${path}`, data: { id, name: id, input: null, triggers: [] } }];
  if (end !== undefined) told.push({ at: FIRST + end, event: `tasks${path}`, data: { id, name: id, result: {}, error: null, interrupts: [] } });
  return told;
}

const statuses = (player: Player, time: number) => [...player.viewAt(time).tasks.values()].map(({ id, status }) => `${id} ${status}`);

describe("a run that is shown again", () => {
  it("is known at each moment, whichever was looked at before", () => {
    const player = new Player(recorded([...task("a", 0, 100), ...task("b", 100, 300)]));
    expect(player.duration).toBe(300);
    expect(statuses(player, 300)).toEqual(["a done", "b done"]);
    expect(statuses(player, 50)).toEqual(["a running"]);
    expect(statuses(player, 299)).toEqual(["a done", "b running"]);
    expect(player.viewAt(0).isOver).toBe(false);
    expect(player.viewAt(300).isOver).toBe(true);
  });

  it("gives the same views forwards and backwards, also of many events", () => {
    const events = Array.from({ length: 2_000 }, (_, at): Told => ({ at: FIRST + at, event: "custom", data: at }));
    const player = new Player(recorded(events));
    const newest = (time: number) => player.viewAt(time).custom.at(-1)?.data;
    expect([1_999, 700, 701, 499, 500, 1_234].map(newest)).toEqual([1_999, 700, 701, 499, 500, 1_234]);
  });

  it("goes on at a speed, and as fast as can be", () => {
    const player = new Player(recorded([...task("a", 0, 1_000), ...task("b", 5_000, 9_000)]));
    expect(player.after(0, 16, 20)).toBe(320);
    expect(player.after(8_990, 16, 20)).toBe(9_000);
    const moments = [0];
    while (moments.at(-1)! < player.duration) moments.push(player.after(moments.at(-1)!, 16, Infinity));
    expect(moments).toEqual([0, 1_000, 5_000, 9_000]);
  });

  it("tells which task has failed if it was the only one", () => {
    const error: Told = { at: FIRST + 9, event: "error", data: { error: "ValueError", message: "x" } };
    const nested = new Player(recorded([...task("a", 0), ...task("b", 1, undefined, "|a:a"), error], "error"));
    expect(statuses(nested, 9)).toEqual(["a failed", "b failed"]);
    const several = new Player(recorded([...task("a", 0), ...task("b", 1), error], "error"));
    expect(statuses(several, 9)).toEqual(["a stopped", "b stopped"]);
  });

  it("has no duration without events", () => {
    const player = new Player(recorded([]));
    expect([player.duration, player.viewAt(0).tasks.size]).toEqual([0, 0]);
  });

  it("is made from checkpoints where nothing else is left", () => {
    const at = (seconds: number) => new Date(FIRST + 1000 * seconds).toISOString();
    const place = (checkpoint_id: string) => ({ thread_id: "t", checkpoint_ns: "", checkpoint_id });
    const state = (id: string, parent: string | null, seconds: number, tasks: ThreadState["tasks"]): ThreadState => ({
      values: { id }, next: [], tasks, metadata: {}, created_at: at(seconds), checkpoint: place(id), parent_checkpoint: parent === null ? null : place(parent),
    });
    const said = { type: "ai", id: "m", content: "hello" };
    const states = [
      state("c", "b", 3, [{ id: "2", name: "fail", error: "ValueError('x')", interrupts: [] }]),
      state("b", "a", 1, [{ id: "1", name: "speak", error: null, interrupts: [], result: { messages: [said] } }]),
      state("a", null, 0, [{ id: "0", name: "__start__", error: null, interrupts: [], result: {} }]),
    ];
    const player = new Player(recorded(eventsOfHistory(states, { updated_at: at(4) })));
    expect(statuses(player, 1_500)).toEqual(["1 running"]);
    expect(statuses(player, 4_000)).toEqual(["1 done", "2 failed"]);
    expect([...player.viewAt(4_000).speeches.values()].map(({ text, node }) => [text, node])).toEqual([["hello", "speak"]]);
  });
});

async function opened(lines: Json[]): Promise<Recording> {
  return openRecording(new Blob(lines.map((line) => `${JSON.stringify(line)}\n`)));
}

describe("a file", () => {
  const events = Array.from({ length: 3_000 }, (_, at): Told => ({ at: FIRST + at, event: "custom|a:1|b:2", data: { at, text: `${(at * 7919) % 1009}` } }));

  it("gives back what was saved", async () => {
    const saved = { ...recorded(events), drawing: { nodes: [{ id: "a" }], edges: [] } };
    expect(await openRecording(await packed(saved))).toEqual(saved);
  });

  it("that was cut is read up to its last whole line, and says so", async () => {
    const whole = await packed(recorded(events));
    const cut = await openRecording(whole.slice(0, whole.size / 2));
    expect(cut.status).toBe("truncated");
    expect(cut.note).not.toBe("");
    expect(cut.events.length).toBeGreaterThan(500);
    expect(cut.events).toEqual(events.slice(0, cut.events.length));
  });

  it("of the engine's own says what the API would", async () => {
    const found = await opened([
      { recording: 1, started: FIRST * 1000, graph: "g", configurable: { run_id: "r" }, drawing: null, versions: {} },
      { define: 1, value: { langgraph_node: "speak" } },
      { at: 2_000, ns: ["team:1"], mode: "messages", data: { $tuple: [{ $message: "AIMessageChunk", content: "hi", id: "m" }, { $ref: 1 }] } },
      { define: 2, value: { ns: ["team:1"], messages: { $tuple: [{ $message: "AIMessageChunk", content: "", id: "m" }, { $ref: 1 }] } } },
      { at: 2_500, of: 2, text: " there" },
      { at: 3_000, ns: [], mode: "tasks", data: { id: "1", name: "ask", result: { $dict: [[1, 2]] }, error: null, interrupts: [{ $interrupt: { value: "?", id: "q" } }] } },
      { at: 4_000, ns: [], mode: "custom", data: { a: { $stored: ["msgpack", "…"], text: "Point(1)", class: "Point" } } },
      { at: 5_000, end: "error", error: { $error: { class: "builtins.ValueError", text: "x" } }, events: 3 },
    ]);
    expect(found).toMatchObject({ status: "error", note: "", graphId: "g", runId: "r" });
    expect(found.events).toEqual([
      { at: FIRST + 2, event: "messages|team:1", data: [{ type: "AIMessageChunk", content: "hi", id: "m" }, { langgraph_node: "speak" }] },
      { at: FIRST + 2.5, event: "messages|team:1", data: [{ type: "AIMessageChunk", content: " there", id: "m" }, { langgraph_node: "speak" }] },
      { at: FIRST + 3, event: "tasks", data: { id: "1", name: "ask", result: { 1: 2 }, error: null, interrupts: [{ value: "?", id: "q" }] } },
      { at: FIRST + 4, event: "custom", data: { a: "Point(1)" } },
      { at: FIRST + 4, event: "error", data: { error: "builtins.ValueError", message: "x" } },
    ]);
  });

  it("of a server has what the API says, whatever it looks like", async () => {
    const found = await opened([
      { recording: 1, started: 0, source: "server", graph: "g" },
      { at: 0, ns: [], mode: "messages", data: { $tuple: [{ $message: "AIMessage", type: "ai", content: "hi" }, {}] } },
      { at: 0, ns: [], mode: "values", data: { $ref: 1 } },
    ]);
    expect(found.events.map(({ data }) => data)).toEqual([[{ type: "ai", content: "hi" }, {}], { $ref: 1 }]);
  });

  it("says of messages what they are, and of nothing what it is not", async () => {
    const said = { type: "ai", content: [{ type: "text", text: "hi" }], id: "m" };
    const told: Told[] = [
      { at: FIRST, event: "messages", data: [said, { langgraph_node: "a" }] },
      { at: FIRST, event: "values", data: { messages: [said], odd: { $ref: 1, $message: "AIMessage" } } },
      { at: FIRST + 1, event: "error", data: { error: "ValueError", message: "x" } },
    ];
    const file = await packed(recorded(told, "error"));
    const lines = (await new Response(file.stream().pipeThrough(new DecompressionStream("gzip"))).text()).trim().split("\n");
    expect(lines.slice(1).map((line) => JSON.parse(line) as Json)).toEqual([
      { at: 0, ns: [], mode: "messages", data: { $tuple: [{ $message: "AIMessage", content: said.content, id: "m" }, { langgraph_node: "a" }] } },
      { at: 0, ns: [], mode: "values", data: { messages: [{ $message: "AIMessage", content: said.content, id: "m" }], odd: { $dict: [["$ref", 1], ["$message", "AIMessage"]] } } },
      { at: 1000, end: "error", events: 2, error: { $error: { class: "ValueError", text: "x" } } },
    ]);
    expect((await openRecording(file)).events.map(({ event, data }) => [event, data])).toEqual(told.map(({ event, data }) => [event, data]));
  });

  it("may have several members of gzip", async () => {
    const lines = [{ recording: 1, started: 0 }, { at: 1000, ns: [], mode: "custom", data: 1 }, { at: 2000, end: "success", events: 1 }];
    const members = await Promise.all(
      lines.map((line) => new Response(new Blob([`${JSON.stringify(line)}\n`]).stream().pipeThrough(new CompressionStream("gzip"))).blob()),
    );
    expect(await openRecording(new Blob(members))).toMatchObject({ status: "success", events: [{ at: 1, event: "custom", data: 1 }] });
  });

  it("that is something else is refused in words", async () => {
    await expect(openRecording(new Blob(["PNG"]))).rejects.toThrow(RecordingError);
    await expect(opened([{ recording: 2 }])).rejects.toThrow("format 2");
    await expect(openRecording(new Blob([]))).rejects.toThrow("empty");
    await expect(openRecording(new Blob([new Uint8Array([0x1f, 0x8b, 8, 0xff, 3])]))).rejects.toThrow("empty");
  });
});
