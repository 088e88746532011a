import { describe, expect, it } from "vitest";

import type { Thread } from "../api/types";
import { excerptOf, hasWords, parseSearch } from "./search";

const ID = "0199c0de-1234-7abc-8def-0123456789ab";

function thread(values: Thread["values"]): Thread {
  return { thread_id: ID, status: "idle", created_at: "", updated_at: "", metadata: { owner: "Ada" }, values };
}

describe("a search", () => {
  it("tells ids, metadata and words apart", () => {
    expect(parseSearch(`${ID} owner:ada version:3 Storm "the mill"`)).toEqual({
      ids: [ID],
      metadata: { owner: "ada", version: 3 },
      words: ["storm", "the mill"],
    });
  });

  it("takes texts that look like numbers, or have spaces in them, in quotation marks", () => {
    expect(parseSearch('version:"3" title:"a: b" done:true').metadata).toEqual({ version: "3", title: "a: b", done: true });
  });

  it("takes addresses and what is half typed as words", () => {
    expect(parseSearch('https://example.com key: "half').words).toEqual(["https://example.com", "key:", "half"]);
  });

  it("wants all words, in the id, the values or the metadata", () => {
    expect(hasWords(thread({ a: ["Rain feeds the stream"] }), ["0199c0de", "rain feeds", "ada"])).toBe(true);
    expect(hasWords(thread({ a: "rain" }), ["rain", "sun"])).toBe(false);
    expect(hasWords(thread(null), [])).toBe(true);
  });

  it("shows what stands around a word", () => {
    expect(excerptOf(thread({ text: `${"x".repeat(99)}Rain${"y".repeat(99)}` }), ["none", "rain"])).toBe(
      `…${"x".repeat(30)}Rain${"y".repeat(30)}…`,
    );
    expect(excerptOf(thread({}), ["0199c0de"])).toBe("");
  });
});
