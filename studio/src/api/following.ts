/** Following the newest run of a thread: what it has said from its beginning, and what it says. */

import { begun, ended, isRead, reduceAll, type RunView, type Told } from "../model/run";
import type { Api } from "./client";
import { atNextFrame } from "./frames";
import type { StreamEvent } from "./sse";
import type { Json, Run } from "./types";

export interface Followed {
  run: Run | null;
  view: RunView | null;
  /** Why nothing comes at the moment, null while all is well. */
  trouble: string | null;
}

const IDLE_LOOK = 2_000;
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5_000;
/** How many events wait for the next frame at most. */
const MOST_WAITING = 5_000;
const UNDER_WAY = new Set(["pending", "running"]);

/**
 * Follows a thread until it is stopped. A stream that breaks is read on from its last event, so
 * that a server which was restarted is noticed by nothing but a pause.
 */
export class Follower {
  #api: Api;
  #threadId: string;
  #listeners = new Set<() => void>();
  #stop = new AbortController();
  #known: Followed = { run: null, view: null, trouble: null };
  #look: (() => void) | null = null;

  constructor(api: Api, threadId: string) {
    this.#api = api;
    this.#threadId = threadId;
  }

  start(): void {
    void this.#follow();
  }

  stop(): void {
    this.#stop.abort();
    this.#look?.();
  }

  /** Looks for a newer run now: somebody has begun one. */
  wake(): void {
    this.#look?.();
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  known = (): Followed => this.#known;

  #say(part: Partial<Followed>): void {
    this.#known = { ...this.#known, ...part };
    for (const listener of this.#listeners) listener();
  }

  async #follow(): Promise<void> {
    let pause = FIRST_PAUSE;
    while (!this.#stop.signal.aborted) {
      try {
        const run = await this.#newest();
        pause = FIRST_PAUSE;
        if (this.#known.trouble !== null) this.#say({ trouble: null });
        if (run !== null && run.run_id !== this.#known.view?.runId) {
          await this.#read(run);
        } else {
          if (run !== null && run.status !== this.#known.run?.status) this.#say({ run });
          await this.#wait(IDLE_LOOK);
        }
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#say({ trouble: error instanceof Error ? error.message : String(error) });
        await this.#wait(pause);
        pause = Math.min(2 * pause, LONGEST_PAUSE);
      }
    }
  }

  async #newest(): Promise<Run | null> {
    const runs = await this.#api.runs(this.#threadId, 10);
    // The one that goes on, before those that wait for it.
    return runs.find((run) => run.status === "running") ?? runs[0] ?? null;
  }

  async #read(run: Run): Promise<void> {
    let view = begun(run.run_id);
    let last = "-1";
    let now = run;
    this.#say({ run, view });
    let waiting: Told[] = [];
    let isAsked = false;
    // More than one picture for each frame would be drawn for nobody.
    const take = () => {
      isAsked = false;
      if (waiting.length === 0 || this.#stop.signal.aborted) return;
      view = reduceAll(view, waiting);
      waiting = [];
      this.#say({ view });
    };
    for (let pause = FIRST_PAUSE; !this.#stop.signal.aborted; ) {
      try {
        const stream = this.#api.stream(this.#threadId, run.run_id, last, this.#stop.signal);
        for await (const events of stream) {
          pause = FIRST_PAUSE;
          last = lastId(events) ?? last;
          if (this.#known.trouble !== null) this.#say({ trouble: null });
          const now = Date.now();
          for (const { id, event, data } of events) {
            if (isRead(event)) waiting.push({ event, data: parsed(data), at: timeOf(id) ?? now });
          }
          if (waiting.length > MOST_WAITING) take();
          else if (!isAsked) {
            isAsked = true;
            atNextFrame(take);
          }
        }
        take();
        now = await this.#current(run);
        // One that is under way was cut off: it is read on.
        if (!UNDER_WAY.has(now.status)) break;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#say({ trouble: error instanceof Error ? error.message : String(error) });
      }
      await this.#wait(pause);
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
    take();
    this.#say({ run: now, view: ended(view, Date.now(), await this.#errors(now)), trouble: null });
  }

  /** Returns which tasks of a run have failed, and how: its last state says so. */
  async #errors(run: Run): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    if (run.status !== "error") return found;
    const { tasks } = await this.#api.state(this.#threadId);
    for (const { id, error } of tasks) if (error !== null) found.set(id, error);
    return found;
  }

  async #current(run: Run): Promise<Run> {
    const runs = await this.#api.runs(this.#threadId, 100);
    return runs.find((each) => each.run_id === run.run_id) ?? { ...run, status: "success" };
  }

  #wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#look = null;
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#look = done;
      if (this.#stop.signal.aborted) done();
    });
  }
}

function lastId(events: StreamEvent[]): string | undefined {
  return events.findLast((event) => event.id !== "")?.id;
}

/**
 * Returns when an event was said, as its id has it: what is read again later was not said later.
 * Null where the ids of a server tell no time.
 */
export function timeOf(id: string): number | null {
  const found = /^(\d{13})-\d+$/.exec(id);
  return found === null ? null : Number(found[1]);
}

function parsed(data: string): Json {
  try {
    return JSON.parse(data) as Json;
  } catch {
    return data;
  }
}
