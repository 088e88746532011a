/** Times that go on: all of them by one clock, so that hundreds of them cost what one does. */

import { useContext, useSyncExternalStore } from "react";

import { ShownTime } from "../ui/clock";

const EACH = 200;

const watching = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let now = Date.now();

function watch(changed: () => void): () => void {
  watching.add(changed);
  if (watching.size === 1) {
    now = Date.now();
    timer = setInterval(() => {
      now = Date.now();
      for (const each of watching) each();
    }, EACH);
  }
  return () => {
    watching.delete(changed);
    if (watching.size === 0) clearInterval(timer);
  };
}

/** How long something has been going on, in seconds. */
export function Elapsed({ since }: { since: number }) {
  const shown = useContext(ShownTime);
  const seconds = useSyncExternalStore(watch, () => (Math.max(0, (shown ?? now) - since) / 1000).toFixed(1));
  return <>{seconds} s</>;
}
