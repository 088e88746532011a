/** What is handed to the library that draws: nodes and edges that stay themselves while they do not change. */

import type { Edge, Node } from "@xyflow/react";

import type { ShownEdge, ShownNode, Standing } from "../model/drawing";
import { TEXTS } from "../texts";
import { HEIGHT, widthOf, type Laid } from "./useLayout";

export interface Shown extends Record<string, unknown> {
  label: string;
  isEnd: boolean;
  isGraph: boolean;
  standing: Standing | undefined;
  breaks: string;
}

/** A node as it is drawn. */
export type Drawn = Node<Shown>;

type Breaks = ReadonlyMap<string, "before" | "after">;
type Known<Of, What> = { of: Of; like: string; what: What };

/** Up to how many edges those to running nodes move: each is drawn anew with every frame. */
const MOVING = 200;

/** Remembers what was drawn: of hundreds of nodes few change with an event, and only they are drawn anew. */
export class Drawing {
  #nodes = new Map<string, Known<ShownNode, Node<Shown>>>();
  #edges = new Map<string, Known<ShownEdge, Edge>>();

  nodes(laid: Laid | null, standings: ReadonlyMap<string, Standing>, breaks: Breaks): Node<Shown>[] {
    const before = this.#nodes;
    this.#nodes = new Map();
    return (laid?.picture.nodes ?? []).map((node) => {
      const standing = standings.get(node.id);
      const place = laid?.places[node.id] ?? { x: 0, y: 0 };
      const like = JSON.stringify([place.x, place.y, standing, breaks.get(node.id)]);
      const known = before.get(node.id);
      const drawn = known?.of === node && known.like === like ? known : { of: node, like, what: drawNode(node, place, standing, breaks) };
      this.#nodes.set(node.id, drawn);
      return drawn.what;
    });
  }

  edges(laid: Laid | null, standings: ReadonlyMap<string, Standing>): Edge[] {
    const before = this.#edges;
    this.#edges = new Map();
    const edges = laid?.picture.edges ?? [];
    return edges.map((edge) => {
      const isMoving = edges.length <= MOVING && standings.get(edge.target)?.status === "running";
      const like = isMoving ? "moving" : "";
      const known = before.get(edge.id);
      const drawn = known?.of === edge && known.like === like ? known : { of: edge, like, what: drawEdge(edge, like !== "") };
      this.#edges.set(edge.id, drawn);
      return drawn.what;
    });
  }
}

function drawNode(node: ShownNode, position: { x: number; y: number }, standing: Standing | undefined, breaks: Breaks): Node<Shown> {
  const { id, label, isEnd, isGraph } = node;
  return {
    id,
    type: "shown",
    position,
    width: widthOf(label),
    height: HEIGHT,
    ariaRole: "button",
    ariaLabel: `${label}: ${TEXTS.nodeStatuses[standing?.status ?? "waits"]}`,
    data: { label, isEnd, isGraph, standing, breaks: breaks.get(id) ?? "" },
  };
}

function drawEdge({ id, source, target, label, isConditional }: ShownEdge, isRunning: boolean): Edge {
  return { id, source, target, label, ...(isConditional ? { className: "conditional" } : {}), animated: isRunning };
}
