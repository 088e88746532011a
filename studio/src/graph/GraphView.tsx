import {
  Background,
  Controls,
  Handle,
  Position,
  ReactFlow,
  type Edge,
  type Node,
  type NodeProps,
} from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { memo, useEffect, useMemo, useState } from "react";

import { nestedIn, pictureOf, ranPicture, standingsOf, type Standing } from "../model/drawing";
import type { DrawnGraph } from "../api/types";
import type { RunView } from "../model/run";
import { TEXTS } from "../texts";
import { HEIGHT, useLayout, widthOf } from "./useLayout";

interface Shown extends Record<string, unknown> {
  label: string;
  isEnd: boolean;
  isGraph: boolean;
  standing: Standing | undefined;
  breaks: string;
}

interface Props {
  drawn: DrawnGraph | null;
  run: RunView | null;
  breakpoints: ReadonlyMap<string, "before" | "after">;
  onTask: (taskId: string) => void;
  onBreak: (node: string) => void;
}

const FIT = { maxZoom: 1, padding: 0.15 };
const NODE_TYPES = { shown: memo(ShownNode) };

/** The graph, as it is defined or as it ran, with what goes on in it. */
export function GraphView({ drawn, run, breakpoints, onTask, onBreak }: Props) {
  const [unfolded, setUnfolded] = useState<ReadonlySet<string>>(new Set());
  const [isAsRan, setAsRan] = useState(false);
  const ran = run?.tasks.size ?? 0;
  const picture = useMemo(() => {
    if (isAsRan && run !== null) return ranPicture(run);
    return drawn === null ? { nodes: [], edges: [] } : pictureOf(drawn, unfolded);
    // As it ran, a picture changes with its tasks only.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [drawn, unfolded, isAsRan, isAsRan ? ran : 0]);
  const nested = useMemo(() => (drawn === null ? [] : nestedIn(drawn)), [drawn]);
  const places = useLayout(picture);
  const standings = useMemo(() => standingsOf(run, picture), [run, picture]);

  const nodes = useMemo<Node<Shown>[]>(
    () =>
      picture.nodes.map((node) => ({
        id: node.id,
        type: "shown",
        position: places?.[node.id] ?? { x: 0, y: 0 },
        width: widthOf(node.label),
        height: HEIGHT,
        data: {
          label: node.label,
          isEnd: node.isEnd,
          isGraph: node.isGraph,
          standing: standings.get(node.id),
          breaks: breakpoints.get(node.id) ?? "",
        },
      })),
    [picture, places, standings, breakpoints],
  );
  const edges = useMemo<Edge[]>(
    () =>
      picture.edges.map((edge) => ({
        id: edge.id,
        source: edge.source,
        target: edge.target,
        label: edge.label,
        ...(edge.isConditional ? { className: "conditional" } : {}),
        animated: standings.get(edge.target)?.status === "running",
      })),
    [picture, standings],
  );

  return (
    <section className="graph" aria-label={TEXTS.graph}>
      <div className="graph-tools">
        <button type="button" aria-pressed={!isAsRan} onClick={() => setAsRan(false)}>
          {TEXTS.asDefined}
        </button>
        <button type="button" aria-pressed={isAsRan} onClick={() => setAsRan(true)}>
          {TEXTS.asRan}
        </button>
        {nested.map((graph) => (
          <button
            key={graph}
            type="button"
            aria-pressed={unfolded.has(graph)}
            onClick={() => setUnfolded((known) => toggled(known, graph))}
          >
            {unfolded.has(graph) ? "−" : "+"} {graph}
          </button>
        ))}
      </div>
      {places !== null && (
        <ReactFlow
          // Another picture is looked at as a whole.
          key={picture.nodes.length}
          nodes={nodes}
          edges={edges}
          nodeTypes={NODE_TYPES}
          fitView
          fitViewOptions={FIT}
          minZoom={0.05}
          nodesDraggable={false}
          nodesConnectable={false}
          onlyRenderVisibleElements
          proOptions={{ hideAttribution: true }}
          onNodeClick={(event, node) => {
            if (event.shiftKey) onBreak(node.id);
            else if (node.data.isGraph) setUnfolded((known) => toggled(known, node.id));
            else if (node.data.standing?.lastTask != null) onTask(node.data.standing.lastTask);
          }}
        >
          <Background />
          <Controls showInteractive={false} />
        </ReactFlow>
      )}
    </section>
  );
}

function ShownNode({ data }: NodeProps<Node<Shown>>) {
  const standing = data.standing;
  const status = standing?.status ?? "waits";
  const count = standing?.count ?? 0;
  const breaks = data.breaks === "" ? "" : ` · ${data.breaks === "before" ? TEXTS.breakBefore : TEXTS.breakAfter}`;
  return (
    <div
      className={`node ${status}${data.isEnd ? " end" : ""}${data.isGraph ? " nested" : ""}`}
      title={`${data.label}: ${status}${breaks}`}
    >
      <Handle type="target" position={Position.Top} isConnectable={false} />
      <span className="node-name">{data.label}</span>
      {data.breaks !== "" && <span className={`breakpoint ${data.breaks}`} aria-label={breaks} />}
      {!data.isEnd && (
        <span className="node-status">
          {status === "running" && standing?.since != null ? <Elapsed since={standing.since} /> : null}
          {(standing?.running ?? 0) > 1 ? ` ${standing?.running}/${count}` : count > 1 ? ` ×${count}` : ""}
        </span>
      )}
      <Handle type="source" position={Position.Bottom} isConnectable={false} />
    </div>
  );
}

export function Elapsed({ since }: { since: number }) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 200);
    return () => clearInterval(timer);
  }, []);
  return <>{(Math.max(0, now - since) / 1000).toFixed(1)} s</>;
}

function toggled(known: ReadonlySet<string>, one: string): ReadonlySet<string> {
  const changed = new Set(known);
  if (!changed.delete(one)) changed.add(one);
  return changed;
}
