import { useQuery } from "@tanstack/react-query";

import type { Api } from "../api/client";
import type { Assistant, Thread } from "../api/types";
import { TEXTS } from "../texts";
import { hrefOf } from "../ui/route";
import { Answer } from "./Answer";

const REFRESH = 2_000;

/** All questions that wait, over all threads. */
export function Inbox({ api, assistants }: { api: Api; assistants: Assistant[] }) {
  const { data: threads = [], refetch } = useQuery({
    queryKey: ["threads", "interrupted"],
    queryFn: () => api.threads({ limit: 200, offset: 0, status: "interrupted" }),
    refetchInterval: REFRESH,
  });
  const waiting = threads.flatMap((thread) =>
    Object.values(thread.interrupts ?? {}).flat().map((question) => ({ thread, question })),
  );
  return (
    <main className="inbox">
      <h2>{TEXTS.inbox}</h2>
      {waiting.length === 0 && <p className="empty">{TEXTS.nothingWaits}</p>}
      {waiting.map(({ thread, question }) => (
        <article key={question.id}>
          <a href={hrefOf({ page: "thread", threadId: thread.thread_id })}>{thread.thread_id}</a>
          <Answer
            api={api}
            threadId={thread.thread_id}
            assistantId={assistantIdOf(thread, assistants)}
            question={question}
            onAnswered={() => void refetch()}
          />
        </article>
      ))}
    </main>
  );
}

function assistantIdOf(thread: Thread, assistants: Assistant[]): string {
  const known = thread.metadata.assistant_id;
  if (typeof known === "string") return known;
  return assistants.find((each) => each.graph_id === thread.metadata.graph_id)?.assistant_id ?? "";
}
