/** Where one is, as the address says: everything that is shown has a link. */

import { useMemo, useSyncExternalStore } from "react";

export type Panel = "graph" | "timeline" | "state" | "tokens" | "usage" | "runs";
export type Page = "threads" | "inbox" | "thread" | "assistants" | "crons" | "store" | "file" | "server";

export interface Route {
  page: Page;
  threadId: string | null;
  /** The run of the thread that is shown again. */
  runId: string | null;
  panel: Panel;
  checkpointId: string | null;
  /** The checkpoint that it is compared with. */
  withId: string | null;
  taskId: string | null;
  /** What comes after the page: the id of an assistant or a cron, the labels of a namespace. */
  parts: readonly string[];
  /** The version of an assistant. */
  version: string | null;
  /** The key of an item of the store. */
  key: string | null;
}

const PANELS: readonly string[] = ["graph", "timeline", "state", "tokens", "usage", "runs"];
const PAGES: readonly string[] = ["inbox", "assistants", "crons", "store", "file", "server"];

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [first = "", ...parts] = path.split("/").map(decoded);
  const given = new URLSearchParams(query);
  const [second = "", third = ""] = parts;
  const isThread = first === "threads" && second !== "";
  const named = isThread ? third : second;
  return {
    page: isThread ? "thread" : PAGES.includes(first) ? (first as Page) : "threads",
    threadId: isThread ? second : null,
    runId: given.get("run"),
    panel: PANELS.includes(named) ? (named as Panel) : "graph",
    checkpointId: given.get("checkpoint"),
    withId: given.get("with"),
    taskId: given.get("task"),
    parts: parts.filter((part) => part !== ""),
    version: given.get("version"),
    key: given.get("key"),
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // Somebody has typed it.
    return part;
  }
}

export function hrefOf(route: Partial<Route> & { page: Route["page"] }): string {
  const query = new URLSearchParams();
  if (route.page !== "file" && (route.page !== "thread" || route.threadId == null)) {
    if (route.version != null) query.set("version", route.version);
    if (route.key != null) query.set("key", route.key);
    return addressOf([route.page, ...(route.parts ?? [])], query);
  }
  if (route.runId != null) query.set("run", route.runId);
  if (route.checkpointId != null) query.set("checkpoint", route.checkpointId);
  if (route.withId != null) query.set("with", route.withId);
  if (route.taskId != null) query.set("task", route.taskId);
  const place = route.page === "file" ? ["file"] : ["threads", route.threadId ?? ""];
  return addressOf([...place, route.panel ?? "graph"], query);
}

function addressOf(parts: readonly string[], query: URLSearchParams): string {
  const asked = query.size > 0 ? `?${query}` : "";
  return `#/${parts.map(encodeURIComponent).join("/")}${asked}`;
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

/** Returns the place that a place is in, null for a page itself. */
export function above(route: Route): Partial<Route> & { page: Page } | null {
  const { page, parts, threadId, panel, runId } = route;
  if (page === "thread" || page === "file") {
    if (route.withId !== null) return { ...route, withId: null };
    if (route.taskId !== null || route.checkpointId !== null) return { page, threadId, panel, runId };
    if (page === "file") return null;
    return runId === null ? { page: "threads" } : { page, threadId, panel };
  }
  if (route.version !== null || route.key !== null) return { page, parts };
  return parts.length > 0 ? { page, parts: parts.slice(0, -1) } : null;
}
