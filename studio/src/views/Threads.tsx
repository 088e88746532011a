import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useDeferredValue, useMemo, useRef, useState } from "react";

import type { Api } from "../api/client";
import { findThreads } from "../api/finding";
import type { Assistant, Thread } from "../api/types";
import { excerptOf, parseSearch } from "../model/search";
import { TEXTS } from "../texts";
import { CopyId } from "../ui/CopyId";
import { go, hrefOf } from "../ui/route";
import { useRoving } from "../ui/useRoving";

const REFRESH = 2_000;
/** States are read for it. */
const REFRESH_OF_WORDS = 15_000;
const FIRST = 200;
const STATUSES = ["idle", "busy", "interrupted", "error"] as const;

/** The threads, the newest first; what is under way changes by itself. */
export function Threads({ api, assistants, current }: { api: Api; assistants: Assistant[]; current: string | null }) {
  const [status, setStatus] = useState("");
  const [text, setText] = useState("");
  const asked = useDeferredValue(text.trim());
  const wanted = useMemo(() => parseSearch(asked), [asked]);
  const [upto, setUpto] = useState(FIRST);
  const { data: found, error } = useQuery({
    queryKey: ["threads", status, wanted, upto],
    queryFn: () => findThreads(api, wanted, status, upto),
    refetchInterval: wanted.words.length > 0 ? REFRESH_OF_WORDS : REFRESH,
    placeholderData: keepPreviousData,
  });
  const threads = found?.threads ?? [];
  const list = useRef<HTMLUListElement>(null);
  useRoving(list);

  async function make(assistant: Assistant): Promise<void> {
    const metadata = { graph_id: assistant.graph_id, assistant_id: assistant.assistant_id };
    const { thread_id: threadId } = await api.makeThread(metadata);
    go({ page: "thread", threadId, panel: "graph" });
  }

  return (
    <aside className="threads" aria-label={TEXTS.threads}>
      <div className="find">
        <input
          type="search"
          aria-label={TEXTS.search}
          placeholder={TEXTS.search}
          title={TEXTS.searchHelp}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setUpto(FIRST);
          }}
        />
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
      {found !== undefined && threads.length === 0 && error === null && (
        <p className="empty">{asked === "" && status === "" ? TEXTS.noThreads : TEXTS.noneFound}</p>
      )}
      <ul ref={list}>
        {threads.map((thread) => (
          <ThreadItem key={thread.thread_id} thread={thread} words={wanted.words} isCurrent={thread.thread_id === current} />
        ))}
      </ul>
      {found !== undefined && !found.isAll && (
        <button type="button" className="link" onClick={() => setUpto(upto + 5 * FIRST)}>
          {`${TEXTS.lookFurther} (${found.seen} ${TEXTS.lookedThrough})`}
        </button>
      )}
    </aside>
  );
}

function ThreadItem({ thread, words, isCurrent }: { thread: Thread; words: readonly string[]; isCurrent: boolean }) {
  const excerpt = useMemo(() => excerptOf(thread, words), [thread, words]);
  return (
    <li>
      <a href={hrefOf({ page: "thread", threadId: thread.thread_id })} aria-current={isCurrent ? "page" : undefined}>
        <span className={`badge ${thread.status}`}>{thread.status}</span>
        <span className="thread-name">{String(thread.metadata.graph_id ?? "")}</span>
        <time dateTime={thread.updated_at}>{new Date(thread.updated_at).toLocaleTimeString()}</time>
      </a>
      <CopyId id={thread.thread_id} shown={thread.thread_id.slice(-8)} />
      {excerpt !== "" && <p className="excerpt">{excerpt}</p>}
    </li>
  );
}
