import type { Json } from "../api/types";
import { isMessage } from "../model/message";
import { isObject } from "../model/run";
import { JsonTree } from "./JsonTree";
import { Message } from "./Message";

const MESSAGES = 100;

/** A value of a state: messages as such, anything else as a tree. */
export function Value({ value }: { value: Json }) {
  if (isMessage(value)) return <Message message={value} />;
  if (Array.isArray(value) && value.length > 0 && value.length <= MESSAGES && value.every(isMessage)) {
    return <>{value.map((each, place) => <Message key={place} message={each} />)}</>;
  }
  return <JsonTree value={value} />;
}

/** The values of a state, each by its key. */
export function Values({ values }: { values: Json }) {
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
