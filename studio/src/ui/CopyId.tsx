import { useState } from "react";

import { TEXTS } from "../texts";

/** An id that is copied at a click. */
export function CopyId({ id, shown = id }: { id: string; shown?: string }) {
  const [isCopied, setCopied] = useState(false);
  return (
    <button
      type="button"
      className="link id"
      title={`${TEXTS.copy} ${id}`}
      onClick={() => void copyText(id).then(() => setCopied(true))}
      onBlur={() => setCopied(false)}
    >
      {shown}
      <span className="copied" aria-live="polite">{isCopied ? ` ${TEXTS.copied}` : ""}</span>
    </button>
  );
}

async function copyText(text: string): Promise<void> {
  // A page that came by plain HTTP from another machine has no clipboard.
  if (window.isSecureContext) return navigator.clipboard.writeText(text);
  const place = document.createElement("textarea");
  place.value = text;
  document.body.append(place);
  place.select();
  document.execCommand("copy");
  place.remove();
}
