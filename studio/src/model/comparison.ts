/** Two states side by side: their messages where they have some, else the values that differ. */

import type { Json, JsonObject } from "../api/types";
import { differences, type Change } from "./difference";
import { isMessage } from "./message";
import { object } from "./run";

export interface Conversation {
  key: string;
  /** Messages that both begin with. */
  common: JsonObject[];
  left: JsonObject[];
  right: JsonObject[];
}

export interface Comparison {
  conversations: Conversation[];
  changes: Change[];
}

/** Returns what differs between the values of two states; `before` of a change is the left one. */
export function compareValues(left: Json, right: Json): Comparison {
  const [one, other] = [object(left), object(right)];
  const conversations: Conversation[] = [];
  const rest: [JsonObject, JsonObject] = [{}, {}];
  for (const key of new Set([...Object.keys(one), ...Object.keys(other)])) {
    const [mine, theirs] = [messagesOf(one[key]), messagesOf(other[key])];
    if (mine !== null && theirs !== null && mine.length + theirs.length > 0) {
      conversations.push({ key, ...parted(mine, theirs) });
      continue;
    }
    if (key in one) rest[0][key] = one[key]!;
    if (key in other) rest[1][key] = other[key]!;
  }
  return { conversations, changes: differences(...rest) };
}

/** Returns messages, none for a key that is not there, null where something else stands. */
function messagesOf(value: Json | undefined): JsonObject[] | null {
  if (value === undefined) return [];
  return Array.isArray(value) && value.every(isMessage) ? value : null;
}

function parted(left: JsonObject[], right: JsonObject[]): Omit<Conversation, "key"> {
  let length = 0;
  while (length < Math.min(left.length, right.length) && isSame(left[length]!, right[length]!)) length++;
  return { common: left.slice(0, length), left: left.slice(length), right: right.slice(length) };
}

function isSame(one: Json, other: Json): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}
