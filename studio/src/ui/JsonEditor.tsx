import { useId, useState } from "react";

import type { Json } from "../api/types";
import { TEXTS } from "../texts";

interface Props {
  label: string;
  text: string;
  onChange: (text: string) => void;
  rows?: number;
}

/** A text that has to be JSON; says where it is not once one has left it. */
export function JsonEditor({ label, text, onChange, rows = 8 }: Props) {
  const id = useId();
  const [fault, setFault] = useState<string | null>(null);
  return (
    <div className="editor">
      <label htmlFor={id}>{label}</label>
      {/* It is not React's to draw at each key: a state may have megabytes. */}
      <textarea
        id={id}
        rows={rows}
        spellCheck={false}
        defaultValue={text}
        aria-invalid={fault !== null}
        aria-describedby={fault === null ? undefined : `${id}-fault`}
        onInput={(event) => onChange(event.currentTarget.value)}
        onBlur={(event) => setFault(faultOf(event.currentTarget.value))}
      />
      {fault !== null && (
        <p id={`${id}-fault`} role="alert" className="fault">
          {TEXTS.notJson}
          {fault}
        </p>
      )}
    </div>
  );
}

export function faultOf(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Returns what an answer means: JSON where it is some, else the text that it is. */
export function meant(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
