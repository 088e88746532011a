import { describe, expect, it } from "vitest";

import type { Json, JsonObject, ThreadState } from "../api/types";
import { compareValues } from "./comparison";
import { EditError, isAsWanted, planEdit, written } from "./edit";
import { idOf, lineTo, partingOf, rowsOf, tipsOf } from "./tree";

function state(id: string, parent: string | null, values: Json = {}, wrote: Record<string, JsonObject> = {}): ThreadState {
  const place = (checkpoint_id: string) => ({ thread_id: "t", checkpoint_ns: "", checkpoint_id });
  return {
    values,
    next: [],
    tasks: Object.entries(wrote).map(([name, result]) => ({ id: `${id}-${name}`, name, error: null, interrupts: [], result })),
    metadata: {},
    created_at: null,
    checkpoint: place(id),
    parent_checkpoint: parent === null ? null : place(parent),
  };
}

/**
 * a - b - c - e   the newest first: e, d, c, b, a
 *      \- d
 */
const FORKED = [state("e", "c"), state("d", "b"), state("c", "b"), state("b", "a"), state("a", null)];
const ids = (states: ThreadState[]) => states.map(idOf);

describe("a history", () => {
  it("has a lane for each branch, down to where it parts", () => {
    expect(rowsOf(FORKED)).toEqual([
      { lane: 0, lines: [] },
      { lane: 1, lines: [{ from: 0, to: 0 }] },
      { lane: 0, lines: [{ from: 0, to: 0 }, { from: 1, to: 1 }] },
      { lane: 0, lines: [{ from: 0, to: 0 }, { from: 1, to: 0 }] },
      { lane: 0, lines: [{ from: 0, to: 0 }] },
    ]);
  });

  it("gives a lane that is free again to the next branch", () => {
    const roots = [state("c", "b"), state("b", null), state("y", "x"), state("x", null)];
    expect(rowsOf(roots).map((row) => row.lane)).toEqual([0, 0, 0, 0]);
  });

  it("has branches, which part somewhere", () => {
    expect(ids(tipsOf(FORKED))).toEqual(["e", "d"]);
    expect(ids(lineTo(FORKED, "e"))).toEqual(["e", "c", "b", "a"]);
    const parting = partingOf(FORKED, "e", "d");
    expect([idOf(parting.from!), ids(parting.left), ids(parting.right)]).toEqual(["b", ["c", "e"], ["d"]]);
    expect(partingOf(FORKED, "e", "b")).toMatchObject({ from: FORKED[3], right: [] });
    expect(partingOf(FORKED.slice(0, 2), "e", "d").from).toBe(null);
  });
});

describe("a comparison", () => {
  it("shows messages from where they part, and other values that differ", () => {
    const says = (id: string, content: string) => ({ type: "ai", id, content });
    const found = compareValues(
      { messages: [says("1", "a"), says("2", "b")], n: 1, same: [1] },
      { messages: [says("1", "a"), says("3", "c"), says("4", "d")], n: 2, same: [1], more: null },
    );
    expect(found.conversations).toEqual([
      { key: "messages", common: [says("1", "a")], left: [says("2", "b")], right: [says("3", "c"), says("4", "d")] },
    ]);
    expect(found.changes.map(({ path, before, after }) => [path, before, after])).toEqual([
      ["n", 1, 2],
      ["more", undefined, null],
    ]);
  });
});

describe("an edited state", () => {
  const history = [
    state("c", "b", { seen: [0, 1], upto: 2 }, {}),
    state("b", "a", { seen: [0], upto: 2 }, { step: { seen: [1] } }),
    state("a", null, {}, { __start__: { seen: [0], upto: 2 } }),
  ];

  it("is written as far as it was changed, in place of what a reducer would add to", () => {
    const edit = planEdit(history, history[0]!, { seen: [1], upto: 3 });
    expect(edit).toMatchObject({
      base: { checkpoint_id: "c" },
      asNode: undefined,
      values: { seen: [1], upto: 3 },
      forms: { seen: ["replacement", "plain"], upto: ["plain", "replacement"] },
    });
    expect(planEdit(history, history[0]!, { seen: [0, 1], upto: 2 })).toBe(null);
  });

  it("without a key is written to a checkpoint from before it", () => {
    expect(planEdit(history, history[1]!, { seen: [7] })).toMatchObject({
      base: { checkpoint_id: "a" },
      asNode: "__start__",
      values: { seen: [7] },
    });
  });

  it("keeps a key that no checkpoint is without", () => {
    expect(() => planEdit(history.slice(0, 2), history[0]!, { seen: [] })).toThrow(EditError);
  });

  it("has messages replaced, added, or all written anew", () => {
    const says = (id: string, content: string) => ({ type: "human", id, content });
    const [shown] = [state("m", null, { messages: [says("1", "a"), says("2", "b")] })];
    const forms = (messages: Json[]) => planEdit([shown!], shown!, { messages })?.forms.messages?.[0];
    expect(forms([says("1", "a"), says("2", "other"), says("3", "more")])).toBe("plain");
    expect(forms([says("2", "b")])).toBe("conversation");
    expect(written([says("2", "b")], "conversation")).toEqual([
      { type: "remove", id: "__remove_all__", content: "" },
      says("2", "b"),
    ]);
    expect(written([1], "replacement")).toEqual({ __overwrite__: [1] });
  });

  it("is as wanted if a server has added to messages what is usual", () => {
    expect(isAsWanted([{ type: "ai", content: "a" }], [{ type: "ai", content: "a", name: null }])).toBe(true);
    expect(isAsWanted({ a: 1 }, { a: 1, b: 2 })).toBe(false);
    expect(isAsWanted([1], [1, 1])).toBe(false);
  });
});
