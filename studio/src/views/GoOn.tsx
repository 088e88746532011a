import { useQuery } from "@tanstack/react-query";

import type { Api } from "../api/client";
import type { Assistant, RunRequest } from "../api/types";
import { TEXTS } from "../texts";
import { Fault } from "../ui/Fault";
import { useAction } from "../ui/useAction";
import { breaksOf } from "./RunForm";

interface Props {
  api: Api;
  threadId: string;
  version: string;
  assistant: Assistant;
  breakpoints: ReadonlyMap<string, "before" | "after">;
  onStart: (request: RunRequest) => Promise<void>;
}

/** What lets a run go on that stands at a breakpoint: to the next one, or by one superstep. */
export function GoOn({ api, threadId, version, assistant, breakpoints, onStart }: Props) {
  const action = useAction();
  const { data: state } = useQuery({ queryKey: ["next", threadId, version], queryFn: () => api.state(threadId) });
  const next = state?.next ?? [];
  if (next.length === 0) return null;
  const goOn = (more: Partial<RunRequest>) => void action.run(() => onStart({ assistant_id: assistant.assistant_id, input: null, ...more }));
  return (
    <section className="actions" aria-label={TEXTS.goOn}>
      <span>{`${TEXTS.stopsHere} ${next.join(", ")}.`}</span>
      <button type="button" disabled={action.isBusy} onClick={() => goOn(breaksOf(breakpoints))}>{TEXTS.goOn}</button>
      <button type="button" disabled={action.isBusy} onClick={() => goOn({ interrupt_after: "*" })}>{TEXTS.oneStep}</button>
      <Fault error={action.fault} />
    </section>
  );
}
