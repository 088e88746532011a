/** The API of an Agent Server: the one that serves this page, or another one. */

import { eventsOf, type StreamEvent } from "./sse";
import type {
  Assistant,
  Checkpoint,
  DrawnGraph,
  Json,
  JsonObject,
  Run,
  RunRequest,
  Schemas,
  Thread,
  ThreadState,
} from "./types";

/** All that a run can tell; what a server does not know it refuses, and then it is left out. */
export const STREAM_MODES = ["values", "updates", "tasks", "checkpoints", "messages-tuple", "custom", "tools"];
/** What no other server than ours may know. */
const OWN_MODES = new Set(["tools"]);

export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

export interface ThreadSearch {
  status?: string;
  metadata?: JsonObject;
  ids?: string[];
  select?: string[];
  limit: number;
  offset: number;
}

export class Api {
  readonly base: string;
  #modes = STREAM_MODES;

  constructor(base: string) {
    this.base = base.replace(/\/$/, "");
  }

  /** The server that serves the page, which is one folder below it. */
  static here(): Api {
    return new Api(new URL("..", document.baseURI).href);
  }

  assistants(): Promise<Assistant[]> {
    return this.#json("POST", "/assistants/search", { limit: 1_000 });
  }

  graph(assistantId: string): Promise<DrawnGraph> {
    return this.#json("GET", `/assistants/${part(assistantId)}/graph?xray=true`);
  }

  schemas(assistantId: string): Promise<Schemas> {
    return this.#json("GET", `/assistants/${part(assistantId)}/schemas`);
  }

  threads(search: ThreadSearch): Promise<Thread[]> {
    return this.#json("POST", "/threads/search", { ...search, sort_by: "updated_at" });
  }

  thread(threadId: string): Promise<Thread> {
    return this.#json("GET", `/threads/${part(threadId)}`);
  }

  makeThread(metadata: JsonObject = {}): Promise<Thread> {
    return this.#json("POST", "/threads", { metadata });
  }

  history(threadId: string, limit: number, metadata: JsonObject = {}, before?: Checkpoint): Promise<ThreadState[]> {
    const place = before === undefined ? {} : { before: { configurable: before } };
    return this.#json("POST", `/threads/${part(threadId)}/history`, { limit, metadata, ...place });
  }

  state(threadId: string, checkpointId?: string): Promise<ThreadState> {
    const place = checkpointId === undefined ? "" : `/${part(checkpointId)}`;
    return this.#json("GET", `/threads/${part(threadId)}/state${place}?subgraphs=true`);
  }

  updateState(
    threadId: string,
    values: Json,
    checkpoint?: Checkpoint,
    asNode?: string,
  ): Promise<{ checkpoint: Checkpoint }> {
    return this.#json("POST", `/threads/${part(threadId)}/state`, {
      values,
      ...(checkpoint === undefined ? {} : { checkpoint }),
      ...(asNode === undefined ? {} : { as_node: asNode }),
    });
  }

  runs(threadId: string, limit = 20, status = ""): Promise<Run[]> {
    const asked = status === "" ? "" : `&status=${status}`;
    return this.#json("GET", `/threads/${part(threadId)}/runs?limit=${limit}${asked}`);
  }

  run(threadId: string, runId: string): Promise<Run> {
    return this.#json("GET", `/threads/${part(threadId)}/runs/${part(runId)}`);
  }

  /** Returns the file of a run that a server has recorded, null if it has none. */
  async recording(threadId: string, runId: string): Promise<Blob | null> {
    try {
      return await (await this.#fetch("GET", `/threads/${part(threadId)}/runs/${part(runId)}/recording`)).blob();
    } catch (error) {
      if (error instanceof ApiError) return null;
      throw error;
    }
  }

  /** Begins a run whose stream can be read again from anywhere. */
  async start(threadId: string, request: RunRequest): Promise<Run> {
    try {
      return await this.#start(threadId, request, this.#modes);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 422) || this.#modes !== STREAM_MODES) throw error;
      // Servers say in many ways what they do not know; one that refuses has begun nothing.
      const modes = STREAM_MODES.filter((mode) => !OWN_MODES.has(mode));
      const run = await this.#start(threadId, request, modes);
      this.#modes = modes;
      return run;
    }
  }

  #start(threadId: string, request: RunRequest, modes: string[]): Promise<Run> {
    return this.#json("POST", `/threads/${part(threadId)}/runs`, {
      ...request,
      stream_mode: modes,
      stream_subgraphs: true,
      stream_resumable: true,
    });
  }

  cancel(threadId: string, runId: string): Promise<void> {
    return this.#json("POST", `/threads/${part(threadId)}/runs/${part(runId)}/cancel?wait=1`);
  }

  /** Yields what a run says after an event, from its beginning for "-1". */
  async *stream(
    threadId: string,
    runId: string,
    lastEventId: string,
    signal: AbortSignal,
  ): AsyncGenerator<StreamEvent[]> {
    const response = await this.#fetch("GET", `/threads/${part(threadId)}/runs/${part(runId)}/stream`, undefined, {
      signal,
      headers: { accept: "text/event-stream", "last-event-id": lastEventId },
    });
    yield* eventsOf(response);
  }

  /** Asks for anything else of the API, and returns what the answer has as JSON. */
  ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    return this.#json(method, path, body);
  }

  async #json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.#fetch(method, path, body);
    const text = await response.text();
    // What is waited for begins with line ends.
    return (text.trim() === "" ? undefined : JSON.parse(text)) as T;
  }

  async #fetch(
    method: string,
    path: string,
    body?: unknown,
    options: RequestInit = {},
  ): Promise<Response> {
    const headers = new Headers(options.headers);
    if (body !== undefined) headers.set("content-type", "application/json");
    const response = await fetch(this.base + path, {
      ...options,
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new ApiError(response.status, await faultOf(response));
    return response;
  }
}

/** Returns an id as a part of a path: addresses of pages, and so ids, are made by anybody. */
function part(id: string): string {
  if (/^\.{0,2}$/.test(id)) throw new ApiError(404, `There is nothing with the id "${id}".`);
  return encodeURIComponent(id);
}

async function faultOf(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    if (typeof detail === "string") return detail;
    if (detail !== undefined) return JSON.stringify(detail);
  } catch {
    // It is no JSON: a proxy's page, say.
  }
  return text.slice(0, 300) || `${response.status} ${response.statusText}`;
}
