import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";

import type { Api } from "./api/client";
import { TEXTS } from "./texts";
import { Boundary } from "./ui/Boundary";
import { Settings } from "./ui/Settings";
import { hrefOf, useRoute, type Route } from "./ui/route";
import { Inbox } from "./views/Lists";
import { Threads } from "./views/Threads";

// The drawing is most of the page: it comes when a thread is looked at.
const ThreadView = lazy(() => import("./views/ThreadView").then(({ ThreadView }) => ({ default: ThreadView })));
const RunReplay = lazy(() => import("./views/RunReplay").then(({ RunReplay }) => ({ default: RunReplay })));
const FilePage = lazy(() => import("./views/FilePage").then(({ FilePage }) => ({ default: FilePage })));
// The other pages are small, and seldom looked at.
const Assistants = lazy(() => import("./views/Assistants").then(({ Assistants }) => ({ default: Assistants })));
const Crons = lazy(() => import("./views/Crons").then(({ Crons }) => ({ default: Crons })));
const StoreBrowser = lazy(() => import("./views/StoreBrowser").then(({ StoreBrowser }) => ({ default: StoreBrowser })));
const Server = lazy(() => import("./views/Server").then(({ Server }) => ({ default: Server })));

const PAGES = ["threads", "inbox", "assistants", "crons", "store", "file", "server"] as const;
const WITH_THREADS: readonly string[] = ["threads", "thread", "inbox"];

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
        <nav aria-label={TEXTS.title} data-pages>
          {PAGES.map((page) => (
            <a key={page} href={hrefOf({ page })} aria-current={pageOf(route) === page ? "page" : undefined}>{TEXTS[page]}</a>
          ))}
        </nav>
        <Settings />
      </header>
      {error !== null && <p role="alert" className="fault">{error.message}</p>}
      <div className={WITH_THREADS.includes(route.page) ? "body" : "body alone"}>
        {WITH_THREADS.includes(route.page) && <Threads api={api} assistants={assistants} current={route.threadId} />}
        {route.page === "threads" && <main className="empty">{TEXTS.noThreads}</main>}
        {route.page === "inbox" && <Inbox api={api} assistants={assistants} />}
        <Boundary place={[route.page, route.threadId, route.panel, ...route.parts].join(" ")}>
          <Suspense fallback={<main aria-busy="true" />}>
            {route.page === "thread" && route.runId === null && (
              <ThreadView key={route.threadId} api={api} route={route} assistants={assistants} />
            )}
            {route.page === "thread" && route.runId !== null && (
              <RunReplay key={route.runId} api={api} route={route} threadId={route.threadId!} runId={route.runId} />
            )}
            {route.page === "assistants" && <Assistants api={api} route={route} assistants={assistants} />}
            {route.page === "crons" && <Crons api={api} route={route} assistants={assistants} />}
            {route.page === "store" && <StoreBrowser api={api} route={route} />}
            {route.page === "file" && <FilePage route={route} />}
            {route.page === "server" && <Server api={api} />}
          </Suspense>
        </Boundary>
      </div>
    </div>
  );
}

/** Returns the page of the menu that one is at. */
function pageOf(route: Route): string {
  return route.page === "thread" ? "threads" : route.page;
}
