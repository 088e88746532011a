/** What a run did when, as lines: its tasks, the calls of models and tools, and its supersteps. */

import { supersteps } from "./drawing";
import type { RunView, Task } from "./run";

export interface Row {
  id: string;
  kind: "task" | "model" | "tool";
  label: string;
  depth: number;
  startedAt: number;
  endedAt: number | null;
  status: string;
  /** Why it has failed; else nothing. */
  error: string | null;
}

/** Returns the lines of a run: what has failed, then the rest, each by when it began. */
export function rowsOf(run: RunView): Row[] {
  const rows: Row[] = [];
  for (const task of run.tasks.values()) {
    const { id, name, path, startedAt, endedAt, status, error } = task;
    rows.push({ id, kind: "task", label: name, depth: path.length, startedAt, endedAt, status, error });
  }
  for (const { id, model, node, path, startedAt, lastAt } of run.speeches.values()) {
    rows.push({ id, kind: "model", label: model || node, depth: path.length + 1, startedAt, endedAt: lastAt, status: "model", error: null });
  }
  for (const { id, name, path, startedAt, endedAt, status, output } of run.tools.values()) {
    const error = status === "failed" ? (typeof output === "string" ? output : JSON.stringify(output)) : null;
    rows.push({ id, kind: "tool", label: name, depth: path.length + 1, startedAt, endedAt, status: status === "done" ? "tool" : status, error });
  }
  const order = (row: Row) => Number(row.status === "failed");
  return rows.sort((one, other) => order(other) - order(one) || one.startedAt - other.startedAt);
}

export interface Step {
  /** Its number in the thread where that is known, else its place in the run. */
  number: number;
  tasks: string[];
  startedAt: number;
  /** Null while it goes on. */
  endedAt: number | null;
}

/** Returns the supersteps of the outermost graph, the first one first. */
export function stepsOf(run: RunView): Step[] {
  const tasks = [...run.tasks.values()].filter((task) => task.path.length === 0);
  const numbered = tasks.every((task) => task.step !== null);
  const groups = numbered ? byNumber(tasks) : supersteps(tasks).map((group, place) => [place + 1, group] as const);
  return groups.map(([number, group]) => {
    const ends = group.map((task) => task.endedAt);
    return {
      number,
      tasks: group.map((task) => task.name),
      startedAt: Math.min(...group.map((task) => task.startedAt)),
      endedAt: ends.some((end) => end === null) ? null : Math.max(...ends.map((end) => end ?? 0)),
    };
  });
}

function byNumber(tasks: readonly Task[]): (readonly [number, Task[]])[] {
  const groups = new Map<number, Task[]>();
  for (const task of tasks) {
    const number = task.step ?? 0;
    const group = groups.get(number);
    if (group === undefined) groups.set(number, [task]);
    else group.push(task);
  }
  return [...groups].sort(([one], [other]) => one - other);
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
