import { describe, expect, it } from "vitest";

import { EventParser } from "./sse";

const STREAM = "id: 1-0\r\nevent: a\r\ndata: one\r\n\r\n: nothing\n\nid: 2-0\ndata: two\ndata:  three\n\nevent: end\rdata\r\r";
const EVENTS = [
  { id: "1-0", event: "a", data: "one" },
  { id: "2-0", event: "", data: "two\n three" },
  { id: "2-0", event: "end", data: "" },
];

describe("a stream of events", () => {
  it("is the same however it is cut", () => {
    for (let size = 1; size <= STREAM.length; size++) {
      const parser = new EventParser();
      const found = [];
      for (let at = 0; at < STREAM.length; at += size) found.push(...parser.push(STREAM.slice(at, at + size)));
      // The last line end may be half of one.
      found.push(...parser.push("\n"));
      expect(found, `cut each ${size}`).toEqual(EVENTS);
    }
  });
});
