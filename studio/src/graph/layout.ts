/** Where the nodes of a picture are: worked out in a worker, so that the page stays quick. */

import { graphlib, layout } from "@dagrejs/dagre";

export interface Size {
  id: string;
  width: number;
  height: number;
}

export interface LayoutRequest {
  request: number;
  nodes: Size[];
  edges: { source: string; target: string }[];
}

export interface LayoutAnswer {
  request: number;
  places: Record<string, { x: number; y: number }>;
}

/** From how many nodes on edges are not made as short as they can be: for 1,000 that takes five seconds. */
const MANY = 200;

export function placesOf({ nodes, edges }: Pick<LayoutRequest, "nodes" | "edges">): LayoutAnswer["places"] {
  const graph = new graphlib.Graph();
  const ranker = nodes.length < MANY ? "network-simplex" : "tight-tree";
  graph.setGraph({ rankdir: "TB", nodesep: 28, ranksep: 44, marginx: 12, marginy: 12, ranker });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, width, height } of nodes) graph.setNode(id, { width, height });
  for (const { source, target } of edges) {
    if (source !== target && graph.hasNode(source) && graph.hasNode(target)) graph.setEdge(source, target);
  }
  layout(graph);
  const places: LayoutAnswer["places"] = {};
  for (const { id, width, height } of nodes) {
    const { x, y } = graph.node(id) as { x: number; y: number };
    places[id] = { x: x - width / 2, y: y - height / 2 };
  }
  return places;
}
