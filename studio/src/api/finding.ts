/** Finding threads: page by page, because a server looks for no words in what threads say. */

import { hasWords, type Wanted } from "../model/search";
import type { Api } from "./client";
import type { Thread } from "./types";

export interface Found {
  threads: Thread[];
  /** How many threads were looked through. */
  seen: number;
  isAll: boolean;
}

const PAGE = 100;
/** What a list shows; states may be large, and are asked for only to look for words in them. */
const SHOWN = ["thread_id", "status", "created_at", "updated_at", "metadata"];
const SEARCHED = [...SHOWN, "values", "interrupts", "error"];

/** Returns which of the newest `upto` threads are wanted. */
export async function findThreads(api: Api, wanted: Wanted, status: string, upto: number): Promise<Found> {
  const threads: Thread[] = [];
  for (let offset = 0; offset < upto; offset += PAGE) {
    const page = await api.threads({
      limit: PAGE,
      offset,
      metadata: wanted.metadata,
      select: wanted.words.length > 0 ? SEARCHED : SHOWN,
      ...(status === "" ? {} : { status }),
      ...(wanted.ids.length > 0 ? { ids: wanted.ids } : {}),
    });
    threads.push(...page.filter((thread) => hasWords(thread, wanted.words)));
    if (page.length < PAGE) return { threads, seen: offset + page.length, isAll: true };
  }
  return { threads, seen: upto, isAll: false };
}
