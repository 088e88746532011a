/**
 * How an edited state is written by an API that knows updates alone: what nodes write.
 *
 * A key may have a reducer, which adds to what is there; which ones have, the API does not say. So
 * a value can be written in several forms, and what has become of it is looked at. A key is taken
 * out by writing to a checkpoint from before it was there.
 */

import type { Checkpoint, Json, JsonObject, ThreadState } from "../api/types";
import { isMessage } from "./message";
import { isObject, object } from "./run";
import { lineTo, idOf } from "./tree";

/** As it is; in place of what is there; after all messages were removed. */
export type Form = "plain" | "replacement" | "conversation";

export interface Edit {
  /** What is written to. */
  base: Checkpoint;
  /** In whose name; the server finds out by itself if it is undefined. */
  asNode: string | undefined;
  /** What the keys have to be afterwards that are written. */
  values: JsonObject;
  /** In which forms each of them is tried. */
  forms: Record<string, Form[]>;
}

export class EditError extends Error {
  override name = "EditError";
}

/** Returns what makes `wanted` of a state, null if nothing is to be done; `states` are its history. */
export function planEdit(states: readonly ThreadState[], shown: ThreadState, wanted: Json): Edit | null {
  if (!isObject(shown.values) || !isObject(wanted)) throw new EditError("A state has to be an object.");
  const before = shown.values;
  const taken = Object.keys(before).filter((key) => !(key in wanted));
  if (taken.length === 0 && changed(before, wanted).length === 0) return null;
  const { base, asNode } = taken.length === 0 ? { base: shown, asNode: undefined } : baseWithout(taken, states, shown);
  const old = object(base.values);
  const keys = changed(old, wanted);
  return {
    base: base.checkpoint!,
    asNode,
    values: Object.fromEntries(keys.map((key) => [key, wanted[key]!])),
    forms: Object.fromEntries(keys.map((key) => [key, formsOf(old[key], wanted[key]!, isReduced(states, key))])),
  };
}

/** Returns a value in one of its forms. */
export function written(value: Json, form: Form): Json {
  switch (form) {
    case "plain":
      return value;
    case "replacement":
      return { __overwrite__: value };
    case "conversation":
      return [{ type: "remove", id: "__remove_all__", content: "" }, ...(value as Json[])];
  }
}

/** Says whether a value has become what was wanted; a server may add what is usual. */
export function isAsWanted(wanted: Json, found: Json | undefined): boolean {
  if (Array.isArray(wanted)) {
    return Array.isArray(found) && found.length === wanted.length && wanted.every((each, place) => isAsWanted(each, found[place]));
  }
  if (isMessage(wanted)) return isObject(found) && Object.keys(wanted).every((key) => isAsWanted(wanted[key]!, found[key]));
  if (isObject(wanted)) {
    return isObject(found) && Object.keys(found).length === Object.keys(wanted).length && Object.keys(wanted).every((key) => isAsWanted(wanted[key]!, found[key]));
  }
  return wanted === found;
}

function changed(before: JsonObject, wanted: JsonObject): string[] {
  return Object.keys(wanted).filter((key) => JSON.stringify(before[key]) !== JSON.stringify(wanted[key]));
}

function formsOf(before: Json | undefined, wanted: Json, isReduced: boolean | null): Form[] {
  if (Array.isArray(wanted) && wanted.length + (Array.isArray(before) ? before.length : 0) > 0 && wanted.every(isMessage)) {
    return isContinued(before, wanted) ? ["plain", "conversation", "replacement"] : ["conversation", "replacement", "plain"];
  }
  return isReduced === true ? ["replacement", "plain"] : ["plain", "replacement"];
}

/** Says whether messages are those before, each as it was or other than it was, and more. */
function isContinued(before: Json | undefined, wanted: Json[]): boolean {
  if (before === undefined) return true;
  if (!Array.isArray(before)) return false;
  return before.every((each, place) => object(each).id !== undefined && object(each).id === object(wanted[place] ?? null).id);
}

/** Says whether a key has a reducer, as far as its history tells: what nodes wrote, what it became. */
function isReduced(states: readonly ThreadState[], key: string): boolean | null {
  let found: boolean | null = null;
  for (const after of states) {
    const before = states.find((each) => idOf(each) === after.parent_checkpoint?.checkpoint_id);
    const old = object(before?.values ?? null)[key];
    const now = object(after.values)[key];
    for (const task of before?.tasks ?? []) {
      const wrote = object(task.result ?? null)[key];
      if (wrote === undefined || old === undefined || now === undefined) continue;
      if (JSON.stringify(wrote) !== JSON.stringify(now)) return true;
      found = false;
    }
  }
  return found;
}

/** Returns the newest checkpoint before a state that does not have some keys, and who writes to it. */
function baseWithout(taken: string[], states: readonly ThreadState[], shown: ThreadState): { base: ThreadState; asNode: string } {
  const line = lineTo(states, idOf(shown));
  const base = line.find((state) => taken.every((key) => !(key in object(state.values))));
  const names = taken.join(", ");
  if (base === undefined) {
    throw new EditError(`${names} cannot be taken out: no checkpoint before this one is without it, as far as the history was read.`);
  }
  const parent = line[1];
  const ran = [...new Set(parent?.tasks.map((task) => task.name))];
  if (ran.length !== 1) {
    throw new EditError(`${names} cannot be taken out of this checkpoint: ${ran.length} nodes have led to it, and a state is written in the name of one.`);
  }
  return { base, asNode: ran[0]! };
}
