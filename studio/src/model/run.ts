/** What a run has said, as the page shows it: a value that each event makes a new one of. */

import type { Json, JsonObject, Question } from "../api/types";

export type NodeStatus = "running" | "done" | "failed" | "asks" | "stopped";

/** One task of a superstep: a node that is carried out once. */
export interface Task {
  id: string;
  name: string;
  /** The graph that it is in: the tasks around it, the outermost first. */
  path: string[];
  status: NodeStatus;
  /** In milliseconds since 1970, by the clock of the page. */
  startedAt: number;
  endedAt: number | null;
  input: Json;
  result: Json;
  error: string | null;
  questions: Question[];
}

/** One call of a model. */
export interface Speech {
  /** The id of its message. */
  id: string;
  node: string;
  path: string[];
  model: string;
  text: string;
  reasoning: string;
  toolCalls: ToolCall[];
  usage: { input: number; output: number } | null;
  startedAt: number;
  lastAt: number;
  /** How many pieces it came in. */
  pieces: number;
}

export interface ToolCall {
  id: string;
  name: string;
  /** JSON, as far as it has come. */
  args: string;
}

export interface RunView {
  runId: string;
  attempt: number;
  tasks: ReadonlyMap<string, Task>;
  speeches: ReadonlyMap<string, Speech>;
  custom: readonly { at: number; path: string[]; data: Json }[];
  values: Json;
  error: { error: string; message: string } | null;
  isOver: boolean;
}

export const MAX_CUSTOM = 1000;

export function begun(runId: string): RunView {
  return {
    runId,
    attempt: 1,
    tasks: new Map(),
    speeches: new Map(),
    custom: [],
    values: null,
    error: null,
    isOver: false,
  };
}

/** Returns what is known after an event; the same value where it says nothing new. */
export function reduce(view: RunView, event: string, data: Json, now: number): RunView {
  const [mode = "", ...namespace] = event.split("|");
  const path = namespace;
  switch (mode) {
    case "metadata":
      return noteAttempt(view, object(data));
    case "tasks":
      return noteTask(view, path, object(data), now);
    case "messages":
    case "messages-tuple":
      return noteMessage(view, path, data, now);
    case "values":
      return path.length === 0 ? { ...view, values: data } : view;
    case "custom": {
      const custom = [...view.custom, { at: now, path, data }];
      return { ...view, custom: custom.slice(-MAX_CUSTOM) };
    }
    case "error":
      return { ...view, error: errorOf(data) };
    default:
      return view;
  }
}

/**
 * Returns a run that has ended: what was under way is no more. A stream does not say of a task that
 * it has failed; `errors` says so, by the ids of tasks.
 */
export function ended(view: RunView, now: number, errors: ReadonlyMap<string, string> = new Map()): RunView {
  const tasks = new Map(view.tasks);
  for (const [id, task] of tasks) {
    const error = errors.get(id) ?? null;
    if (task.status !== "running" && error === null) continue;
    const status = error === null ? "stopped" : "failed";
    tasks.set(id, { ...task, status, error, endedAt: task.endedAt ?? now });
  }
  return { ...view, tasks, isOver: true };
}

function noteAttempt(view: RunView, data: JsonObject): RunView {
  const attempt = typeof data.attempt === "number" ? data.attempt : view.attempt;
  if (attempt === view.attempt) return view;
  // What the attempt before had begun is begun anew.
  const tasks = new Map([...view.tasks].filter(([, task]) => task.status !== "running"));
  return { ...view, attempt, tasks };
}

function noteTask(view: RunView, path: string[], data: JsonObject, now: number): RunView {
  const id = text(data.id);
  if (id === "") return view;
  const known = view.tasks.get(id);
  const tasks = new Map(view.tasks);
  if ("triggers" in data) {
    if (known !== undefined && known.status !== "failed") return view;
    tasks.set(id, {
      id,
      name: text(data.name),
      path,
      status: "running",
      startedAt: now,
      endedAt: null,
      input: data.input ?? null,
      result: null,
      error: null,
      questions: [],
    });
    return { ...view, tasks };
  }
  const questions = questionsOf(data.interrupts);
  const error = data.error === null || data.error === undefined ? null : text(data.error);
  const status = error !== null ? "failed" : questions.length > 0 ? "asks" : "done";
  tasks.set(id, {
    id,
    name: text(data.name),
    path,
    startedAt: known?.startedAt ?? now,
    input: known?.input ?? null,
    status,
    endedAt: now,
    result: data.result ?? null,
    error,
    questions,
  });
  return { ...view, tasks };
}

function noteMessage(view: RunView, path: string[], data: Json, now: number): RunView {
  if (!Array.isArray(data)) return view;
  const message = object(data[0] ?? null);
  const metadata = object(data[1] ?? null);
  const type = text(message.type);
  if (type !== "AIMessageChunk" && type !== "ai") return view;
  const id = text(message.id) || `${text(metadata.langgraph_node)}:${view.speeches.size}`;
  const known = view.speeches.get(id);
  const { said, reasoning } = contentOf(message.content ?? null);
  const isWhole = type === "ai";
  // A message that was told in pieces is told as a whole afterwards.
  if (isWhole && known !== undefined) return view;
  const speech: Speech = {
    id,
    node: text(metadata.langgraph_node),
    path,
    model: text(metadata.ls_model_name),
    text: (known?.text ?? "") + said,
    reasoning: (known?.reasoning ?? "") + reasoning,
    toolCalls: mergeCalls(known?.toolCalls ?? [], message),
    usage: addUsage(known?.usage ?? null, message.usage_metadata ?? null),
    startedAt: known?.startedAt ?? now,
    lastAt: now,
    pieces: (known?.pieces ?? 0) + 1,
  };
  const speeches = new Map(view.speeches);
  speeches.set(id, speech);
  return { ...view, speeches };
}

function contentOf(content: Json): { said: string; reasoning: string } {
  if (typeof content === "string") return { said: content, reasoning: "" };
  let said = "";
  let reasoning = "";
  for (const each of Array.isArray(content) ? content : []) {
    if (typeof each === "string") said += each;
    const block = object(each);
    if (block.type === "text") said += text(block.text);
    else if (block.type === "reasoning") reasoning += text(block.reasoning);
    else if (block.type === "thinking") reasoning += text(block.thinking);
  }
  return { said, reasoning };
}

function mergeCalls(known: ToolCall[], message: JsonObject): ToolCall[] {
  const pieces = Array.isArray(message.tool_call_chunks) ? message.tool_call_chunks : [];
  if (pieces.length === 0) {
    const whole = Array.isArray(message.tool_calls) ? message.tool_calls.map(object) : [];
    if (known.length > 0 || whole.length === 0) return known;
    return whole.map((call) => ({
      id: text(call.id),
      name: text(call.name),
      args: JSON.stringify(call.args ?? {}),
    }));
  }
  const calls = [...known];
  for (const piece of pieces.map(object)) {
    const place = typeof piece.index === "number" ? piece.index : calls.length;
    const call = calls[place] ?? { id: "", name: "", args: "" };
    calls[place] = {
      id: call.id || text(piece.id),
      name: call.name + text(piece.name),
      args: call.args + text(piece.args),
    };
  }
  return calls.filter((call) => call !== undefined);
}

function addUsage(known: Speech["usage"], given: Json): Speech["usage"] {
  const usage = object(given);
  if (typeof usage.input_tokens !== "number" || typeof usage.output_tokens !== "number") return known;
  return {
    input: (known?.input ?? 0) + usage.input_tokens,
    output: (known?.output ?? 0) + usage.output_tokens,
  };
}

function questionsOf(given: Json | undefined): Question[] {
  if (!Array.isArray(given)) return [];
  return given.map((each) => {
    const question = object(each);
    const schema = question.response_schema;
    return {
      id: text(question.id),
      value: question.value ?? null,
      ...(isObject(schema) ? { response_schema: schema } : {}),
    };
  });
}

function errorOf(data: Json): RunView["error"] {
  const { error, message } = object(data);
  return { error: text(error) || "Error", message: typeof message === "string" ? message : JSON.stringify(data) };
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function object(value: Json): JsonObject {
  return isObject(value) ? value : {};
}

export function text(value: Json | undefined): string {
  return typeof value === "string" ? value : value === null || value === undefined ? "" : String(value);
}
