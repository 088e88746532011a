/** Keys that act everywhere in the page. */

import { useEffect } from "react";

import { TEXTS } from "../texts";
import { above, go, parseRoute } from "./route";
import { kept } from "./useKept";

/** Pages by the letters that lead to them. */
export const PAGE_KEYS: Readonly<Record<string, string>> = {
  t: "threads",
  i: "inbox",
  a: "assistants",
  c: "crons",
  s: "store",
  v: "server",
};

/** The keys there are, and what each does: also those of lists and of the graph. */
export function keySheet(): (readonly [keys: string, does: string])[] {
  const texts = TEXTS.keyTexts;
  const pages = Object.entries(PAGE_KEYS).map(([key, page]) => [key, TEXTS[page as "threads"]] as const);
  return [
    ["?", texts.sheet],
    ["/", texts.find],
    ...pages,
    ["1 2 3 …", texts.panels],
    ["r", texts.input],
    ["Esc", texts.up],
    ["↑ ↓ Home End", texts.list],
    ["← ↑ → ↓", texts.graph],
    ["Enter", texts.open],
    ["b", texts.breakpoint],
  ];
}

export interface Pressed {
  key: string;
  /** Whether a text is being written. */
  isTyping: boolean;
  /** Whether another key makes it something else. */
  isModified: boolean;
  /** Whether letters act by themselves. */
  isSingle: boolean;
}

export type KeyAction =
  | { kind: "sheet" | "find" | "input" | "up" | "leave" }
  | { kind: "page"; page: string }
  | { kind: "panel"; place: number };

/** Returns what a key does, null if it does nothing here. */
export function actionOf({ key, isTyping, isModified, isSingle }: Pressed): KeyAction | null {
  if (isModified) return null;
  if (key === "Escape") return { kind: isTyping ? "leave" : "up" };
  if (isTyping || !isSingle) return null;
  if (key === "?") return { kind: "sheet" };
  if (key === "/") return { kind: "find" };
  if (key === "r") return { kind: "input" };
  if (/^[1-9]$/.test(key)) return { kind: "panel", place: Number(key) - 1 };
  const page = Object.hasOwn(PAGE_KEYS, key) ? PAGE_KEYS[key] : undefined;
  return page === undefined ? null : { kind: "page", page };
}

const FIELDS = "input:not([type=checkbox]), textarea, select, [contenteditable=true]";

/** Listens to keys while a page is shown; `onSheet` shows which there are. */
export function useKeys(onSheet: () => void): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target instanceof HTMLElement ? event.target : document.body;
      // A dialog has keys of its own.
      if (event.defaultPrevented || target.closest("dialog") !== null) return;
      const action = actionOf({
        key: event.key,
        isTyping: target.matches(FIELDS),
        isModified: event.ctrlKey || event.metaKey || event.altKey,
        isSingle: kept("keys") !== "off",
      });
      if (action !== null && carryOut(action, target, onSheet)) event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [onSheet]);
}

/** Says whether there was something to do. */
function carryOut(action: KeyAction, target: HTMLElement, onSheet: () => void): boolean {
  switch (action.kind) {
    case "sheet":
      onSheet();
      return true;
    case "leave":
      target.blur();
      return true;
    case "up": {
      // Where one is by now: what is drawn may be the place of before, when keys follow quickly.
      const place = above(parseRoute(window.location.hash));
      if (place !== null) go(place);
      return place !== null;
    }
    case "find":
      return focused("input[type=search]");
    case "input":
      return focused("footer textarea, footer input, footer select");
    case "page":
      return followed(`[data-pages] a[href="#/${action.page}"]`);
    case "panel":
      return followed(`[data-panels] a:nth-of-type(${action.place + 1})`);
  }
}

function focused(selector: string): boolean {
  const found = document.querySelector<HTMLElement>(selector);
  found?.focus();
  return found !== null;
}

/** Follows a link as a click does, and stays at it. */
function followed(selector: string): boolean {
  const found = document.querySelector<HTMLElement>(selector);
  found?.focus();
  found?.click();
  return found !== null;
}
