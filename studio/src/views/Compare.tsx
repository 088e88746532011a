import { useMemo } from "react";

import type { Api } from "../api/client";
import type { JsonObject, ThreadState } from "../api/types";
import { compareValues, type Conversation } from "../model/comparison";
import { idOf, partingOf } from "../model/tree";
import { TEXTS } from "../texts";
import { CopyId } from "../ui/CopyId";
import { Message } from "../ui/Message";
import { Value } from "../ui/Value";
import { labelOf, stepOf, timeOf } from "./Checkpoints";
import { useCheckpoint } from "./useCheckpoint";

interface Props {
  api: Api;
  threadId: string;
  /** The history, as far as it was read. */
  states: readonly ThreadState[];
  leftId: string;
  rightId: string;
  hrefOfCheckpoint: (id: string) => string;
  onSwap: () => void;
  onClose: () => void;
}

/** Two checkpoints side by side: where they part, and what differs. */
export function Compare(props: Props) {
  const left = useCheckpoint(props.api, props.threadId, props.states, props.leftId);
  const right = useCheckpoint(props.api, props.threadId, props.states, props.rightId);
  const error = left.error ?? right.error;
  if (error !== null) return <p role="alert" className="fault">{error.message}</p>;
  if (left.state === undefined || right.state === undefined) return <div className="comparison" aria-busy="true" />;
  return <Sides {...props} left={left.state} right={right.state} />;
}

function Sides({ states, left, right, hrefOfCheckpoint, onSwap, onClose }: Props & { left: ThreadState; right: ThreadState }) {
  const parting = useMemo(() => partingOf(states, idOf(left), idOf(right)), [states, left, right]);
  const { conversations, changes } = useMemo(() => compareValues(left.values, right.values), [left, right]);
  return (
    <section className="comparison" aria-label={TEXTS.comparison}>
      <div className="actions">
        <button type="button" onClick={onSwap}>{TEXTS.swap}</button>
        <button type="button" onClick={onClose}>{TEXTS.closeComparison}</button>
        <span>
          {parting.from === null ? TEXTS.noParting : (
            <>
              {TEXTS.partAfter} <a href={hrefOfCheckpoint(idOf(parting.from))}>{`${stepOf(parting.from)} ${labelOf(parting.from)}`}</a>
            </>
          )}
        </span>
      </div>
      <div className="sides">
        <Side state={left} since={parting.left} hrefOfCheckpoint={hrefOfCheckpoint} />
        <Side state={right} since={parting.right} hrefOfCheckpoint={hrefOfCheckpoint} />
      </div>
      {conversations.map((each) => <Conversations key={each.key} conversation={each} />)}
      <h3>{TEXTS.differs}</h3>
      {changes.length === 0 && <p className="empty">{TEXTS.nothingDiffers}</p>}
      <ul className="differences">
        {changes.map((change) => (
          <li key={change.path} className={change.kind}>
            <code>{change.path}</code>
            <div className="sides">
              <div>{change.before === undefined ? "–" : <Value value={change.before} />}</div>
              <div>{change.after === undefined ? "–" : <Value value={change.after} />}</div>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Side({ state, since, hrefOfCheckpoint }: { state: ThreadState; since: ThreadState[]; hrefOfCheckpoint: Props["hrefOfCheckpoint"] }) {
  return (
    <div>
      <h3><a href={hrefOfCheckpoint(idOf(state))}>{`${stepOf(state)} ${labelOf(state)}`}</a> · {timeOf(state)}</h3>
      <CopyId id={idOf(state)} />
      <ol className="since">
        {since.map((each) => (
          <li key={idOf(each)}><a href={hrefOfCheckpoint(idOf(each))}>{`${stepOf(each)} ${labelOf(each)}`}</a></li>
        ))}
      </ol>
    </div>
  );
}

function Conversations({ conversation: { key, common, left, right } }: { conversation: Conversation }) {
  return (
    <>
      <h3>{key}</h3>
      {common.length > 0 && (
        <details>
          <summary>{`${common.length} ${TEXTS.sameMessages}`}</summary>
          <Messages messages={common} />
        </details>
      )}
      <div className="sides">
        <div><Messages messages={left} /></div>
        <div><Messages messages={right} /></div>
      </div>
    </>
  );
}

function Messages({ messages }: { messages: JsonObject[] }) {
  return <>{messages.map((each, place) => <Message key={place} message={each} />)}</>;
}
