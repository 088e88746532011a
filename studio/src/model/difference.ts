/** What has changed from one state to the next, as paths. */

import type { Json } from "../api/types";
import { isObject } from "./run";

export interface Change {
  path: string;
  kind: "added" | "removed" | "changed";
  before: Json | undefined;
  after: Json | undefined;
}

export const MOST_CHANGES = 500;

/** Returns the innermost values that differ, at most `MOST_CHANGES` of them. */
export function differences(before: Json | undefined, after: Json | undefined): Change[] {
  const found: Change[] = [];
  compare(before, after, "", found);
  return found;
}

function compare(
  before: Json | undefined,
  after: Json | undefined,
  path: string,
  found: Change[],
): void {
  if (found.length >= MOST_CHANGES || before === after) return;
  if (before === undefined || after === undefined) {
    found.push({ path, kind: before === undefined ? "added" : "removed", before, after });
  } else if (Array.isArray(before) && Array.isArray(after)) {
    const length = Math.max(before.length, after.length);
    for (let place = 0; place < length; place++) {
      compare(before[place], after[place], `${path}[${place}]`, found);
    }
  } else if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(before[key], after[key], path === "" ? key : `${path}.${key}`, found);
    }
  } else if (!isSame(before, after)) {
    found.push({ path, kind: "changed", before, after });
  }
}

function isSame(before: Json, after: Json): boolean {
  return typeof before !== "object" && typeof after !== "object" && before === after;
}
