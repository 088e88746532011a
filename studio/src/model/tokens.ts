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

/** The calls of a model, from one node. */
export interface UsageRow {
  /** The node with the graphs around it; empty where nobody knows it. */
  node: string;
  model: string;
  calls: number;
  /** Null where the model has not told it. */
  usage: Usage | null;
  /** How long the calls have talked, each after the other. */
  seconds: number;
}

/** A call, as far as it is counted. */
interface Call {
  path: readonly string[];
  node: string;
  model: string;
  usage: Usage | null;
  startedAt: number;
  lastAt: number;
}

/** Returns what one call has used. */
export function rowOf({ path, node, model, usage, startedAt, lastAt }: Call): UsageRow {
  const whole = [...path.map((part) => part.split(":")[0]), node].join(" › ");
  return { node: whole, model, calls: 1, usage, seconds: (lastAt - startedAt) / 1000 };
}

/** Adds what calls have used to what is known of the same node and model. */
export function count(rows: Map<string, UsageRow>, row: UsageRow): void {
  const key = JSON.stringify([row.node, row.model]);
  const known = rows.get(key);
  if (known === undefined) {
    rows.set(key, row);
    return;
  }
  rows.set(key, {
    ...row,
    calls: known.calls + row.calls,
    usage: added(known.usage, row.usage),
    seconds: known.seconds + row.seconds,
  });
}
