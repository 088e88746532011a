/** What models have taken in and given out, as their messages tell it. */

import type { Json } from "../api/types";
import { nameOf } from "./drawing";
import { isObject, object, text } from "./json";
import type { RunView } from "./run";
import { added, usageIn, type Usage } from "./tokens";

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

/** Returns what the models of a run have used, by node and model. */
export function usageOf(run: RunView): UsageRow[] {
  const rows = new Rows();
  for (const speech of run.speeches.values()) {
    const node = [...speech.path.map(nameOf), speech.node].join(" › ");
    rows.add(node, speech.model, speech.usage, (speech.lastAt - speech.startedAt) / 1000);
  }
  return rows.sorted();
}

/** Returns what the messages of a state tell of their usage, by model. */
export function usageOfState(values: Json): UsageRow[] {
  const rows = new Rows();
  for (const value of isObject(values) ? Object.values(values) : []) {
    for (const message of Array.isArray(value) ? value : [value]) {
      if (!isObject(message)) continue;
      const usage = usageIn(message);
      if (usage === null) continue;
      const about = object(message.response_metadata);
      rows.add("", text(about.model_name ?? about.model), usage, 0);
    }
  }
  return rows.sorted();
}

/** Returns rows as one. */
export function totalOf(rows: readonly UsageRow[]): Pick<UsageRow, "calls" | "usage"> {
  return {
    calls: rows.reduce((sum, row) => sum + row.calls, 0),
    usage: rows.reduce<Usage | null>((sum, row) => added(sum, row.usage), null),
  };
}

class Rows {
  #rows = new Map<string, UsageRow>();

  add(node: string, model: string, usage: Usage | null, seconds: number): void {
    const key = JSON.stringify([node, model]);
    const known = this.#rows.get(key) ?? { node, model, calls: 0, usage: null, seconds: 0 };
    this.#rows.set(key, {
      ...known,
      calls: known.calls + 1,
      usage: added(known.usage, usage),
      seconds: known.seconds + seconds,
    });
  }

  /** The one that has used most comes first. */
  sorted(): UsageRow[] {
    const sizeOf = ({ usage }: UsageRow) => (usage === null ? -1 : usage.input + usage.output);
    return [...this.#rows.values()].sort((one, other) => sizeOf(other) - sizeOf(one));
  }
}
