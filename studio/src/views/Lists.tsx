import { useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";

import type { Api } from "../api/client";
import type { Assistant, Thread } from "../api/types";
import { TEXTS } from "../texts";
import { go, hrefOf } from "../ui/route";
import { Answer } from "./Answer";

const REFRESH = 2_000;
const STATUSES = ["idle", "busy", "interrupted", "error"] as const;

/** The threads, the newest first; what is under way changes by itself. */
export function Threads({ api, assistants, current }: { api: Api; assistants: Assistant[]; current: string | null }) {
  const [status, setStatus] = useState("");
  const [text, setText] = useState("");
  const wanted = useDeferredValue(text.trim().toLowerCase());
  const { data: threads = [], error } = useQuery({
    queryKey: ["threads", status],
    queryFn: () => api.threads({ limit: 200, offset: 0, ...(status === "" ? {} : { status }) }),
    refetchInterval: REFRESH,
  });
  const shown = threads.filter((thread) => wanted === "" || JSON.stringify(thread).toLowerCase().includes(wanted));

  async function make(assistant: Assistant): Promise<void> {
    const metadata = { graph_id: assistant.graph_id, assistant_id: assistant.assistant_id };
    const { thread_id: threadId } = await api.makeThread(metadata);
    go({ page: "thread", threadId, panel: "graph" });
  }

  return (
    <aside className="threads" aria-label={TEXTS.threads}>
      <div className="find">
        <input type="search" aria-label={TEXTS.search} placeholder={TEXTS.search} value={text} onChange={(event) => setText(event.target.value)} />
        <select aria-label={TEXTS.status} value={status} onChange={(event) => setStatus(event.target.value)}>
          <option value="">{TEXTS.anyStatus}</option>
          {STATUSES.map((each) => <option key={each}>{each}</option>)}
        </select>
      </div>
      <div className="make">
        {assistants.map((assistant) => (
          <button key={assistant.assistant_id} type="button" onClick={() => void make(assistant)} title={`${TEXTS.newThread}: ${assistant.name}`}>
            + {assistant.name}
          </button>
        ))}
      </div>
      {error !== null && <p role="alert" className="fault">{error.message}</p>}
      {threads.length === 0 && error === null && <p className="empty">{TEXTS.noThreads}</p>}
      <ul>
        {shown.map((thread) => (
          <li key={thread.thread_id}>
            <a href={hrefOf({ page: "thread", threadId: thread.thread_id })} aria-current={thread.thread_id === current ? "page" : undefined}>
              <span className={`badge ${thread.status}`}>{thread.status}</span>
              <span className="thread-name">{String(thread.metadata.graph_id ?? "")} {thread.thread_id.slice(-8)}</span>
              <time dateTime={thread.updated_at}>{new Date(thread.updated_at).toLocaleTimeString()}</time>
            </a>
          </li>
        ))}
      </ul>
    </aside>
  );
}

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
