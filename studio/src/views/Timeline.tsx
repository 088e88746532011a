import { useVirtualizer } from "@tanstack/react-virtual";
import { useContext, useMemo, useRef } from "react";

import { nameOf } from "../model/drawing";
import type { RunView, Speech, Task } from "../model/run";
import { ShownTime } from "../ui/clock";
import { JsonTree } from "../ui/JsonTree";
import { TEXTS } from "../texts";

interface Row {
  id: string;
  label: string;
  depth: number;
  startedAt: number;
  endedAt: number | null;
  status: string;
  note: string;
}

const ROW = 26;

/** What a run did when: a line for each task and each call of a model, what failed first. */
export function Timeline({ run, taskId, onTask }: { run: RunView | null; taskId: string | null; onTask: (id: string) => void }) {
  const rows = useMemo(() => (run === null ? [] : rowsOf(run)), [run]);
  const shown = useContext(ShownTime);
  const scroll = useRef<HTMLDivElement>(null);
  // The compiler leaves this component as it is, because the virtualizer changes by itself.
  // eslint-disable-next-line react-hooks/incompatible-library
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroll.current, estimateSize: () => ROW, overscan: 20 });
  if (run === null || rows.length === 0) return <p className="empty">{TEXTS.notRun}</p>;
  const first = Math.min(...rows.map((row) => row.startedAt));
  const last = Math.max(first + 1, ...rows.map((row) => row.endedAt ?? shown ?? Date.now()));
  const chosen = taskId === null ? undefined : run.tasks.get(taskId);
  return (
    <section className="timeline" aria-label={TEXTS.timeline}>
      <div className="rows" ref={scroll}>
        <div style={{ height: virtual.getTotalSize(), position: "relative" }} role="list">
          {virtual.getVirtualItems().map(({ index, start }) => {
            const row = rows[index]!;
            const left = (100 * (row.startedAt - first)) / (last - first);
            const width = Math.max(0.5, (100 * ((row.endedAt ?? last) - row.startedAt)) / (last - first));
            return (
              <div key={row.id} role="listitem">
                <button
                  type="button"
                  className={`row ${row.status}`}
                  style={{ transform: `translateY(${start}px)`, height: ROW }}
                  aria-current={row.id === taskId}
                  onClick={() => onTask(row.id)}
                >
                  <span className="row-label" style={{ paddingLeft: 12 * row.depth }}>{row.label}</span>
                  <span className="bar-place"><span className="bar" style={{ left: `${left}%`, width: `${width}%` }} /></span>
                  <span className="row-note">{row.note}</span>
                </button>
              </div>
            );
          })}
        </div>
      </div>
      {chosen !== undefined && <TaskDetails task={chosen} />}
    </section>
  );
}

export function TaskDetails({ task }: { task: Task }) {
  return (
    <aside className="details" aria-label={task.name}>
      <h3>{[...task.path.map(nameOf), task.name].join(" › ")}</h3>
      {task.error !== null && <pre className="fault">{task.error}</pre>}
      <h4>input</h4>
      <JsonTree value={task.input} />
      <h4>result</h4>
      <JsonTree value={task.result} />
    </aside>
  );
}

function rowsOf(run: RunView): Row[] {
  const rows: Row[] = [];
  for (const task of run.tasks.values()) {
    rows.push({
      id: task.id,
      label: task.name,
      depth: task.path.length,
      startedAt: task.startedAt,
      endedAt: task.endedAt,
      status: task.status,
      note: task.error ?? (task.endedAt === null ? "" : took(task.endedAt - task.startedAt)),
    });
  }
  for (const speech of run.speeches.values()) rows.push(rowOf(speech));
  // Errors first, then by when they began.
  return rows.sort(
    (one, other) =>
      Number(other.status === "failed") - Number(one.status === "failed") || one.startedAt - other.startedAt,
  );
}

function rowOf(speech: Speech): Row {
  return {
    id: speech.id,
    label: speech.model || speech.node,
    depth: speech.path.length + 1,
    startedAt: speech.startedAt,
    endedAt: speech.lastAt,
    status: "model",
    note: `${rateOf(speech)} ${TEXTS.perSecond}`,
  };
}

export function rateOf(speech: Speech): string {
  const seconds = (speech.lastAt - speech.startedAt) / 1000;
  const tokens = speech.usage?.output || speech.pieces;
  return seconds > 0 ? (tokens / seconds).toFixed(0) : "–";
}

function took(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
