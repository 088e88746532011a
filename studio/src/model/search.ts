/** What is looked for among threads: what the server can find, and words that the page looks for. */

import type { Json, JsonObject, Thread } from "../api/types";

export interface Wanted {
  /** Whole ids. */
  ids: string[];
  /** What the metadata have to have. */
  metadata: JsonObject;
  /** In lower case: the beginning of an id, or anything that a thread says. */
  words: string[];
}

const PART = /(?:[^\s"]|"(?:[^"\\]|\\.)*"?)+/g;
const PAIR = /^([\w.-]+):(?!\/\/)(.+)$/s;
const ID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;
const AROUND = 30;

/** Returns what a text asks for: ids, `key:value` of metadata, words. */
export function parseSearch(text: string): Wanted {
  const wanted: Wanted = { ids: [], metadata: {}, words: [] };
  for (const [part] of text.matchAll(PART)) {
    const pair = PAIR.exec(part);
    const word = unquoted(part).toLowerCase();
    if (ID.test(word)) wanted.ids.push(word);
    else if (pair !== null) wanted.metadata[pair[1]!] = valueOf(pair[2]!);
    else if (word !== "") wanted.words.push(word);
  }
  return wanted;
}

/** Returns what a value of metadata means: `3` and `true` are no texts, `"3"` is one. */
function valueOf(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return unquoted(text);
  }
}

function unquoted(text: string): string {
  return text.replace(/^"|"$/g, "");
}

/** Says whether a thread has every word, as its id or anywhere in what it says. */
export function hasWords(thread: Thread, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const said = textOf(thread).toLowerCase();
  return words.every((word) => thread.thread_id.includes(word) || said.includes(word));
}

/** Returns what stands around the first of the words that a thread says, "" if it says none. */
export function excerptOf(thread: Thread, words: readonly string[]): string {
  const said = textOf(thread);
  const lower = said.toLowerCase();
  for (const word of words) {
    const place = lower.indexOf(word);
    if (place < 0) continue;
    const first = Math.max(0, place - AROUND);
    const last = place + word.length + AROUND;
    return `${first > 0 ? "…" : ""}${said.slice(first, last)}${last < said.length ? "…" : ""}`;
  }
  return "";
}

function textOf({ values, metadata, error, interrupts }: Thread): string {
  return JSON.stringify([values, error, interrupts, metadata]);
}
