/** Where one is, as the address says: everything that is shown has a link. */

import { useMemo, useSyncExternalStore } from "react";

export type Panel = "graph" | "timeline" | "state" | "tokens";

export interface Route {
  page: "threads" | "inbox" | "thread";
  threadId: string | null;
  panel: Panel;
  checkpointId: string | null;
  taskId: string | null;
}

const PANELS: readonly string[] = ["graph", "timeline", "state", "tokens"];

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [first = "", second = "", third = ""] = path.split("/").map(decodeURIComponent);
  const given = new URLSearchParams(query);
  const isThread = first === "threads" && second !== "";
  return {
    page: isThread ? "thread" : first === "inbox" ? "inbox" : "threads",
    threadId: isThread ? second : null,
    panel: PANELS.includes(third) ? (third as Panel) : "graph",
    checkpointId: given.get("checkpoint"),
    taskId: given.get("task"),
  };
}

export function hrefOf(route: Partial<Route> & { page: Route["page"] }): string {
  if (route.page !== "thread" || route.threadId == null) return `#/${route.page}`;
  const query = new URLSearchParams();
  if (route.checkpointId != null) query.set("checkpoint", route.checkpointId);
  if (route.taskId != null) query.set("task", route.taskId);
  const asked = query.size > 0 ? `?${query}` : "";
  return `#/threads/${encodeURIComponent(route.threadId)}/${route.panel ?? "graph"}${asked}`;
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
