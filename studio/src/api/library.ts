/** What a server keeps besides threads: assistants, crons and items of the store. */

import type { Api } from "./client";
import type { Assistant, Json, JsonObject } from "./types";

/** An id may come from an address that somebody has typed. */
const part = encodeURIComponent;

export interface AssistantFields {
  graph_id: string;
  name: string;
  description: string;
  config: JsonObject;
  context: JsonObject;
  metadata: JsonObject;
}

export function createAssistant(api: Api, fields: Partial<AssistantFields>): Promise<Assistant> {
  return api.ask("POST", "/assistants", fields);
}

/** Changes an assistant, which gets a new version. */
export function changeAssistant(api: Api, id: string, fields: Partial<AssistantFields>): Promise<Assistant> {
  return api.ask("PATCH", `/assistants/${part(id)}`, fields);
}

export function deleteAssistant(api: Api, id: string, withThreads: boolean): Promise<void> {
  return api.ask("DELETE", `/assistants/${part(id)}${withThreads ? "?delete_threads=true" : ""}`);
}

/** Returns what an assistant has been, the newest version first. */
export function versionsOf(api: Api, id: string): Promise<Assistant[]> {
  return api.ask("POST", `/assistants/${part(id)}/versions`, { limit: 100 });
}

export function makeLatest(api: Api, id: string, version: number): Promise<Assistant> {
  return api.ask("POST", `/assistants/${part(id)}/latest`, { version });
}

export interface Cron {
  cron_id: string;
  assistant_id?: string | null;
  thread_id: string | null;
  schedule: string;
  timezone?: string | null;
  end_time: string | null;
  /** Not told by servers on which a cron cannot be paused. */
  enabled?: boolean;
  next_run_date?: string | null;
  on_run_completed?: string | null;
  payload: JsonObject;
  metadata?: JsonObject;
  created_at: string;
  updated_at: string;
}

export interface CronFields {
  assistant_id: string;
  schedule: string;
  timezone?: string;
  end_time?: string;
  input: Json;
  on_run_completed?: "keep" | "delete";
}

export function crons(api: Api): Promise<Cron[]> {
  return api.ask("POST", "/runs/crons/search", { limit: 100 });
}

/** Makes a cron whose runs are in a thread, each in one of its own if none is named. */
export function createCron(api: Api, threadId: string, fields: CronFields): Promise<Cron> {
  const place = threadId === "" ? "" : `/threads/${part(threadId)}`;
  return api.ask("POST", `${place}/runs/crons`, fields);
}

export function pauseCron(api: Api, id: string, enabled: boolean): Promise<Cron> {
  return api.ask("PATCH", `/runs/crons/${part(id)}`, { enabled });
}

export function deleteCron(api: Api, id: string): Promise<void> {
  return api.ask("DELETE", `/runs/crons/${part(id)}`);
}

export interface Item {
  namespace: string[];
  key: string;
  value: Json;
  created_at: string;
  updated_at: string;
  /** How near it is to what was searched for. */
  score?: number | null;
}

export interface ItemSearch {
  query: string;
  filter: JsonObject | null;
  limit: number;
}

export async function namespaces(api: Api): Promise<string[][]> {
  const found = await api.ask<{ namespaces: string[][] } | string[][]>("POST", "/store/namespaces", { limit: 1000 });
  return Array.isArray(found) ? found : found.namespaces;
}

export async function items(api: Api, namespace: readonly string[], search: ItemSearch): Promise<Item[]> {
  const found = await api.ask<{ items: Item[] }>("POST", "/store/items/search", {
    namespace_prefix: namespace,
    limit: search.limit,
    ...(search.query === "" ? {} : { query: search.query }),
    ...(search.filter === null ? {} : { filter: search.filter }),
  });
  return found.items;
}

/** Returns an item, null if there is none. */
export function item(api: Api, namespace: readonly string[], key: string): Promise<Item | null> {
  const place = new URLSearchParams({ namespace: namespace.join("."), key });
  return api.ask<Item | null>("GET", `/store/items?${place}`).then((found) => found ?? null);
}

export function putItem(api: Api, namespace: readonly string[], key: string, value: Json): Promise<void> {
  return api.ask("PUT", "/store/items", { namespace, key, value });
}

export function deleteItem(api: Api, namespace: readonly string[], key: string): Promise<void> {
  return api.ask("DELETE", "/store/items", { namespace, key });
}
