/** A run that is over, as it can be shown again: what it has said, and when. */

import type { DrawnGraph, Json, JsonObject, Run, ThreadState } from "../api/types";
import { isMessage } from "./message";
import { begun, ended, isObject, object, reduceAll, type RunView, type Told } from "./run";

export interface Recording {
  runId: string;
  threadId: string;
  graphId: string;
  status: string;
  events: readonly Told[];
  drawing: DrawnGraph | null;
  /** What is not as it was; empty if nothing is. */
  note: string;
}

/** How far apart views are kept, to which it is gone back, and how many at most: each may have thousands of tasks. */
const APART = 500;
const MOST_KEPT = 64;
/** As fast as can be: so many frames for the whole. */
const FRAMES = 60;

/** Gives what is known of a run at any moment of it. */
export class Player {
  readonly first: number;
  readonly duration: number;
  #events: readonly Told[];
  #status: string;
  readonly #apart: number;
  /** Views after each `apart` events, as far as it was looked at. */
  #kept: RunView[];
  #newest: { count: number; view: RunView };

  constructor({ runId, status, events }: Recording) {
    this.#status = status;
    this.#events = [...events].sort((one, other) => one.at - other.at);
    this.#apart = Math.max(APART, Math.ceil(events.length / MOST_KEPT));
    this.first = this.#events[0]?.at ?? 0;
    this.duration = (this.#events.at(-1)?.at ?? 0) - this.first;
    this.#kept = [begun(runId)];
    this.#newest = { count: 0, view: this.#kept[0]! };
  }

  get count(): number {
    return this.#events.length;
  }

  /** Returns how many events were said up to a moment, in milliseconds after the first. */
  countAt(time: number): number {
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#events[middle]!.at - this.first <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  viewAt(time: number): RunView {
    const view = this.#viewAfter(this.countAt(time));
    if (time < this.duration) return view;
    return ended(view, this.first + this.duration, this.#status === "error" ? failedIn(view) : undefined);
  }

  /** Returns the moment that one has come to after some milliseconds, at a speed. */
  after(time: number, milliseconds: number, speed: number): number {
    if (Number.isFinite(speed)) return Math.min(this.duration, time + milliseconds * speed);
    const next = this.countAt(time) + Math.max(1, Math.ceil(this.count / FRAMES)) - 1;
    return next >= this.count ? this.duration : Math.max(time, this.#events[next]!.at - this.first);
  }

  #viewAfter(count: number): RunView {
    const place = Math.min(Math.floor(count / this.#apart), this.#kept.length - 1);
    const isNear = this.#newest.count <= count && this.#newest.count >= place * this.#apart;
    let { count: done, view } = isNear ? this.#newest : { count: place * this.#apart, view: this.#kept[place]! };
    while (done < count) {
      const next = Math.min(count, (Math.floor(done / this.#apart) + 1) * this.#apart);
      view = reduceAll(view, this.#events.slice(done, next));
      done = next;
      if (done === this.#kept.length * this.#apart) this.#kept.push(view);
    }
    this.#newest = { count, view };
    return view;
  }
}

/**
 * Returns what a run has said as far as its checkpoints tell, given the newest first: tasks and
 * states of the outermost graph. For a run whose stream is no more.
 */
export function eventsOfHistory(states: readonly ThreadState[], run: Pick<Run, "updated_at">): Told[] {
  const events: Told[] = [];
  const end = Date.parse(run.updated_at);
  for (const state of [...states].reverse()) {
    const at = momentOf(state, end);
    const after = states.find((each) => each.parent_checkpoint?.checkpoint_id === state.checkpoint?.checkpoint_id);
    events.push({ at, event: "values", data: state.values });
    for (const task of state.tasks) {
      const hasRun = after !== undefined || task.error !== null || task.interrupts.length > 0 || isObject(task.result);
      if (task.name === "__start__" || !hasRun) continue;
      const over = after === undefined ? end : momentOf(after, end);
      const { id, name, error, result = null } = task;
      const interrupts = task.interrupts as unknown as Json;
      events.push({ at, event: "tasks", data: { id, name, input: state.values, triggers: [] } });
      for (const message of messagesOf(result)) {
        events.push({ at: over, event: "messages", data: [message, { langgraph_node: name }] });
      }
      events.push({ at: over, event: "tasks", data: { id, name, error, result, interrupts } });
    }
  }
  return events;
}

/** Returns what a stream does not tell: which tasks have failed. */
export function failuresOf(state: ThreadState, at: number): Told[] {
  return state.tasks
    .filter((task) => task.error !== null)
    .map(({ id, name, error }) => ({ at, event: "tasks", data: { id, name, error, result: null, interrupts: [] } }));
}

/**
 * Returns which tasks have failed of a run that has: a stream does not say so. It was what was
 * under way in the end, if that was one task alone, and the tasks around it.
 */
function failedIn(view: RunView): ReadonlyMap<string, string> {
  const running = [...view.tasks.values()].filter((task) => task.status === "running");
  const deepest = running.toSorted((one, other) => other.path.length - one.path.length)[0];
  const around = new Set(deepest?.path.map((part) => part.split(":").at(-1)));
  const message = view.error === null ? "" : `${view.error.error}: ${view.error.message}`;
  const isAlone = running.every((task) => task === deepest || around.has(task.id));
  return new Map(isAlone ? running.map((task) => [task.id, message]) : []);
}

function momentOf(state: ThreadState, otherwise: number): number {
  return state.created_at === null ? otherwise : Date.parse(state.created_at);
}

function messagesOf(result: Json): JsonObject[] {
  return Object.values(object(result)).flatMap((value) => (Array.isArray(value) ? value : [value])).filter(isMessage);
}
