import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";

import type { Api } from "../api/client";
import { writeEdit } from "../api/editing";
import type { Checkpoint, Json, ThreadState } from "../api/types";
import { planEdit } from "../model/edit";
import { checkState, type Finding } from "../model/schema";
import { TEXTS } from "../texts";
import { JsonEditor, faultOf } from "../ui/JsonEditor";
import { useLater } from "../ui/useLater";

interface Props {
  api: Api;
  threadId: string;
  assistantId: string | undefined;
  state: ThreadState;
  /** The history, as far as it was read. */
  states: readonly ThreadState[];
  onFork: (checkpoint: Checkpoint) => Promise<void>;
  onClose: () => void;
}

/** How long nothing was typed when it is looked at what was. */
const REST = 400;

/** The state of a checkpoint, to be edited: a run goes on from what it was made. */
export function StateEditor({ api, threadId, assistantId, state, states, onFork, onClose }: Props) {
  const [start] = useState(() => JSON.stringify(state.values, null, 2));
  const text = useRef(start);
  const [fault, setFault] = useState<string | null>(null);
  const [findings, setFindings] = useState<Finding[]>([]);
  const [isBusy, setBusy] = useState(false);
  const client = useQueryClient();
  const { data: schemas } = useQuery({
    queryKey: ["schemas", assistantId],
    queryFn: () => api.schemas(assistantId!),
    enabled: assistantId !== undefined,
    staleTime: Infinity,
  });
  const schema = schemas?.state_schema ?? null;
  const check = useLater(() => {
    const fits = schema === null || faultOf(text.current) !== null;
    setFindings(fits ? [] : checkState(JSON.parse(text.current) as Json, schema));
  }, REST);

  async function fork(): Promise<void> {
    setBusy(true);
    setFault(null);
    try {
      const edit = planEdit(states, state, JSON.parse(text.current) as Json);
      const place = edit === null ? state.checkpoint! : await writeEdit(api, threadId, edit);
      await onFork(place);
      onClose();
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
      await client.invalidateQueries({ queryKey: ["history", threadId] });
    }
  }

  return (
    <>
      <div className="actions">
        <button type="button" disabled={isBusy} onClick={() => void fork()}>{TEXTS.forkEdited}</button>
        <button type="button" onClick={onClose}>{TEXTS.cancelEdit}</button>
      </div>
      {fault !== null && <p role="alert" className="fault">{fault}</p>}
      <JsonEditor
        label={TEXTS.values}
        text={start}
        rows={24}
        onChange={(now) => {
          text.current = now;
          check();
        }}
      />
      <div aria-live="polite">
        {findings.length > 0 && <h3>{TEXTS.doesNotFit}</h3>}
        <ul className="findings">
          {findings.map(({ path, message }, place) => (
            <li key={place}><code>{path}</code> {message}</li>
          ))}
        </ul>
      </div>
    </>
  );
}
