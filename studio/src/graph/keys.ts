/** Going through a graph by keys: arrows from node to node, Enter to open one, B for a breakpoint. */

import type { ReactFlowInstance } from "@xyflow/react";
import { useEffect, useEffectEvent, type RefObject } from "react";

import type { Drawn } from "./drawing";

export interface Centre {
  id: string;
  x: number;
  y: number;
}

/** Returns the node that is next in the direction of an arrow, null if there is none. */
export function nearest(nodes: readonly Centre[], from: string, key: string): string | null {
  const here = nodes.find((node) => node.id === from);
  if (here === undefined) return null;
  let found: string | null = null;
  let least = Infinity;
  for (const { id, x, y } of nodes) {
    const cost = costOf(key, x - here.x, y - here.y);
    if (cost < least) [found, least] = [id, cost];
  }
  return found;
}

/** Nodes stand in rows: down goes to the next row, to the right to what is beside in the same one. */
function costOf(key: string, right: number, down: number): number {
  switch (key) {
    case "ArrowDown":
      return down > 0 ? 2 * down + Math.abs(right) : Infinity;
    case "ArrowUp":
      return down < 0 ? -2 * down + Math.abs(right) : Infinity;
    case "ArrowRight":
      return right > 0 ? right + 3 * Math.abs(down) : Infinity;
    case "ArrowLeft":
      return right < 0 ? -right + 3 * Math.abs(down) : Infinity;
    default:
      return Infinity;
  }
}

interface Actions {
  open: (id: string) => void;
  breakAt: (id: string) => void;
}

type Flow = Pick<ReactFlowInstance, "setCenter" | "getZoom">;

const NODES = ".react-flow__node[data-id]";

/** Makes the nodes of a graph one stop of the Tab key, and lets keys go on from there. */
export function useGraphKeys(
  section: RefObject<HTMLElement | null>,
  flow: RefObject<Flow | null>,
  nodes: readonly Drawn[],
  actions: Actions,
): void {
  const onKey = useEffectEvent((event: KeyboardEvent, within: HTMLElement) => {
    const id = (event.target as HTMLElement).closest<HTMLElement>(NODES)?.dataset.id;
    if (id === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") actions.open(id);
    else if (event.key === "b" || event.key === "B") actions.breakAt(id);
    else {
      const to = nearest(centresOf(nodes), id, event.key);
      if (to === null) return;
      goTo(within, to, centresOf(nodes), flow.current);
    }
    event.preventDefault();
  });

  useEffect(() => {
    const element = section.current;
    if (element === null) return;
    const onKeyDown = (event: KeyboardEvent) => onKey(event, element);
    const onFocus = (event: FocusEvent) => mark(element, event.target as HTMLElement);
    // Nodes come and go as one looks around; what is written in them changes much more often.
    const watch = new MutationObserver((changes) => {
      if (changes.some(({ target }) => (target as HTMLElement).classList?.contains("react-flow__nodes") || target === element)) mark(element, null);
    });
    watch.observe(element, { childList: true, subtree: true });
    mark(element, null);
    element.addEventListener("keydown", onKeyDown);
    element.addEventListener("focusin", onFocus);
    return () => {
      watch.disconnect();
      element.removeEventListener("keydown", onKeyDown);
      element.removeEventListener("focusin", onFocus);
    };
  }, [section]);
}

/** Looks at a node; what is not seen is not drawn until then. */
function goTo(within: HTMLElement, id: string, centres: readonly Centre[], flow: Flow | null): void {
  const wanted = `${NODES}[data-id="${CSS.escape(id)}"]`;
  const shown = within.querySelector<HTMLElement>(wanted);
  const centre = centres.find((each) => each.id === id);
  if (shown !== null || centre === undefined || flow === null) {
    shown?.focus();
    return;
  }
  const watch = new MutationObserver(() => {
    const drawn = within.querySelector<HTMLElement>(wanted);
    if (drawn === null) return;
    watch.disconnect();
    drawn.focus();
  });
  watch.observe(within, { childList: true, subtree: true });
  void flow.setCenter(centre.x, centre.y, { zoom: flow.getZoom() });
}

function centresOf(nodes: readonly Drawn[]): Centre[] {
  return nodes.map(({ id, position, width, height }) => ({
    id,
    x: position.x + (width ?? 0) / 2,
    y: position.y + (height ?? 0) / 2,
  }));
}

function mark(element: HTMLElement, focused: HTMLElement | null): void {
  const nodes = [...element.querySelectorAll<HTMLElement>(NODES)];
  const stop = nodes.find((node) => node === focused || node === document.activeElement) ?? nodes.find((node) => node.tabIndex === 0) ?? nodes[0];
  for (const node of nodes) {
    const tabIndex = node === stop ? 0 : -1;
    if (node.tabIndex !== tabIndex) node.tabIndex = tabIndex;
  }
}
