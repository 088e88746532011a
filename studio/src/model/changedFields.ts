/** Which fields of an object are others than before. */

import type { Json } from "../api/types";

/** Returns the fields whose values have changed, and those that there were none of. */
export function changedFields<T extends object>(before: { [key: string]: Json }, after: T): Partial<T> {
  const changed = Object.entries(after).filter(
    ([key, value]) => JSON.stringify(before[key]) !== JSON.stringify(value),
  );
  return Object.fromEntries(changed) as Partial<T>;
}
