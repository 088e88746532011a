import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useMemo, useState } from "react";

import type { Api } from "../api/client";
import { readHistory } from "../api/finding";
import type { Checkpoint, ThreadState } from "../api/types";
import { differences } from "../model/difference";
import { idOf } from "../model/tree";
import { TEXTS } from "../texts";
import { JsonTree } from "../ui/JsonTree";
import { go, hrefOf, type Route } from "../ui/route";
import { Value, Values } from "../ui/Value";
import { Checkpoints } from "./Checkpoints";
import { useCheckpoint } from "./useCheckpoint";

const Compare = lazy(() => import("./Compare").then(({ Compare }) => ({ default: Compare })));
const StateEditor = lazy(() => import("./StateEditor").then(({ StateEditor }) => ({ default: StateEditor })));

interface Props {
  api: Api;
  threadId: string;
  assistantId: string | undefined;
  route: Route;
  /** Changes when there may be other states. */
  version: string;
  onFork: (checkpoint: Checkpoint) => Promise<void>;
}

const PAGE = 50;

/** The states of a thread, each with what has changed since the one before, or beside another one. */
export function StateView({ api, threadId, assistantId, route, version, onFork }: Props) {
  const [limit, setLimit] = useState(PAGE);
  const { data: states = [], error } = useQuery({
    queryKey: ["history", threadId, limit, version],
    queryFn: () => readHistory(api, threadId, limit),
    placeholderData: keepPreviousData,
  });
  const linked = useCheckpoint(api, threadId, states, route.checkpointId);
  const shown = route.checkpointId === null ? states[0] : linked.state;
  const before = useMemo(() => {
    const id = shown?.parent_checkpoint?.checkpoint_id;
    return states.find((each) => idOf(each) === id);
  }, [states, shown]);
  if (error !== null) return <p role="alert" className="fault">{error.message}</p>;
  const current = shown === undefined ? "" : idOf(shown);
  const show = (checkpointId: string, withId: string | null = null) => go({ ...route, checkpointId, withId });
  return (
    <section className="state" aria-label={TEXTS.state}>
      <div className="history">
        <Checkpoints states={states} current={current} onCheckpoint={(id) => show(id)} onCompare={(id) => show(current, id)} />
        {states.length === limit && (
          <button type="button" className="link" onClick={() => setLimit(limit + 4 * PAGE)}>{TEXTS.earlier}</button>
        )}
      </div>
      {linked.error !== null && <p role="alert" className="fault">{linked.error.message}</p>}
      {shown !== undefined && (
        <Suspense fallback={<div aria-busy="true" />}>
          {route.withId !== null ? (
            <Compare
              api={api}
              threadId={threadId}
              states={states}
              leftId={route.checkpointId ?? current}
              rightId={route.withId}
              hrefOfCheckpoint={(checkpointId) => hrefOf({ ...route, checkpointId, withId: null })}
              onSwap={() => show(route.withId!, current)}
              onClose={() => show(current)}
            />
          ) : (
            <StateDetails key={current} api={api} threadId={threadId} assistantId={assistantId} state={shown} before={before} states={states} onFork={onFork} />
          )}
        </Suspense>
      )}
    </section>
  );
}

interface DetailsProps {
  api: Api;
  threadId: string;
  assistantId: string | undefined;
  state: ThreadState;
  before: ThreadState | undefined;
  states: readonly ThreadState[];
  onFork: Props["onFork"];
}

function StateDetails({ api, threadId, assistantId, state, before, states, onFork }: DetailsProps) {
  const [isEditing, setEditing] = useState(false);
  const [fault, setFault] = useState<string | null>(null);
  const changes = useMemo(() => differences(before?.values, state.values), [before, state]);

  async function fork(): Promise<void> {
    try {
      setFault(null);
      if (state.checkpoint !== null) await onFork(state.checkpoint);
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
  }

  return (
    <div className="state-details">
      {isEditing ? (
        <StateEditor api={api} threadId={threadId} assistantId={assistantId} state={state} states={states} onFork={onFork} onClose={() => setEditing(false)} />
      ) : (
        <div className="actions">
          <button type="button" onClick={() => void fork()}>{TEXTS.forkHere}</button>
          <button type="button" onClick={() => setEditing(true)}>{TEXTS.edit}</button>
        </div>
      )}
      {fault !== null && <p role="alert" className="fault">{fault}</p>}
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
