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

export function App({ api }: { api: Api }) {
  const route = useRoute();
  const { data: assistants = [], error } = useQuery({
    queryKey: ["assistants"],
    queryFn: () => api.assistants(),
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
        </nav>
      </header>
      {error !== null && <p role="alert" className="fault">{error.message}</p>}
      <div className="body">
        <Threads api={api} assistants={assistants} current={route.threadId} />
        {route.page === "inbox" && <Inbox api={api} assistants={assistants} />}
        {route.page === "thread" && (
          <Boundary place={`${route.threadId} ${route.panel}`}>
            <Suspense fallback={<main aria-busy="true" />}>
              <ThreadView key={route.threadId} api={api} route={route} assistants={assistants} />
            </Suspense>
          </Boundary>
        )}
        {route.page !== "inbox" && route.page !== "thread" && <main className="empty">{TEXTS.noThreads}</main>}
      </div>
    </div>
  );
}
