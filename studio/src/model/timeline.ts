/** What a run did when, as lines: its tasks, the calls of models and tools, and its supersteps. */

import { TEXTS } from "../texts";
import { took } from "../ui/time";
import type { RunView, Speech } from "./run";

export interface Row {
  id: string;
  /** The superstep that it is in, null in nested graphs and for calls. */
  step: number | null;
  kind: "task" | "model" | "tool";
  label: string;
  depth: number;
  startedAt: number;
  endedAt: number | null;
  status: string;
  /** Why it has failed; else nothing. */
  error: string | null;
  /** Tokens a second, of the call of a model. */
  rate: string | null;
}

/** Returns the lines of a run: what has failed, then the rest, each by when it began. */
export function rowsOf(run: RunView): Row[] {
  const rows: Row[] = [];
  for (const task of run.tasks.values()) {
    const { id, name, path, startedAt, endedAt, status, error, step } = task;
    rows.push({ id, step, kind: "task", label: name, depth: path.length, startedAt, endedAt, status, error, rate: null });
  }
  for (const speech of run.speeches.values()) {
    const { id, model, node, path, startedAt, lastAt } = speech;
    rows.push({ id, step: null, kind: "model", label: model || node, depth: path.length + 1, startedAt, endedAt: lastAt, status: "model", error: null, rate: rateOf(speech) });
  }
  for (const { id, name, path, startedAt, endedAt, status, output } of run.tools.values()) {
    const error = status === "failed" ? (typeof output === "string" ? output : JSON.stringify(output)) : null;
    rows.push({ id, step: null, kind: "tool", label: name, depth: path.length + 1, startedAt, endedAt, status: status === "done" ? "tool" : status, error, rate: null });
  }
  const order = (row: Row) => Number(row.status === "failed");
  return rows.sort((one, other) => order(other) - order(one) || one.startedAt - other.startedAt);
}

/** Returns how many tokens a second a model has said; pieces where it has told no tokens. */
export function rateOf({ startedAt, lastAt, usage, pieces }: Speech): string {
  const seconds = (lastAt - startedAt) / 1000;
  return seconds > 0 ? ((usage?.output || pieces) / seconds).toFixed(0) : "–";
}

/** Returns what is said beside a line. */
export function noteOf({ error, rate, startedAt, endedAt }: Row): string {
  if (error !== null) return error;
  if (rate !== null) return `${rate} ${TEXTS.perSecond}`;
  return endedAt === null ? "" : took(endedAt - startedAt);
}

export interface Step {
  /** Its place in the run, from 1. */
  number: number;
  /** How many tasks of each name it has. */
  tasks: ReadonlyMap<string, number>;
  startedAt: number;
  /** Null while it goes on. */
  endedAt: number | null;
}

/** Returns the supersteps of the outermost graph, the first one first. */
export function stepsOf(run: RunView): Step[] {
  const steps = new Map<number, Step & { tasks: Map<string, number> }>();
  for (const { step: number, name, startedAt, endedAt } of run.tasks.values()) {
    if (number === null) continue;
    let step = steps.get(number);
    if (step === undefined) {
      step = { number, tasks: new Map(), startedAt, endedAt: startedAt };
      steps.set(number, step);
    }
    step.tasks.set(name, (step.tasks.get(name) ?? 0) + 1);
    step.startedAt = Math.min(step.startedAt, startedAt);
    step.endedAt = step.endedAt === null || endedAt === null ? null : Math.max(step.endedAt, endedAt);
  }
  return [...steps.values()].sort((one, other) => one.number - other.number);
}

/** Returns what a superstep is called: its number, and what was done in it. */
export function titleOf({ number, tasks }: Step): string {
  return `${number}: ${[...tasks].map(([name, count]) => (count > 1 ? `${name} ×${count}` : name)).join(", ")}`;
}

/** How far a line is told of, from the first moment to the last one. */
export function spanOf(rows: readonly Row[], now: number): { first: number; last: number } {
  let first = Infinity;
  let last = -Infinity;
  for (const row of rows) {
    first = Math.min(first, row.startedAt);
    last = Math.max(last, row.endedAt ?? now);
  }
  return { first, last: Math.max(first + 1, last) };
}
