import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";

import type { Api } from "./api/client";
import { TEXTS } from "./texts";
import { Boundary } from "./ui/Boundary";
import { hrefOf, useRoute } from "./ui/route";
import { Inbox } from "./views/Lists";
import { Threads } from "./views/Threads";

// The drawing is most of the page: it comes when a thread is looked at.
const ThreadView = lazy(() => import("./views/ThreadView").then(({ ThreadView }) => ({ default: ThreadView })));
const RunReplay = lazy(() => import("./views/RunReplay").then(({ RunReplay }) => ({ default: RunReplay })));
const FilePage = lazy(() => import("./views/FilePage").then(({ FilePage }) => ({ default: FilePage })));

export function App({ api }: { api: Api }) {
  const route = useRoute();
  const { data: assistants = [], error } = useQuery({
    queryKey: ["assistants"],
    queryFn: () => api.assistants(),
    // A file needs no server, and there may be none.
    enabled: route.page !== "file",
    staleTime: 30_000,
    retry: true,
    retryDelay: 1_000,
  });
  return (
    <div className="studio">
      <header className="top">
        <h1>{TEXTS.title}</h1>
        <nav aria-label={TEXTS.title}>
          <a href={hrefOf({ page: "threads" })} aria-current={route.page === "threads" || route.page === "thread" ? "page" : undefined}>{TEXTS.threads}</a>
          <a href={hrefOf({ page: "inbox" })} aria-current={route.page === "inbox" ? "page" : undefined}>{TEXTS.inbox}</a>
          <a href={hrefOf({ page: "file" })} aria-current={route.page === "file" ? "page" : undefined}>{TEXTS.file}</a>
        </nav>
      </header>
      {error !== null && <p role="alert" className="fault">{error.message}</p>}
      <div className={route.page === "file" ? "body alone" : "body"}>
        {route.page !== "file" && <Threads api={api} assistants={assistants} current={route.threadId} />}
        {route.page === "inbox" && <Inbox api={api} assistants={assistants} />}
        {route.page === "thread" && (
          <Boundary place={`${route.threadId} ${route.panel}`}>
            <Suspense fallback={<main aria-busy="true" />}>
              {route.runId === null ? (
                <ThreadView key={route.threadId} api={api} route={route} assistants={assistants} />
              ) : (
                <RunReplay key={route.runId} api={api} route={route} threadId={route.threadId!} runId={route.runId} />
              )}
            </Suspense>
          </Boundary>
        )}
        {route.page === "file" && (
          <Boundary place={`file ${route.panel}`}>
            <Suspense fallback={<main aria-busy="true" />}><FilePage route={route} /></Suspense>
          </Boundary>
        )}
        {route.page === "threads" && <main className="empty">{TEXTS.noThreads}</main>}
      </div>
    </div>
  );
}
