import { useState } from "react";

import { TEXTS } from "../texts";

/** What is shown of a text that is long: its end, which is what is being said. */
const SHOWN = 16_000;
/** What begins anew when a text grows is a multiple of it, so that the rest stays as it was drawn. */
const PIECE = 2_000;

/** A text that grows: however long it is, a frame draws only its last piece. */
export function LongText({ text, className }: { text: string; className: string }) {
  const [isWhole, setWhole] = useState(false);
  const first = isWhole ? 0 : Math.max(0, Math.floor((text.length - SHOWN) / PIECE)) * PIECE;
  const pieces: [number, string][] = [];
  for (let at = first; at < text.length; at += PIECE) pieces.push([at, text.slice(at, at + PIECE)]);
  return (
    <p className={className}>
      {first > 0 && (
        <button type="button" className="link" onClick={() => setWhole(true)}>
          {first} {TEXTS.before}
        </button>
      )}
      {pieces.map(([at, piece]) => <span key={at}>{piece}</span>)}
    </p>
  );
}
