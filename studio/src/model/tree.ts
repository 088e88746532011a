/** The history of a thread as the tree that it is: forks make branches of it. */

import type { ThreadState } from "../api/types";

/** A line between the row above and a row, from one lane to another. */
export interface Line {
  from: number;
  to: number;
}

export interface TreeRow {
  lane: number;
  /** How the lanes come down to this row from the one above it. */
  lines: Line[];
}

/** Returns where states are drawn, given the newest first: each branch has a lane of its own. */
export function rowsOf(states: readonly ThreadState[]): TreeRow[] {
  // The checkpoint that each lane leads down to; null where it leads to none.
  const lanes: (string | null)[] = [];
  return states.map((state) => {
    const id = idOf(state);
    const led = lanes.indexOf(id);
    const lane = led >= 0 ? led : firstFree(lanes);
    const lines = lanes.flatMap((next, from) =>
      next === null ? [] : [{ from, to: next === id ? lane : from }],
    );
    for (const [place, next] of lanes.entries()) if (next === id) lanes[place] = null;
    lanes[lane] = state.parent_checkpoint?.checkpoint_id ?? null;
    return { lane, lines };
  });
}

export function idOf(state: ThreadState): string {
  return state.checkpoint?.checkpoint_id ?? "";
}

/** Returns where branches end: the states that nothing has come after, the newest first. */
export function tipsOf(states: readonly ThreadState[]): ThreadState[] {
  const parents = new Set(states.map((state) => state.parent_checkpoint?.checkpoint_id));
  return states.filter((state) => !parents.has(idOf(state)));
}

/** Returns a state and what it has come from, the newest first, as far as `states` go back. */
export function lineTo(states: readonly ThreadState[], id: string): ThreadState[] {
  const byId = new Map(states.map((state) => [idOf(state), state]));
  const line: ThreadState[] = [];
  for (let state = byId.get(id); state !== undefined && line.length <= states.length; ) {
    line.push(state);
    state = byId.get(state.parent_checkpoint?.checkpoint_id ?? "");
  }
  return line;
}

export interface Parting {
  /** The newest state that both have come from; null if it is not among those given. */
  from: ThreadState | null;
  /** What each side has gone through since, the oldest first. */
  left: ThreadState[];
  right: ThreadState[];
}

/** Returns where two states part. */
export function partingOf(states: readonly ThreadState[], left: string, right: string): Parting {
  const leftLine = lineTo(states, left);
  const rightLine = lineTo(states, right);
  const known = new Set(rightLine);
  const from = leftLine.find((state) => known.has(state)) ?? null;
  const since = (line: ThreadState[]) => (from === null ? line : line.slice(0, line.indexOf(from))).reverse();
  return { from, left: since(leftLine), right: since(rightLine) };
}

function firstFree(lanes: (string | null)[]): number {
  const free = lanes.indexOf(null);
  return free >= 0 ? free : lanes.length;
}
