import { useEffect, useRef, useState, type ReactNode } from "react";

import { TEXTS } from "../texts";

interface Props {
  label: string;
  question: string;
  isBusy?: boolean;
  onConfirm: () => void;
  /** What else is to be decided, beside the question. */
  children?: ReactNode;
}

/** A button for what cannot be undone: it asks before it does it. */
export function ConfirmButton({ label, question, isBusy = false, onConfirm, children }: Props) {
  const [isAsking, setAsking] = useState(false);
  const leave = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // On the harmless one: who has pressed Enter twice has deleted nothing.
    if (isAsking) leave.current?.focus();
  }, [isAsking]);
  if (!isAsking) return <button type="button" onClick={() => setAsking(true)}>{label}</button>;
  return (
    <span role="group" aria-label={question} className="confirm">
      <span>{question}</span>
      {children}
      <button type="button" className="danger" disabled={isBusy} onClick={() => { setAsking(false); onConfirm(); }}>{label}</button>
      <button type="button" ref={leave} onClick={() => setAsking(false)}>{TEXTS.leave}</button>
    </span>
  );
}
