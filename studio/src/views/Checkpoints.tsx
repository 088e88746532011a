import { useMemo, useRef } from "react";

import type { ThreadState } from "../api/types";
import { idOf, rowsOf, tipsOf, type TreeRow } from "../model/tree";
import { TEXTS } from "../texts";
import { useRoving } from "../ui/useRoving";

interface Props {
  states: readonly ThreadState[];
  /** The id of the one that is shown. */
  current: string;
  onCheckpoint: (id: string) => void;
  onCompare: (id: string) => void;
}

const ROW = 30;
const LANE = 12;
const MOST_LANES = 12;

/** The checkpoints of a thread as a tree of its branches, the newest first. */
export function Checkpoints({ states, current, onCheckpoint, onCompare }: Props) {
  const rows = useMemo(() => rowsOf(states), [states]);
  const tips = useMemo(() => tipsOf(states), [states]);
  const lanes = Math.min(MOST_LANES, Math.max(1, ...rows.map((row) => row.lane + 1)));
  const list = useRef<HTMLOListElement>(null);
  useRoving(list);
  const others = tips.filter((state) => idOf(state) !== current);
  return (
    <>
      {others.length > 0 && (
        <select className="compare-with" aria-label={TEXTS.compareBranch} value="" onChange={(event) => onCompare(event.target.value)}>
          <option value="">{TEXTS.compareBranch}</option>
          {others.map((state) => (
            <option key={idOf(state)} value={idOf(state)}>{`${stepOf(state)} ${labelOf(state)} · ${timeOf(state)}`}</option>
          ))}
        </select>
      )}
      <ol ref={list} className="checkpoints" aria-label={TEXTS.checkpoints}>
        {states.map((state, index) => {
          const id = idOf(state);
          return (
            <li key={id} style={{ height: ROW }}>
              <Rails row={rows[index]!} lanes={lanes} />
              <button type="button" aria-current={id === current} title={`${id} ${timeOf(state)}`} onClick={() => onCheckpoint(id)}>
                <span>{stepOf(state)}</span>
                <span>{labelOf(state)}</span>
              </button>
              {id !== current && (
                <button type="button" className="compare" title={TEXTS.compareThis} aria-label={`${TEXTS.compareThis} ${stepOf(state)} ${labelOf(state)}`} onClick={() => onCompare(id)}>⇄</button>
              )}
            </li>
          );
        })}
      </ol>
    </>
  );
}

function Rails({ row, lanes }: { row: TreeRow; lanes: number }) {
  const x = (lane: number) => LANE * (Math.min(lane, MOST_LANES - 1) + 0.5);
  return (
    <svg className="rails" width={LANE * lanes} height={ROW} aria-hidden="true">
      {row.lines.map(({ from, to }) => (
        <path key={from} d={`M${x(from)},${-ROW / 2} C${x(from)},0 ${x(to)},0 ${x(to)},${ROW / 2}`} />
      ))}
      <circle cx={x(row.lane)} cy={ROW / 2} r={3.5} />
    </svg>
  );
}

export function stepOf(state: ThreadState): string {
  return String(state.metadata?.step ?? "");
}

export function timeOf(state: ThreadState): string {
  return state.created_at === null ? "" : new Date(state.created_at).toLocaleTimeString();
}

export function labelOf(state: ThreadState): string {
  const failed = state.tasks.find((task) => task.error !== null);
  if (failed !== undefined) return `✕ ${failed.name}`;
  if (state.tasks.some((task) => task.interrupts.length > 0)) return `? ${state.next.join(", ")}`;
  return state.next.length > 0 ? `→ ${state.next.join(", ")}` : "■";
}
