/** The picture of a graph: which nodes are shown, and how each of them stands. */

import type { DrawnGraph } from "../api/types";
import { wholeOf, type NodeStatus, type RunView, type Task } from "./run";

export interface ShownNode {
  id: string;
  label: string;
  /** A graph that is folded up into this node, or shown around others. */
  isGraph: boolean;
  isEnd: boolean;
}

export interface ShownEdge {
  id: string;
  source: string;
  target: string;
  label: string;
  isConditional: boolean;
}

export interface Picture {
  nodes: ShownNode[];
  edges: ShownEdge[];
}

const ENDS = new Set(["__start__", "__end__"]);

/** Returns the graphs that are nested in a drawing: what stands before the colons of its nodes. */
export function nestedIn(graph: DrawnGraph): string[] {
  const found = new Set<string>();
  for (const { id } of graph.nodes) {
    const parts = id.split(":");
    for (let length = 1; length < parts.length; length++) {
      found.add(parts.slice(0, length).join(":"));
    }
  }
  return [...found].sort();
}

/** Returns what is shown of a graph: nested graphs as one node each, but for those unfolded. */
export function pictureOf(graph: DrawnGraph, unfolded: ReadonlySet<string>): Picture {
  const nodes = new Map<string, ShownNode>();
  const place = new Map<string, string>();
  for (const { id } of graph.nodes) {
    const shown = outermost(id, unfolded);
    place.set(id, shown);
    nodes.set(shown, {
      id: shown,
      label: labelOf(shown),
      isGraph: shown !== id,
      isEnd: ENDS.has(shown.split(":").at(-1) ?? ""),
    });
  }
  const edges = new Map<string, ShownEdge>();
  for (const edge of graph.edges) {
    const source = place.get(edge.source) ?? outermost(edge.source, unfolded);
    const target = place.get(edge.target) ?? outermost(edge.target, unfolded);
    if (source === target && edge.source !== edge.target) continue;
    const id = `${source} ${target}`;
    const known = edges.get(id);
    const label = [known?.label, edge.data].filter(Boolean).join(", ");
    const isConditional = (known?.isConditional ?? true) && edge.conditional === true;
    edges.set(id, { id, source, target, label, isConditional });
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()] };
}

/** Returns what is shown of a run without a drawing: what it did, and what came after what. */
export function ranPicture(run: RunView): Picture {
  const nodes = new Map<string, ShownNode>();
  const edges = new Map<string, ShownEdge>();
  let before: string[] = [];
  for (const step of supersteps([...run.tasks.values()].filter((task) => task.path.length === 0))) {
    const here = [...new Set(step.map((task) => task.name))];
    for (const name of here) {
      nodes.set(name, { id: name, label: name, isGraph: false, isEnd: false });
      for (const source of before) {
        const id = `${source} ${name}`;
        edges.set(id, { id, source, target: name, label: "", isConditional: false });
      }
    }
    before = here;
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()] };
}

/** Returns tasks as the supersteps that they were: those that were under way at the same time. */
export function supersteps(tasks: readonly Task[]): Task[][] {
  const steps: Task[][] = [];
  let until = -Infinity;
  for (const task of [...tasks].sort((one, other) => one.startedAt - other.startedAt)) {
    const last = steps.at(-1);
    if (last !== undefined && task.startedAt < until) last.push(task);
    else steps.push([task]);
    until = Math.max(task.startedAt >= until ? -Infinity : until, task.endedAt ?? Infinity);
  }
  return steps;
}

export interface Standing {
  status: NodeStatus | "waits";
  count: number;
  running: number;
  /** When what runs there began, null if nothing does. */
  since: number | null;
  lastTask: string | null;
}

const RANK: Record<NodeStatus, number> = { running: 5, asks: 4, failed: 3, stopped: 2, done: 1 };

/** Returns how the nodes of a picture stand in a run, by their ids. */
export function standingsOf(run: RunView | null, picture: Picture): Map<string, Standing> {
  const standings = new Map<string, Standing>();
  const shown = new Set(picture.nodes.map((node) => node.id));
  const places = new Map<string, Place | null>();
  const placeOf = (whole: string) => {
    if (!places.has(whole)) places.set(whole, nearest(whole, shown));
    return places.get(whole) ?? null;
  };
  for (const [whole, { count, status }] of run?.past ?? []) {
    const place = placeOf(whole);
    if (place === null) continue;
    const known = standings.get(place.id);
    const isWorse = known === undefined || RANK[status] > rankOf(known);
    standings.set(place.id, {
      status: isWorse ? status : known.status,
      count: (known?.count ?? 0) + (place.isItself ? count : 0),
      running: 0,
      since: null,
      lastTask: null,
    });
  }
  for (const task of run?.tasks.values() ?? []) {
    const place = placeOf(wholeOf(task));
    if (place === null) continue;
    const { id, isItself } = place;
    const known = standings.get(id);
    const isRunning = task.status === "running";
    standings.set(id, {
      status: known === undefined || RANK[task.status] >= rankOf(known) ? task.status : known.status,
      count: (known?.count ?? 0) + (isItself ? 1 : 0),
      running: (known?.running ?? 0) + (isRunning && isItself ? 1 : 0),
      since: isRunning ? Math.min(known?.since ?? Infinity, task.startedAt) : (known?.since ?? null),
      lastTask: isItself ? task.id : (known?.lastTask ?? task.id),
    });
  }
  for (const node of picture.nodes) {
    if (!standings.has(node.id)) {
      standings.set(node.id, { status: "waits", count: 0, running: 0, since: null, lastTask: null });
    }
  }
  return standings;
}

function rankOf(standing: Standing): number {
  return standing.status === "waits" ? 0 : RANK[standing.status];
}

/** Returns the name of the node that a part of a namespace is about. */
export function nameOf(part: string): string {
  return part.split(":")[0] ?? part;
}

function labelOf(id: string): string {
  const last = id.split(":").at(-1) ?? id;
  return last === "__start__" ? "start" : last === "__end__" ? "end" : last;
}

function outermost(id: string, unfolded: ReadonlySet<string>): string {
  const parts = id.split(":");
  for (let length = 1; length < parts.length; length++) {
    const graph = parts.slice(0, length).join(":");
    if (!unfolded.has(graph)) return graph;
  }
  return id;
}

interface Place {
  id: string;
  /** Whether it is the node itself; a task of a graph that is folded up is shown by the task around it. */
  isItself: boolean;
}

function nearest(whole: string, shown: ReadonlySet<string>): Place | null {
  const parts = whole.split(":");
  for (let length = parts.length; length > 0; length--) {
    const id = parts.slice(0, length).join(":");
    if (shown.has(id)) return { id, isItself: length === parts.length };
  }
  return null;
}
