import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";

import type { Api } from "../api/client";
import type { Json, ThreadState } from "../api/types";
import { differences } from "../model/difference";
import { isObject } from "../model/run";
import { JsonEditor, faultOf } from "../ui/JsonEditor";
import { JsonTree } from "../ui/JsonTree";
import { Message, isMessage } from "../ui/Message";
import { TEXTS } from "../texts";

interface Props {
  api: Api;
  threadId: string;
  checkpointId: string | null;
  version: string;
  onCheckpoint: (id: string) => void;
  onFork: (checkpoint: NonNullable<ThreadState["checkpoint"]>) => Promise<void>;
}

const PAGE = 50;

/** The states of a thread, each with what has changed since the one before. */
export function StateView({ api, threadId, checkpointId, version, onCheckpoint, onFork }: Props) {
  const [limit, setLimit] = useState(PAGE);
  const { data: states = [], error } = useQuery({
    queryKey: ["history", threadId, limit, version],
    queryFn: () => api.history(threadId, limit),
    placeholderData: (before) => before,
  });
  const place = Math.max(0, states.findIndex((each) => each.checkpoint?.checkpoint_id === checkpointId));
  const shown = states[place];
  const before = useMemo(() => {
    const id = shown?.parent_checkpoint?.checkpoint_id;
    return states.find((each) => each.checkpoint?.checkpoint_id === id);
  }, [states, shown]);
  if (error !== null) return <p role="alert" className="fault">{error.message}</p>;
  return (
    <section className="state" aria-label={TEXTS.state}>
      <ol className="checkpoints">
        {states.map((state, index) => (
          <li key={state.checkpoint?.checkpoint_id ?? index}>
            <button
              type="button"
              aria-current={index === place}
              onClick={() => state.checkpoint !== null && onCheckpoint(state.checkpoint.checkpoint_id)}
            >
              <span>{String(state.metadata?.step ?? "")}</span>
              <span>{labelOf(state)}</span>
            </button>
          </li>
        ))}
        {states.length === limit && (
          <li><button type="button" className="link" onClick={() => setLimit(limit + 4 * PAGE)}>{TEXTS.earlier}</button></li>
        )}
      </ol>
      {shown !== undefined && (
        <StateDetails
          key={shown.checkpoint?.checkpoint_id}
          api={api}
          threadId={threadId}
          state={shown}
          before={before}
          onFork={onFork}
        />
      )}
    </section>
  );
}

function labelOf(state: ThreadState): string {
  const failed = state.tasks.find((task) => task.error !== null);
  if (failed !== undefined) return `✕ ${failed.name}`;
  if (state.tasks.some((task) => task.interrupts.length > 0)) return `? ${state.next.join(", ")}`;
  return state.next.length > 0 ? `→ ${state.next.join(", ")}` : "■";
}

interface DetailsProps {
  api: Api;
  threadId: string;
  state: ThreadState;
  before: ThreadState | undefined;
  onFork: Props["onFork"];
}

function StateDetails({ api, threadId, state, before, onFork }: DetailsProps) {
  const [edited, setEdited] = useState<string | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const client = useQueryClient();
  const changes = useMemo(() => differences(before?.values, state.values), [before, state]);

  async function fork(): Promise<void> {
    try {
      setFault(null);
      let place = state.checkpoint;
      if (edited !== null && place !== null) {
        const values = changedKeys(state.values, JSON.parse(edited) as Json);
        place = (await api.updateState(threadId, values, place)).checkpoint;
        await client.invalidateQueries({ queryKey: ["history", threadId] });
      }
      if (place !== null) await onFork(place);
      setEdited(null);
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
  }

  return (
    <div className="state-details">
      <div className="actions">
        <button type="button" onClick={() => void fork()} disabled={edited !== null && faultOf(edited) !== null}>
          {edited === null ? TEXTS.forkHere : TEXTS.forkEdited}
        </button>
        {edited === null ? (
          <button type="button" onClick={() => setEdited(JSON.stringify(state.values, null, 2))}>{TEXTS.edit}</button>
        ) : (
          <button type="button" onClick={() => setEdited(null)}>{TEXTS.cancelEdit}</button>
        )}
      </div>
      {fault !== null && <p role="alert" className="fault">{fault}</p>}
      {edited !== null && <JsonEditor label={TEXTS.values} text={edited} onChange={setEdited} rows={24} />}
      {state.tasks.filter((task) => task.error !== null).map((task) => (
        <pre key={task.id} className="fault">{`${task.name}: ${task.error}`}</pre>
      ))}
      <h3>{TEXTS.changed}</h3>
      {changes.length === 0 && <p className="empty">{TEXTS.nothingChanged}</p>}
      <ul className="changes">
        {changes.map((change) => (
          <li key={change.path} className={change.kind}>
            <code>{change.path}</code>
            {change.after === undefined ? <JsonTree value={change.before ?? null} /> : <Value value={change.after} />}
          </li>
        ))}
      </ul>
      <h3>{TEXTS.values}</h3>
      <Values values={state.values} />
    </div>
  );
}

function Values({ values }: { values: Json }) {
  if (!isObject(values)) return <JsonTree value={values} />;
  return (
    <>
      {Object.entries(values).map(([key, value]) => (
        <details key={key} open>
          <summary>{key}</summary>
          <Value value={value} />
        </details>
      ))}
    </>
  );
}

const MESSAGES = 100;

function Value({ value }: { value: Json }) {
  if (isMessage(value)) return <Message message={value} />;
  if (Array.isArray(value) && value.length > 0 && value.length <= MESSAGES && value.every(isMessage)) {
    return <>{value.map((each, place) => <Message key={place} message={each} />)}</>;
  }
  return <JsonTree value={value} />;
}

/** Returns the keys whose values were edited: only they are written. */
export function changedKeys(before: Json, after: Json): Json {
  if (!isObject(before) || !isObject(after)) return after;
  const changed = Object.entries(after).filter(
    ([key, value]) => JSON.stringify(before[key]) !== JSON.stringify(value),
  );
  return Object.fromEntries(changed);
}
