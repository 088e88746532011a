import {
  Background,
  Controls,
  Handle,
  Position,
  ReactFlow,
  useReactFlow,
  useStore,
  type Node,
  type NodeProps,
  type ReactFlowInstance,
} from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { memo, useEffect, useMemo, useRef, useState } from "react";

import { nestedIn, pictureOf, ranPicture, standingsOf, type Picture } from "../model/drawing";
import type { DrawnGraph } from "../api/types";
import type { RunView } from "../model/run";
import { TEXTS } from "../texts";
import { Drawing, type Shown } from "./drawing";
import { Elapsed } from "./Elapsed";
import { useGraphKeys } from "./keys";
import { useLayout } from "./useLayout";

interface Props {
  drawn: DrawnGraph | null;
  run: RunView | null;
  breakpoints: ReadonlyMap<string, "before" | "after">;
  onTask: (taskId: string) => void;
  onBreak: (node: string) => void;
}

const NOTHING: Picture = { nodes: [], edges: [] };
const FIT = { maxZoom: 1, padding: 0.15 };
const NODE_TYPES = { shown: memo(ShownNode) };

/** The graph, as it is defined or as it ran, with what goes on in it. */
export function GraphView({ drawn, run, breakpoints, onTask, onBreak }: Props) {
  const [unfolded, setUnfolded] = useState<ReadonlySet<string>>(new Set());
  const [isAsRan, setAsRan] = useState(false);
  const ran = run?.tasks.size ?? 0;
  const picture = useMemo(() => {
    if (isAsRan && run !== null) return ranPicture(run);
    return drawn === null ? NOTHING : pictureOf(drawn, unfolded);
    // As it ran, a picture changes with its tasks only.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [drawn, unfolded, isAsRan, isAsRan ? ran : 0]);
  const nested = useMemo(() => (drawn === null ? [] : nestedIn(drawn)), [drawn]);
  const laid = useLayout(picture);
  const standings = useMemo(() => standingsOf(run, laid?.picture ?? NOTHING), [run, laid]);
  const [isMoved, setMoved] = useState(false);
  const [drawing] = useState(() => new Drawing());
  const nodes = useMemo(() => drawing.nodes(laid, standings, breakpoints), [drawing, laid, standings, breakpoints]);
  const edges = useMemo(() => drawing.edges(laid, standings), [drawing, laid, standings]);

  const section = useRef<HTMLElement>(null);
  const flow = useRef<ReactFlowInstance<Node<Shown>> | null>(null);
  const actions = useMemo(
    () => ({
      breakAt: onBreak,
      open: (id: string) => {
        const node = picture.nodes.find((each) => each.id === id);
        const task = standings.get(id)?.lastTask;
        if (node?.isGraph === true) setUnfolded((known) => toggled(known, id));
        else if (task != null) onTask(task);
      },
    }),
    [picture, standings, onTask, onBreak],
  );
  useGraphKeys(section, flow, nodes, actions);

  return (
    <section className="graph" aria-label={TEXTS.graph} ref={section}>
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
      {laid !== null && laid.picture.nodes.length > 0 && (
        <ReactFlow
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
          // What a person has moved stays where it is; what moves by itself has no event.
          onMoveStart={(event) => event !== null && setMoved(true)}
          edgesFocusable={false}
          onInit={(made) => { flow.current = made; }}
          onNodeClick={(event, node) => (event.shiftKey ? actions.breakAt(node.id) : actions.open(node.id))}
        >
          <Fitting picture={laid.picture} isFree={isMoved} />
          <Background />
          <Controls showInteractive={false} />
        </ReactFlow>
      )}
    </section>
  );
}

/** Shows a graph as a whole when it is another one or its place has another size, as when a form comes below it. */
function Fitting({ picture, isFree }: { picture: Picture; isFree: boolean }) {
  const { fitView } = useReactFlow();
  const width = useStore((store) => store.width);
  const height = useStore((store) => store.height);
  useEffect(() => {
    if (!isFree) void fitView(FIT);
  }, [picture, isFree, fitView, width, height]);
  return null;
}

function ShownNode({ data }: NodeProps<Node<Shown>>) {
  const standing = data.standing;
  const status = standing?.status ?? "waits";
  const count = standing?.count ?? 0;
  const breaks = data.breaks === "" ? "" : ` · ${data.breaks === "before" ? TEXTS.breakBefore : TEXTS.breakAfter}`;
  return (
    <div
      className={`node ${status}${data.isEnd ? " end" : ""}${data.isGraph ? " nested" : ""}`}
      title={`${data.label}: ${TEXTS.nodeStatuses[status]}${breaks}`}
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

function toggled(known: ReadonlySet<string>, one: string): ReadonlySet<string> {
  const changed = new Set(known);
  if (!changed.delete(one)) changed.add(one);
  return changed;
}
