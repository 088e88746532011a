/** How many tokens a model has taken in and given out, as its message tells it. */

import type { Json, JsonObject } from "../api/types";
import { object } from "./json";

export interface Usage {
  input: number;
  output: number;
  /** Of the input: what was read from a cache. */
  cached: number;
  /** Of the output: what was thought. */
  reasoning: number;
}

/** Returns the usage of a message or of a piece of one, null if it tells none. */
export function usageIn(message: JsonObject): Usage | null {
  const given = object(message.usage_metadata);
  if (typeof given.input_tokens !== "number" || typeof given.output_tokens !== "number") return null;
  return {
    input: given.input_tokens,
    output: given.output_tokens,
    cached: countIn(given.input_token_details, "cache_read"),
    reasoning: countIn(given.output_token_details, "reasoning"),
  };
}

function countIn(details: Json | undefined, name: string): number {
  const count = object(details)[name];
  return typeof count === "number" ? count : 0;
}

export function added(one: Usage | null, other: Usage | null): Usage | null {
  if (one === null || other === null) return one ?? other;
  return {
    input: one.input + other.input,
    output: one.output + other.output,
    cached: one.cached + other.cached,
    reasoning: one.reasoning + other.reasoning,
  };
}
