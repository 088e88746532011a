import { useId, useState } from "react";

import type { Json } from "../api/types";
import { Pieces } from "../model/pieces";
import { TEXTS } from "../texts";

interface Props {
  label: string;
  text: string;
  onChange: (text: string) => void;
  rows?: number;
}

/**
 * A text that has to be JSON; says where it is not once one has left it. A long one is edited a piece
 * at a time: with megabytes in it a field of a browser is slow.
 */
export function JsonEditor({ label, text, onChange, rows = 8 }: Props) {
  const id = useId();
  const [fault, setFault] = useState<string | null>(null);
  const [pieces] = useState(() => new Pieces(text));
  const [place, setPlace] = useState(0);
  return (
    <div className="editor">
      <label htmlFor={id}>{label}</label>
      {pieces.count > 1 && <PieceChoice pieces={pieces} place={place} onPlace={setPlace} />}
      {/* It is not React's to draw at each key. */}
      <textarea
        key={place}
        id={id}
        rows={rows}
        spellCheck={false}
        defaultValue={pieces.piece(place)}
        aria-invalid={fault !== null}
        aria-describedby={fault === null ? undefined : `${id}-fault`}
        onInput={(event) => {
          pieces.set(place, event.currentTarget.value);
          onChange(pieces.whole());
        }}
        onBlur={() => setFault(faultOf(pieces.whole()))}
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

function PieceChoice({ pieces, place, onPlace }: { pieces: Pieces; place: number; onPlace: (place: number) => void }) {
  const [wanted, setWanted] = useState("");
  const [isMissing, setMissing] = useState(false);
  const [first, last] = pieces.lines(place);
  function find(): void {
    const found = wanted === "" ? null : pieces.find(wanted, place);
    setMissing(found === null);
    if (found !== null) onPlace(found);
  }
  return (
    <div className="actions">
      <button type="button" aria-label={TEXTS.pieceBefore} disabled={place === 0} onClick={() => onPlace(place - 1)}>‹</button>
      <span>{`${TEXTS.lines} ${first}–${last}`}</span>
      <button type="button" aria-label={TEXTS.pieceAfter} disabled={place === pieces.count - 1} onClick={() => onPlace(place + 1)}>›</button>
      <input
        type="search"
        aria-label={TEXTS.findInText}
        placeholder={TEXTS.findInText}
        value={wanted}
        onChange={(event) => setWanted(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          // It is no part of the form that it may be in.
          event.preventDefault();
          find();
        }}
      />
      {isMissing && <span role="status">{TEXTS.notInText}</span>}
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
