import { useId, useState } from "react";

import type { Api } from "../api/client";
import type { Json, JsonObject, Question, RunRequest } from "../api/types";
import { SchemaForm } from "../ui/SchemaForm";
import { JsonTree } from "../ui/JsonTree";
import { meant } from "../ui/JsonEditor";
import { TEXTS } from "../texts";

interface Props {
  api: Api;
  threadId: string;
  assistantId: string;
  question: Question;
  /** What else the run is asked for with. */
  more?: Partial<RunRequest>;
  onAnswered: () => void;
}

/** A question that a thread waits for, and what it is answered with. */
export function Answer({ api, threadId, assistantId, question, more, onAnswered }: Props) {
  const id = useId();
  const [text, setText] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const [isSending, setSending] = useState(false);

  async function answer(value: Json): Promise<void> {
    setSending(true);
    setFault(null);
    try {
      await api.start(threadId, {
        assistant_id: assistantId,
        command: { resume: { [question.id]: value } },
        multitask_strategy: "reject",
        ...more,
      });
      onAnswered();
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    } finally {
      setSending(false);
    }
  }

  return (
    <div className="question">
      {typeof question.value === "string" ? <p className="said">{question.value}</p> : <JsonTree value={question.value} />}
      {question.response_schema != null ? (
        <SchemaForm schema={question.response_schema as JsonObject} submit={TEXTS.answer} isBusy={isSending} onSubmit={answer} />
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void answer(meant(text));
          }}
        >
          <label htmlFor={id}>{TEXTS.answer}</label>
          <textarea id={id} rows={2} value={text} onChange={(event) => setText(event.target.value)} />
          <button type="submit" disabled={isSending}>{TEXTS.answer}</button>
        </form>
      )}
      {fault !== null && <p role="alert" className="fault">{fault}</p>}
    </div>
  );
}
