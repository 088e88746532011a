/** Runs that are over, as a server has stored them: their stream, else their checkpoints. */

import { eventsOfHistory, failuresOf, type Recording } from "../model/recording";
import type { Told } from "../model/run";
import { TEXTS } from "../texts";
import type { Api } from "./client";
import { readHistory } from "./finding";
import { timeOf } from "./following";
import type { Json, Run, ThreadState } from "./types";

const MOST_STATES = 5_000;
/** Between events of which a server does not say when they were said. */
const UNKNOWN_PAUSE = 50;

/** Returns a run that is over, to be shown again. */
export async function recordingOf(api: Api, threadId: string, runId: string, signal: AbortSignal): Promise<Recording> {
  const run = await api.run(threadId, runId);
  if (run.status === "pending" || run.status === "running") throw new Error(TEXTS.stillRuns);
  const [states, drawing, told] = await Promise.all([
    statesOf(api, run),
    api.graph(run.assistant_id).catch(() => null),
    toldOf(api, run, signal),
  ]);
  const known = {
    runId,
    threadId,
    graphId: String(run.metadata.graph_id ?? ""),
    status: run.status,
    drawing,
  };
  if (told.events.length === 0) return { ...known, events: eventsOfHistory(states, run), note: TEXTS.fromCheckpoints };
  const last = told.events.at(-1)!.at;
  const failures = run.status === "error" && states[0] !== undefined ? failuresOf(states[0], last) : [];
  return { ...known, events: [...told.events, ...failures], note: told.hasTimes ? "" : TEXTS.noTimes };
}

async function toldOf(api: Api, run: Run, signal: AbortSignal): Promise<{ events: Told[]; hasTimes: boolean }> {
  const events: Told[] = [];
  let hasTimes = true;
  let at = Date.parse(run.created_at);
  for await (const some of api.stream(run.thread_id, run.run_id, "-1", signal)) {
    for (const { id, event, data } of some) {
      const time = timeOf(id);
      hasTimes &&= time !== null;
      at = time ?? at + UNKNOWN_PAUSE;
      events.push({ at, event, data: JSON.parse(data) as Json });
    }
  }
  return { events, hasTimes };
}

/** Returns the states that a run has made, the newest first, and the one that it went on from. */
async function statesOf(api: Api, run: Run): Promise<ThreadState[]> {
  const found = await readHistory(api, run.thread_id, MOST_STATES, { run_id: run.run_id });
  const states = found.filter((state) => state.metadata?.run_id === run.run_id);
  const first = states.at(-1);
  const before = first?.parent_checkpoint?.checkpoint_id;
  if (first === undefined || before === undefined || first.metadata?.source === "input") return states;
  const base = await api.state(run.thread_id, before);
  return [...states, { ...base, created_at: run.created_at }];
}
