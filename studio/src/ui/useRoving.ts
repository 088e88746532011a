import { useEffect, type RefObject } from "react";

/** What can be gone to in a list. */
const ITEMS = "a[href], button:not([disabled]), [data-item]";

/**
 * Makes a list one stop of the Tab key, in which arrows, Home and End go from entry to entry, and to
 * the right to the buttons of one. The stop is where one has been, else at the entry that is shown.
 */
export function useRoving(list: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const element = list.current;
    if (element === null) return;
    mark(element, null);
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const to = itemAfter(event.key, rowsIn(element));
      if (to === null) return;
      event.preventDefault();
      to.focus();
    };
    const onFocus = (event: FocusEvent) => mark(element, event.target as HTMLElement);
    element.addEventListener("keydown", onKey);
    element.addEventListener("focusin", onFocus);
    // Items come and go; one of them is always the stop.
    const watch = new MutationObserver(() => mark(element, null));
    watch.observe(element, { childList: true, subtree: true, attributes: true, attributeFilter: ["aria-current"] });
    return () => {
      element.removeEventListener("keydown", onKey);
      element.removeEventListener("focusin", onFocus);
      watch.disconnect();
    };
  });
}

/** Returns where a key goes in a list, null for a key that goes nowhere. */
export function placeAfter(key: string, place: number, length: number): number | null {
  if (length === 0) return null;
  switch (key) {
    case "ArrowDown":
      return Math.min(place + 1, length - 1);
    case "ArrowUp":
      return Math.max(place - 1, 0);
    case "Home":
      return 0;
    case "End":
      return length - 1;
    default:
      return null;
  }
}

function itemAfter(key: string, rows: readonly HTMLElement[][]): HTMLElement | null {
  const place = rows.findIndex((row) => row.some((item) => item === document.activeElement));
  const row = rows[place] ?? [];
  const within = row.findIndex((item) => item === document.activeElement);
  if (key === "ArrowRight") return row[within + 1] ?? null;
  if (key === "ArrowLeft") return row[within - 1] ?? null;
  const to = placeAfter(key, place, rows.length);
  return to === null ? null : (rows[to]?.[0] ?? null);
}

/** Returns what can be gone to, by the entries of the list: an entry may have buttons of its own. */
function rowsIn(element: HTMLElement): HTMLElement[][] {
  const rows = new Map<Element, HTMLElement[]>();
  for (const item of itemsIn(element)) {
    const entry = item.closest("li") ?? item;
    rows.set(entry, [...(rows.get(entry) ?? []), item]);
  }
  return [...rows.values()];
}

function itemsIn(element: HTMLElement): HTMLElement[] {
  return [...element.querySelectorAll<HTMLElement>(ITEMS)];
}

function mark(element: HTMLElement, focused: HTMLElement | null): void {
  const items = itemsIn(element);
  const has = (item: HTMLElement) => item === focused || item === document.activeElement;
  const stop =
    items.find(has) ??
    items.find((item) => item.hasAttribute("aria-current") && item.getAttribute("aria-current") !== "false") ??
    items.find((item) => item.tabIndex === 0) ??
    items[0];
  for (const item of items) {
    const tabIndex = item === stop ? 0 : -1;
    if (item.getAttribute("tabindex") !== String(tabIndex)) item.tabIndex = tabIndex;
  }
}
