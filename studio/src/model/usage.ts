/** What models have taken in and given out, in a run and in a state. */

import type { Json } from "../api/types";
import { isObject, object, text } from "./json";
import type { RunView } from "./run";
import { added, count, rowOf, usageIn, type Usage, type UsageRow } from "./tokens";

/** Returns what the models of a run have used, by node and model. */
export function usageOf(run: RunView): UsageRow[] {
  const rows = new Map(run.spent);
  for (const speech of run.speeches.values()) count(rows, rowOf(speech));
  return sorted(rows);
}

/** Returns what the messages of a state tell of their usage, by model. */
export function usageOfState(values: Json): UsageRow[] {
  const rows = new Map<string, UsageRow>();
  for (const value of isObject(values) ? Object.values(values) : []) {
    for (const message of Array.isArray(value) ? value : [value]) {
      const usage = isObject(message) ? usageIn(message) : null;
      if (usage === null) continue;
      const about = object(object(message).response_metadata);
      count(rows, { node: "", model: text(about.model_name ?? about.model), calls: 1, usage, seconds: 0 });
    }
  }
  return sorted(rows);
}

/** Returns what rows are together. */
export function totalOf(rows: readonly UsageRow[]): Pick<UsageRow, "calls" | "usage"> {
  return {
    calls: rows.reduce((sum, row) => sum + row.calls, 0),
    usage: rows.reduce<Usage | null>((sum, row) => added(sum, row.usage), null),
  };
}

/** The one that has used most comes first. */
function sorted(rows: ReadonlyMap<string, UsageRow>): UsageRow[] {
  const sizeOf = ({ usage }: UsageRow) => (usage === null ? -1 : usage.input + usage.output);
  return [...rows.values()].sort((one, other) => sizeOf(other) - sizeOf(one));
}
