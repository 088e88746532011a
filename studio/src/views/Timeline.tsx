import { useVirtualizer } from "@tanstack/react-virtual";
import { useContext, useMemo, useRef, useState } from "react";

import type { RunView } from "../model/run";
import { noteOf, rowsOf, spanOf, stepsOf, titleOf, type Step } from "../model/timeline";
import { ShownTime } from "../ui/clock";
import { placeAfter } from "../ui/useRoving";
import { TEXTS } from "../texts";
import { Details } from "./Details";

const ROW = 26;
/** More of them would be lines without a place between them. */
const MOST_STEPS = 300;

/** What a run did when: a line for each task and each call of a model or a tool, what failed first. */
export function Timeline({ run, taskId, onTask }: { run: RunView | null; taskId: string | null; onTask: (id: string) => void }) {
  const rows = useMemo(() => (run === null ? [] : rowsOf(run)), [run]);
  const clock = useContext(ShownTime);
  const steps = useMemo(() => (run === null ? [] : stepsOf(run)), [run]);
  const scroll = useRef<HTMLDivElement>(null);
  const [focused, setFocused] = useState<number | null>(null);
  // The compiler leaves this component as it is, because the virtualizer changes by itself.
  // eslint-disable-next-line react-hooks/incompatible-library
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroll.current, estimateSize: () => ROW, overscan: 20 });
  if (run === null || rows.length === 0) return <p className="empty">{TEXTS.notRun}</p>;
  const { first, last } = spanOf(rows, clock ?? Date.now());
  const percent = (time: number) => (100 * (time - first)) / (last - first);
  const shown = virtual.getVirtualItems();
  const wanted = focused ?? rows.findIndex((row) => row.id === taskId);
  // The Tab key comes to one of the lines, which is one that is there.
  const stop = shown.some(({ index }) => index === wanted) ? wanted : shown[0]?.index;

  function moved(key: string, index: number): boolean {
    const to = placeAfter(key, index, rows.length);
    if (to === null) return false;
    virtual.scrollToIndex(to);
    // It is there once it was drawn.
    requestAnimationFrame(() => scroll.current?.querySelector<HTMLElement>(`[data-index="${to}"]`)?.focus());
    return true;
  }

  return (
    <section className="timeline" aria-label={TEXTS.timeline}>
      <div className="lanes">
        <Ruler steps={steps} percent={percent} last={last} />
        <div className="rows" ref={scroll}>
          {steps.length <= MOST_STEPS && (
            <div className="bands" style={{ height: virtual.getTotalSize() }}>
              {steps.map((step) => <div key={step.number} className="band" style={placeOf(step, percent, last)} />)}
            </div>
          )}
          <div style={{ height: virtual.getTotalSize(), position: "relative" }} role="list">
            {shown.map(({ index, start }) => {
              const row = rows[index]!;
              const width = Math.max(0.5, percent(row.endedAt ?? last) - percent(row.startedAt));
              return (
                <div key={row.id} role="listitem">
                  <button
                    type="button"
                    className={`row ${row.status}`}
                    style={{ transform: `translateY(${start}px)`, height: ROW }}
                    aria-current={row.id === taskId}
                    data-index={index}
                    tabIndex={index === stop ? 0 : -1}
                    onFocus={() => setFocused(index)}
                    onKeyDown={(event) => { if (moved(event.key, index)) event.preventDefault(); }}
                    onClick={() => onTask(row.id)}
                  >
                    <span className="row-label" style={{ paddingLeft: 12 * row.depth }}>{row.kind === "tool" ? `${row.label}()` : row.label}</span>
                    <span className="bar-place"><span className="bar" style={{ left: `${percent(row.startedAt)}%`, width: `${width}%` }} /></span>
                    <span className="row-note">{noteOf(row)}</span>
                  </button>
                </div>
              );
            })}
          </div>
        </div>
      </div>
      {taskId !== null && <Details run={run} id={taskId} />}
    </section>
  );
}

interface RulerProps {
  steps: Step[];
  percent: (time: number) => number;
  last: number;
}

/** Which superstep was under way when. */
function Ruler({ steps, percent, last }: RulerProps) {
  return (
    <div className="ruler">
      <span>{`${steps.length} ${TEXTS.supersteps}`}</span>
      {steps.length <= MOST_STEPS && (
        <ol className="bar-place" aria-label={TEXTS.supersteps}>
          {steps.map((step) => (
            <li key={step.number} className="band" style={placeOf(step, percent, last)} title={titleOf(step)}>
              {step.number}
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function placeOf(step: Step, percent: (time: number) => number, last: number): { left: string; width: string } {
  const left = percent(step.startedAt);
  return { left: `${left}%`, width: `${Math.max(0.1, percent(step.endedAt ?? last) - left)}%` };
}
