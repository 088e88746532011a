/** Where one is, as the address says: everything that is shown has a link. */

import { useMemo, useSyncExternalStore } from "react";

export type Panel = "graph" | "timeline" | "state" | "tokens" | "runs";

export interface Route {
  page: "threads" | "inbox" | "thread" | "file";
  threadId: string | null;
  /** The run of the thread that is shown again. */
  runId: string | null;
  panel: Panel;
  checkpointId: string | null;
  /** The checkpoint that it is compared with. */
  withId: string | null;
  taskId: string | null;
}

const PANELS: readonly string[] = ["graph", "timeline", "state", "tokens", "runs"];

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [first = "", second = "", third = ""] = path.split("/").map(decodeURIComponent);
  const given = new URLSearchParams(query);
  const isThread = first === "threads" && second !== "";
  const named = isThread ? third : second;
  return {
    page: isThread ? "thread" : first === "inbox" || first === "file" ? first : "threads",
    threadId: isThread ? second : null,
    runId: given.get("run"),
    panel: PANELS.includes(named) ? (named as Panel) : "graph",
    checkpointId: given.get("checkpoint"),
    withId: given.get("with"),
    taskId: given.get("task"),
  };
}

export function hrefOf(route: Partial<Route> & { page: Route["page"] }): string {
  if (route.page !== "file" && (route.page !== "thread" || route.threadId == null)) return `#/${route.page}`;
  const query = new URLSearchParams();
  if (route.runId != null) query.set("run", route.runId);
  if (route.checkpointId != null) query.set("checkpoint", route.checkpointId);
  if (route.withId != null) query.set("with", route.withId);
  if (route.taskId != null) query.set("task", route.taskId);
  const asked = query.size > 0 ? `?${query}` : "";
  const place = route.page === "file" ? "file" : `threads/${encodeURIComponent(route.threadId ?? "")}`;
  return `#/${place}/${route.panel ?? "graph"}${asked}`;
}

function subscribe(changed: () => void): () => void {
  window.addEventListener("hashchange", changed);
  return () => window.removeEventListener("hashchange", changed);
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(subscribe, () => window.location.hash);
  return useMemo(() => parseRoute(hash), [hash]);
}

export function go(route: Partial<Route> & { page: Route["page"] }): void {
  window.location.hash = hrefOf(route);
}
