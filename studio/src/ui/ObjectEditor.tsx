import type { JsonObject } from "../api/types";
import { isObject } from "../model/json";
import { TEXTS } from "../texts";
import { JsonEditor, faultOf, meant } from "./JsonEditor";

interface Props {
  label: string;
  text: string;
  onChange: (text: string) => void;
  rows?: number;
}

/** A text that has to be a JSON object. */
export function ObjectEditor({ label, text, onChange, rows = 4 }: Props) {
  const isOther = faultOf(text) === null && !isObject(meant(text));
  return (
    <>
      <JsonEditor label={label} text={text} onChange={onChange} rows={rows} />
      {isOther && <p role="alert" className="fault">{TEXTS.notObject}</p>}
    </>
  );
}

/** Returns the object that a text is, null if it is none. */
export function objectIn(text: string): JsonObject | null {
  if (faultOf(text) !== null) return null;
  const value = meant(text);
  return isObject(value) ? value : null;
}
