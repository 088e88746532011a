import { useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";

import type { Api } from "../api/client";
import type { Assistant, Json, JsonObject, RunRequest } from "../api/types";
import { isObject } from "../model/run";
import { JsonEditor, faultOf } from "../ui/JsonEditor";
import { SchemaForm, fieldsOf } from "../ui/SchemaForm";
import { TEXTS } from "../texts";

interface Props {
  api: Api;
  assistant: Assistant;
  breakpoints: ReadonlyMap<string, "before" | "after">;
  onStart: (request: RunRequest) => Promise<void>;
}

type Strategy = NonNullable<RunRequest["multitask_strategy"]>;
const STRATEGIES = Object.keys(TEXTS.strategies) as Strategy[];

/** What a run begins with: by a form from the schema of the graph, as a message, or as JSON. */
export function RunForm({ api, assistant, breakpoints, onStart }: Props) {
  const { data: schemas, isPending } = useQuery({
    queryKey: ["schemas", assistant.assistant_id],
    queryFn: () => api.schemas(assistant.assistant_id),
    staleTime: Infinity,
  });
  const schema = schemas?.input_schema ?? null;
  const takesMessages = schema !== null && isChat(schema);
  const isPlain = schema !== null && fieldsOf(schema).every((field) => field.kind !== "json");
  const [isRaw, setRaw] = useState(false);
  const [text, setText] = useState(takesMessages ? "" : "{}");
  const [strategy, setStrategy] = useState<Strategy>("enqueue");
  const [fault, setFault] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const strategyId = useId();

  async function start(input: Json): Promise<void> {
    setBusy(true);
    setFault(null);
    try {
      await onStart({ assistant_id: assistant.assistant_id, input, multitask_strategy: strategy, ...breaksOf(breakpoints) });
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  }

  // A form that is replaced by another one would take with it what was typed.
  if (isPending) return null;
  return (
    <section className="run-form" aria-label={TEXTS.input}>
      <div className="actions">
        <button type="button" aria-pressed={!isRaw} onClick={() => setRaw(false)}>{TEXTS.asForm}</button>
        <button type="button" aria-pressed={isRaw} onClick={() => setRaw(true)}>{TEXTS.asJson}</button>
        <label htmlFor={strategyId}>{TEXTS.whenBusy}</label>
        <select id={strategyId} value={strategy} onChange={(event) => setStrategy(event.target.value as Strategy)}>
          {STRATEGIES.map((one) => <option key={one} value={one}>{TEXTS.strategies[one]}</option>)}
        </select>
      </div>
      {!isRaw && takesMessages ? (
        <ChatForm isBusy={isBusy} onSubmit={(said) => start({ messages: [{ role: "user", content: said }] })} />
      ) : !isRaw && isPlain && schema !== null ? (
        <SchemaForm schema={schema} submit={TEXTS.send} isBusy={isBusy} onSubmit={start} />
      ) : (
        <form onSubmit={(event) => { event.preventDefault(); void start(JSON.parse(text) as Json); }}>
          <JsonEditor label={TEXTS.input} text={text} onChange={setText} />
          <button type="submit" disabled={isBusy || faultOf(text) !== null}>{TEXTS.send}</button>
        </form>
      )}
      {fault !== null && <p role="alert" className="fault">{fault}</p>}
    </section>
  );
}

function ChatForm({ isBusy, onSubmit }: { isBusy: boolean; onSubmit: (said: string) => Promise<void> }) {
  const id = useId();
  const [said, setSaid] = useState("");
  const submit = () => void onSubmit(said).then(() => setSaid(""));
  return (
    <form onSubmit={(event) => { event.preventDefault(); submit(); }}>
      <label htmlFor={id}>{TEXTS.input}</label>
      <textarea
        id={id}
        rows={2}
        value={said}
        onChange={(event) => setSaid(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.shiftKey) {
            event.preventDefault();
            if (said.trim() !== "") submit();
          }
        }}
      />
      <button type="submit" disabled={isBusy || said.trim() === ""}>{TEXTS.send}</button>
    </form>
  );
}

/** Says whether a graph takes messages, and needs nothing else. */
export function isChat(schema: JsonObject): boolean {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required : [];
  return "messages" in properties && required.every((name) => name === "messages");
}

/** Returns how a run is asked to stop at breakpoints. */
export function breaksOf(breakpoints: ReadonlyMap<string, "before" | "after">): Partial<RunRequest> {
  const of = (kind: "before" | "after") => [...breakpoints].filter(([, where]) => where === kind).map(([node]) => node);
  const before = of("before");
  const after = of("after");
  return {
    ...(before.length > 0 ? { interrupt_before: before } : {}),
    ...(after.length > 0 ? { interrupt_after: after } : {}),
  };
}
