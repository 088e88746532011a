import { describe, expect, it } from "vitest";

import { Pieces } from "./pieces";

const LINES = Array.from({ length: 100 }, (_, number) => `line ${number}`).join("\n");

describe("a text in pieces", () => {
  it("is cut at line ends, and whole again", () => {
    for (const text of ["", "a", LINES, `${LINES}\n`, "x".repeat(5_000)]) {
      const pieces = new Pieces(text, 100);
      expect(pieces.whole()).toBe(text);
      expect(pieces.count).toBe(text.length < 100 ? 1 : pieces.count);
      expect(pieces.count).toBeGreaterThanOrEqual(text.length / 500);
    }
    expect(new Pieces(LINES, 100).piece(0).endsWith("\n")).toBe(true);
  });

  it("is changed a piece at a time", () => {
    const pieces = new Pieces(LINES, 100);
    pieces.set(1, "other\n");
    expect(pieces.whole().startsWith(`${pieces.piece(0)}other\n${pieces.piece(2)}`)).toBe(true);
  });

  it("knows its lines, and where something is", () => {
    const pieces = new Pieces(LINES, 100);
    const [first, last] = pieces.lines(1);
    expect(pieces.piece(1).startsWith(`line ${first - 1}\n`)).toBe(true);
    expect(pieces.piece(1).endsWith(`line ${last - 1}\n`)).toBe(true);
    expect(pieces.find("line 99", 0)).toBe(pieces.count - 1);
    expect(pieces.find("line 0\n", 3)).toBe(0);
    expect(pieces.find("nowhere", 0)).toBe(null);
  });
});
