/** What is read page by page: threads, in which a server looks for no words, and histories. */

import { hasWords, type Wanted } from "../model/search";
import type { Api } from "./client";
import type { JsonObject, Thread, ThreadState } from "./types";

export interface Found {
  threads: Thread[];
  /** How many threads were looked through. */
  seen: number;
  isAll: boolean;
}

const PAGE = 100;
/** How many states are asked for at a time; a server gives no more than a thousand. */
const STATES = 500;
/** What a list shows; states may be large, and are asked for only to look for words in them. */
const SHOWN = ["thread_id", "status", "created_at", "updated_at", "metadata"];
const SEARCHED = [...SHOWN, "values", "interrupts", "error"];

/** Returns which of the newest `upto` threads are wanted. */
export async function findThreads(api: Api, wanted: Wanted, status: string, upto: number): Promise<Found> {
  // Some may come twice: the list goes on while it is read.
  const threads = new Map<string, Thread>();
  for (let offset = 0; offset < upto; offset += PAGE) {
    const page = await api.threads({
      limit: PAGE,
      offset,
      metadata: wanted.metadata,
      select: wanted.words.length > 0 ? SEARCHED : SHOWN,
      ...(status === "" ? {} : { status }),
      ...(wanted.ids.length > 0 ? { ids: wanted.ids } : {}),
    });
    for (const thread of page) if (hasWords(thread, wanted.words)) threads.set(thread.thread_id, thread);
    if (page.length < PAGE) return { threads: [...threads.values()], seen: offset + page.length, isAll: true };
  }
  return { threads: [...threads.values()], seen: upto, isAll: false };
}

/** Returns the newest `upto` states of a thread, those that have such metadata. */
export async function readHistory(api: Api, threadId: string, upto: number, metadata: JsonObject = {}): Promise<ThreadState[]> {
  const states: ThreadState[] = [];
  while (states.length < upto) {
    const limit = Math.min(STATES, upto - states.length);
    const page = await api.history(threadId, limit, metadata, states.at(-1)?.checkpoint ?? undefined);
    states.push(...page);
    if (page.length < limit) break;
  }
  return states;
}
