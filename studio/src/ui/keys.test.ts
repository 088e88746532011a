import { describe, expect, it } from "vitest";

import { nearest } from "../graph/keys";
import { above, hrefOf, parseRoute } from "./route";
import { actionOf, keySheet } from "./keys";

const pressed = (key: string, more = {}) => actionOf({ key, isTyping: false, isModified: false, isSingle: true, ...more });

describe("a key", () => {
  it("does what the sheet says", () => {
    expect(pressed("?")).toEqual({ kind: "sheet" });
    expect(pressed("s")).toEqual({ kind: "page", page: "store" });
    expect(pressed("3")).toEqual({ kind: "panel", place: 2 });
    expect(pressed("Escape")).toEqual({ kind: "up" });
    expect(pressed("constructor")).toBeNull();
    const shown = keySheet().map(([keys]) => keys);
    expect(new Set(shown).size).toBe(shown.length);
  });

  it("is a letter while something is written, and with others what the browser makes of it", () => {
    for (const key of ["s", "?", "/", "1"]) {
      expect(pressed(key, { isTyping: true })).toBeNull();
      expect(pressed(key, { isModified: true })).toBeNull();
      expect(pressed(key, { isSingle: false })).toBeNull();
    }
    expect(pressed("Escape", { isTyping: true, isSingle: false })).toEqual({ kind: "leave" });
  });
});

describe("going up", () => {
  it.each([
    ["#/threads/t/state?checkpoint=c", "#/threads/t/state"],
    ["#/threads/t/state?checkpoint=c&with=d", "#/threads/t/state?checkpoint=c"],
    ["#/threads/t/timeline?run=r&task=x", "#/threads/t/timeline?run=r"],
    ["#/threads/t/timeline?run=r", "#/threads/t/timeline"],
    ["#/threads/t/timeline", "#/threads"],
    ["#/store/a/b?key=k", "#/store/a/b"],
    ["#/store/a/b", "#/store/a"],
    ["#/assistants/x?version=2", "#/assistants/x"],
    ["#/assistants/x", "#/assistants"],
  ])("leads from %s to %s", (from, to) => {
    const place = above(parseRoute(from));
    expect(place && hrefOf(place)).toBe(to);
  });

  it("ends at a page", () => {
    expect(above(parseRoute("#/store"))).toBeNull();
    expect(above(parseRoute("#/inbox"))).toBeNull();
  });
});

describe("an arrow in the graph", () => {
  const nodes = [
    { id: "top", x: 50, y: 0 },
    { id: "left", x: 0, y: 100 },
    { id: "right", x: 100, y: 100 },
    { id: "bottom", x: 50, y: 200 },
  ];

  it("leads to the node that is next in its direction", () => {
    expect(nearest(nodes, "top", "ArrowDown")).toBe("left");
    expect(nearest(nodes, "left", "ArrowRight")).toBe("right");
    expect(nearest(nodes, "right", "ArrowLeft")).toBe("left");
    expect(nearest(nodes, "bottom", "ArrowUp")).toBe("left");
  });

  it("leads nowhere where there is none", () => {
    expect(nearest(nodes, "top", "ArrowUp")).toBeNull();
    expect(nearest(nodes, "gone", "ArrowUp")).toBeNull();
    expect(nearest(nodes, "top", "x")).toBeNull();
  });
});
