import { useSyncExternalStore } from "react";

const PREFIX = "millstream-studio-";
/** What is kept where a browser keeps nothing, as in a private window. */
const fallback = new Map<string, string>();
const listeners = new Set<() => void>();

/** Returns a text that is kept in this browser, and what changes it; null takes it away. */
export function useKept(name: string): [string | null, (text: string | null) => void] {
  const text = useSyncExternalStore(subscribe, () => kept(name));
  return [text, (changed) => keep(name, changed)];
}

export function kept(name: string): string | null {
  try {
    return window.localStorage.getItem(PREFIX + name);
  } catch {
    return fallback.get(name) ?? null;
  }
}

export function keep(name: string, text: string | null): void {
  try {
    if (text === null) window.localStorage.removeItem(PREFIX + name);
    else window.localStorage.setItem(PREFIX + name, text);
  } catch {
    if (text === null) fallback.delete(name);
    else fallback.set(name, text);
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  // Another window of the page has changed it.
  window.addEventListener("storage", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("storage", listener);
  };
}
