import { describe, expect, it } from "vitest";

import { timeOf } from "../api/following";
import { hrefOf, parseRoute } from "../ui/route";
import { placeAfter } from "../ui/useRoving";
import { changedFields } from "./changedFields";
import { labelsIn, treeOf } from "./namespaces";
import { MOST_ROWS, overviewOf } from "./overview";

describe("an address", () => {
  it("leads back to what it was made for", () => {
    const places = [
      { page: "assistants", parts: ["id"], version: "3" },
      { page: "crons", parts: ["new"] },
      { page: "store", parts: ["users", "a/b?c#d"], key: "what & why" },
      { page: "thread", threadId: "t/1", panel: "usage", taskId: "x" },
    ] as const;
    for (const place of places) expect(parseRoute(hrefOf(place))).toMatchObject(place);
  });

  it("that makes no sense leads to the threads", () => {
    expect(parseRoute("#/%E0%A4%A/x").page).toBe("threads");
    expect(parseRoute("#/store/%zz")).toMatchObject({ page: "store", parts: ["%zz"] });
  });
});

describe("namespaces", () => {
  it("are a tree of their labels", () => {
    const tree = treeOf([["users", "bo"], ["users"], ["docs", "a", "b"], ["users", "ada"]]);
    expect(tree.map((branch) => branch.label)).toEqual(["docs", "users"]);
    expect(tree[1]?.branches.map((branch) => branch.namespace)).toEqual([["users", "ada"], ["users", "bo"]]);
  });

  it("are typed with periods or slashes", () => {
    expect(labelsIn(" users / ada.notes. ")).toEqual(["users", "ada", "notes"]);
  });
});

describe("what a server tells of itself", () => {
  it("is shown as names with values, and its lists as tables", () => {
    const overview = overviewOf({ ok: true, queue: { n: 1, wait: null }, flags: [], api: { calls: [{ path: "/ok", n: 2 }, { path: "/", status: 200 }] } });
    expect(overview.facts).toEqual([["ok", "true"], ["queue.n", "1"], ["queue.wait", "–"], ["flags", "[]"]]);
    expect(overview.tables).toEqual([{ name: "api.calls", columns: ["path", "n", "status"], rows: [["/ok", "2", "–"], ["/", "–", "200"]] }]);
  });

  it("is shown in part if it is long", () => {
    const many = Array.from({ length: MOST_ROWS + 5 }, (_, n) => ({ n }));
    expect(overviewOf({ many }).tables[0]?.rows).toHaveLength(MOST_ROWS);
  });
});

describe("changed fields", () => {
  it("are those that differ from before", () => {
    expect(changedFields({ name: "a", config: { b: 1 } }, { name: "a", config: { b: 2 }, context: {} })).toEqual({ config: { b: 2 }, context: {} });
  });
});

describe("a list", () => {
  it("is gone through by keys, not beyond its ends", () => {
    expect(placeAfter("ArrowDown", 2, 3)).toBe(2);
    expect(placeAfter("ArrowUp", 0, 3)).toBe(0);
    expect(placeAfter("End", 0, 3)).toBe(2);
    expect(placeAfter("ArrowDown", -1, 3)).toBe(0);
    expect(placeAfter("x", 0, 3)).toBeNull();
    expect(placeAfter("Home", 0, 0)).toBeNull();
  });
});

describe("an event", () => {
  it("was said when its id says so", () => {
    expect(timeOf("1795217299192-3")).toBe(1795217299192);
    expect(timeOf("12")).toBeNull();
    expect(timeOf("")).toBeNull();
  });
});
