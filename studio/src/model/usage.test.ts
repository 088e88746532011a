import { describe, expect, it } from "vitest";

import type { Json } from "../api/types";
import { amountText, costOf, NO_PRICES, pricesIn } from "./prices";
import { begun, reduce } from "./run";
import { totalOf, usageOf, usageOfState } from "./usage";

const SAID = { type: "AIMessageChunk", content: "x" };
const usage = (input: number, output: number, cached = 0) =>
  ({ input_tokens: input, output_tokens: output, input_token_details: { cache_read: cached }, output_token_details: { reasoning: 1 } });

function told(...messages: [string, Json, Json][]) {
  return messages.reduce((view, [event, message, metadata], at) => reduce(view, event, [message, metadata], 1000 * at), begun("r"));
}

describe("usage", () => {
  it("is told by node and model, the one that has used most first", () => {
    const run = told(
      ["messages", { ...SAID, id: "1" }, { langgraph_node: "plan", ls_model_name: "small" }],
      ["messages", { ...SAID, id: "1", usage_metadata: usage(10, 2) }, { langgraph_node: "plan", ls_model_name: "small" }],
      ["messages|team:7", { ...SAID, id: "2", usage_metadata: usage(100, 20, 50) }, { langgraph_node: "ask", ls_model_name: "large" }],
      ["messages|team:8", { ...SAID, id: "3", usage_metadata: usage(100, 20) }, { langgraph_node: "ask", ls_model_name: "large" }],
      ["messages", { ...SAID, id: "4" }, { langgraph_node: "quiet" }],
    );
    const rows = usageOf(run);
    expect(rows.map(({ node, model, calls, usage }) => [node, model, calls, usage?.input, usage?.output, usage?.cached])).toEqual([
      ["team › ask", "large", 2, 200, 40, 50],
      ["plan", "small", 1, 10, 2, 0],
      ["quiet", "", 1, undefined, undefined, undefined],
    ]);
    expect(rows[1]?.seconds).toBe(1);
    expect(totalOf(rows)).toEqual({ calls: 4, usage: { input: 210, output: 42, cached: 50, reasoning: 3 } });
  });

  it("of a state is that of its messages", () => {
    const message = { type: "ai", content: "", usage_metadata: usage(3, 4), response_metadata: { model_name: "m" } };
    expect(usageOfState({ messages: [message, { type: "human", content: "" }, message], last: message, n: 1 })).toEqual([
      { node: "", model: "m", calls: 3, usage: { input: 9, output: 12, cached: 0, reasoning: 3 }, seconds: 0 },
    ]);
    expect(usageOfState(null)).toEqual([]);
  });
});

describe("a cost", () => {
  const prices = { currency: "USD", models: { m: { input: 2, output: 10, cached: 0.5 }, plain: { input: 2, output: 10, cached: null } } };
  const used = { input: 1_000_000, output: 100_000, cached: 400_000, reasoning: 0 };

  it("is that of a million tokens for each million", () => {
    expect(costOf(used, "m", prices)).toBeCloseTo(1.2 + 0.2 + 1);
    expect(costOf(used, "plain", prices)).toBeCloseTo(2 + 1);
  });

  it("is not guessed", () => {
    expect(costOf(used, "other", prices)).toBeNull();
    expect(costOf(used, "constructor", NO_PRICES)).toBeNull();
  });

  it("is shown with as many digits as it needs", () => {
    expect([12.345, 0.00123, 0].map((amount) => amountText(amount, "USD"))).toEqual(["12.35 USD", "0.001230 USD", "0.00 USD"]);
  });
});

describe("prices", () => {
  it("are read as they were kept, without what makes no sense", () => {
    const kept = { currency: "EUR", models: { a: { input: 1, output: 2, cached: null } } };
    expect(pricesIn(JSON.stringify(kept))).toEqual(kept);
    expect(pricesIn('{"models": {"a": {"input": "1"}, "b": {"input": -1, "output": 2}}}')).toEqual(NO_PRICES);
    for (const text of [null, "", "[]", "{", '{"models": 3}']) expect(pricesIn(text)).toEqual(NO_PRICES);
  });
});
