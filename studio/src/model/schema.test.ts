import { describe, expect, it } from "vitest";

import type { Json, JsonObject } from "../api/types";
import { check, checkState } from "./schema";

const STATE: JsonObject = {
  type: "object",
  required: ["messages", "upto"],
  properties: {
    upto: { type: "integer", minimum: 0 },
    colour: { anyOf: [{ enum: ["red", "blue"] }, { type: "null" }] },
    seen: { type: "array", items: { type: "number" }, maxItems: 2 },
    messages: {
      type: "array",
      items: { oneOf: [{ $ref: "#/$defs/Said" }, { $ref: "#/$defs/Tool" }] },
    },
    tree: { $ref: "#/$defs/Tree" },
  },
  $defs: {
    Said: { type: "object", required: ["content"], properties: { type: { const: "ai" }, content: { anyOf: [{ type: "string" }, { type: "array" }] } } },
    Tool: { type: "object", required: ["tool_call_id"], properties: { type: { const: "tool" }, tool_call_id: { type: "string" } } },
    Tree: { type: "object", properties: { inner: { $ref: "#/$defs/Tree" } }, additionalProperties: false },
    Loop: { anyOf: [{ $ref: "#/$defs/Loop" }] },
  },
};

const found = (values: Json) => checkState(values, STATE).map(({ path, message }) => `${path} ${message}`);

describe("a schema", () => {
  it("says nothing of what fits, nor of keys that nobody has written yet", () => {
    expect(found({ upto: 2, colour: null, seen: [1, 2.5], messages: [{ type: "ai", content: [] }], tree: { inner: {} } })).toEqual([]);
    expect(found({})).toEqual([]);
  });

  it("says where something has another type, is too large, or nobody knows it", () => {
    expect(found({ upto: "2", seen: [1, "x", 3], colours: 1 })).toEqual([
      "upto has to be integer, and is string",
      "seen has to have at most 2 items",
      "seen[1] has to be number, and is string",
      "colours is no key of the graph's state",
    ]);
    expect(found({ upto: -1, tree: { inner: { x: 1 } } })).toEqual(["upto has to be at least 0", "tree.inner.x must not be there"]);
    expect(found([])).toEqual([" has to be an object"]);
  });

  it("tells what is lacking by what an object calls itself", () => {
    expect(found({ messages: [{ type: "tool" }, { type: "ai", content: 3 }] })).toEqual([
      "messages[0].tool_call_id is missing",
      "messages[1].content has to be string or array, and is number",
    ]);
    expect(found({ messages: [{ type: "other" }] })).toEqual(["messages[0] is none of the 2 things that it may be"]);
  });

  it("ends, also where it is within itself", () => {
    expect(check({}, { $ref: "#/a", a: { $ref: "#/a" } })).toEqual([]);
    expect(check({}, { ...STATE, properties: {}, required: [], anyOf: [{ $ref: "#/$defs/Loop" }] }).length).toBeLessThan(2);
  });

  it("does not take names of JavaScript for properties", () => {
    expect(check({ constructor: 1, toString: 2 }, { type: "object", properties: {} })).toEqual([]);
  });
});
