/** What a run has said, as the page shows it: a value that each event makes a new one of. */

import type { Json, JsonObject, Question } from "../api/types";
import { isObject, object, text } from "./json";
import { added, count, rowOf, usageIn, type Usage, type UsageRow } from "./tokens";
import { isToolMessage, toolAfter, toolAnswered, type ToolUse } from "./tools";

export { isObject, object, text };

export type NodeStatus = "running" | "done" | "failed" | "asks" | "stopped";

/** One task of a superstep: a node that is carried out once. */
export interface Task {
  id: string;
  name: string;
  /** The graph that it is in: the tasks around it, the outermost first. */
  path: string[];
  /** The superstep of the run that it is in, from 1; null in nested graphs. */
  step: number | null;
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
  usage: Usage | null;
  /** What else is told of the call, as far as it is the same for all of it. */
  metadata: JsonObject;
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

/** What is still known of tasks that are not held any more, of one node. */
export interface Past {
  count: number;
  status: NodeStatus;
}

export interface RunView {
  runId: string;
  attempt: number;
  tasks: ReadonlyMap<string, Task>;
  /** Tasks that are not held any more, by the names of the nodes around them and theirs, with colons. */
  past: ReadonlyMap<string, Past>;
  speeches: ReadonlyMap<string, Speech>;
  /** What speeches have used that are not held any more. */
  spent: ReadonlyMap<string, UsageRow>;
  tools: ReadonlyMap<string, ToolUse>;
  /** The superstep of the outermost graph, and how many of its tasks go on. */
  step: { number: number; open: number };
  custom: readonly { at: number; path: string[]; data: Json }[];
  values: Json;
  error: { error: string; message: string } | null;
  isOver: boolean;
}

/** One event of a stream, and when it was said. */
export interface Told {
  event: string;
  data: Json;
  at: number;
}

export const MAX_CUSTOM = 1000;
/** How much of a run is held: a page that is open for days must not grow with it. */
export const MAX_TASKS = 5000;
export const MAX_SPEECHES = 1000;
export const MAX_TOOLS = 5000;
/** The part of them that is let go at a time. */
const LET_GO = 0.1;

export function begun(runId: string): RunView {
  return {
    runId,
    attempt: 1,
    tasks: new Map(),
    past: new Map(),
    speeches: new Map(),
    spent: new Map(),
    tools: new Map(),
    step: { number: 0, open: 0 },
    custom: [],
    values: null,
    error: null,
    isOver: false,
  };
}

/** Returns what is known after an event; the same value where it says nothing new. */
export function reduce(view: RunView, event: string, data: Json, now: number): RunView {
  return reduceAll(view, [{ event, data, at: now }]);
}

/** Returns what is known after events; each thing is copied once, however many they are. */
export function reduceAll(view: RunView, events: readonly Told[]): RunView {
  const draft = new Draft(view);
  for (const { event, data, at } of events) {
    const [mode = "", ...path] = event.split("|");
    switch (mode) {
      case "metadata":
        noteAttempt(draft, object(data));
        break;
      case "tasks":
        noteTask(draft, path, object(data), at);
        break;
      case "messages":
      case "messages-tuple":
        noteMessage(draft, path, data, at);
        break;
      case "tools":
        noteTool(draft, toolAfter(draft.tool(text(object(data).tool_call_id)), path, object(data), at));
        break;
      case "values":
        if (path.length === 0) draft.change({ values: data });
        break;
      case "custom":
        draft.custom.push({ at, path, data });
        break;
      case "error":
        draft.change({ error: errorOf(data) });
        break;
    }
  }
  return draft.finish();
}

const READ = new Set(["metadata", "tasks", "messages", "messages-tuple", "tools", "values", "custom", "error"]);

/** Says whether an event changes what is known: the others need not be parsed. */
export function isRead(event: string): boolean {
  const [mode = "", ...path] = event.split("|");
  return READ.has(mode) && (mode !== "values" || path.length === 0);
}

/** A view that is being changed: its parts are copied when they are first asked for. */
class Draft {
  view: RunView;
  #tasks: Map<string, Task> | null = null;
  #speeches: Map<string, Speech> | null = null;
  #tools: Map<string, ToolUse> | null = null;
  #custom: RunView["custom"][number][] | null = null;

  constructor(view: RunView) {
    this.view = view;
  }

  get tasks(): Map<string, Task> {
    return (this.#tasks ??= new Map(this.view.tasks));
  }

  get speeches(): Map<string, Speech> {
    return (this.#speeches ??= new Map(this.view.speeches));
  }

  get tools(): Map<string, ToolUse> {
    return (this.#tools ??= new Map(this.view.tools));
  }

  get custom(): RunView["custom"][number][] {
    return (this.#custom ??= [...this.view.custom]);
  }

  /** What is known of a task, without changing any. */
  task(id: string): Task | undefined {
    return (this.#tasks ?? this.view.tasks).get(id);
  }

  speech(id: string): Speech | undefined {
    return (this.#speeches ?? this.view.speeches).get(id);
  }

  tool(id: string): ToolUse | undefined {
    return (this.#tools ?? this.view.tools).get(id);
  }

  /** What models have said, the newest last. */
  get said(): Speech[] {
    return [...(this.#speeches ?? this.view.speeches).values()];
  }

  get speechCount(): number {
    return (this.#speeches ?? this.view.speeches).size;
  }

  change(part: Partial<RunView>): void {
    this.view = { ...this.view, ...part };
  }

  setTask(task: Task): void {
    this.tasks.set(task.id, task);
    if (this.tasks.size > MAX_TASKS) this.#letTasksGo();
  }

  setSpeech(speech: Speech): void {
    this.speeches.set(speech.id, speech);
    if (this.speeches.size <= MAX_SPEECHES) return;
    const spent = new Map(this.view.spent);
    for (const each of [...this.speeches.values()].slice(0, LET_GO * MAX_SPEECHES)) {
      this.speeches.delete(each.id);
      count(spent, rowOf(each));
    }
    this.change({ spent });
  }

  setTool(tool: ToolUse): void {
    this.tools.set(tool.id, tool);
    if (this.tools.size <= MAX_TOOLS) return;
    for (const id of [...this.tools.keys()].slice(0, LET_GO * MAX_TOOLS)) this.tools.delete(id);
  }

  /** Returns the superstep of a task that begins: another one where no other task goes on. */
  stepFor(path: string[]): number | null {
    if (path.length > 0) return null;
    const { number, open } = this.view.step;
    const step = { number: open === 0 ? number + 1 : number, open: open + 1 };
    this.change({ step });
    return step.number;
  }

  endInStep(task: Task | undefined): void {
    if (task?.status !== "running" || task.step === null) return;
    const { number, open } = this.view.step;
    this.change({ step: { number, open: Math.max(0, open - 1) } });
  }

  /** Only counts the oldest tasks from now on, those that went well before others. */
  #letTasksGo(): void {
    const past = new Map(this.view.past);
    const oldest = [...this.tasks.values()].filter((task) => task.status !== "running");
    const wentWell = oldest.filter((task) => task.status === "done");
    for (const task of [...wentWell, ...oldest].slice(0, LET_GO * MAX_TASKS)) {
      if (!this.tasks.delete(task.id)) continue;
      const node = wholeOf(task);
      past.set(node, { count: (past.get(node)?.count ?? 0) + 1, status: task.status });
    }
    this.change({ past });
  }

  finish(): RunView {
    if ([this.#tasks, this.#speeches, this.#tools, this.#custom].every((part) => part === null)) return this.view;
    return {
      ...this.view,
      ...(this.#tasks === null ? {} : { tasks: this.#tasks }),
      ...(this.#speeches === null ? {} : { speeches: this.#speeches }),
      ...(this.#tools === null ? {} : { tools: this.#tools }),
      ...(this.#custom === null ? {} : { custom: this.#custom.slice(-MAX_CUSTOM) }),
    };
  }
}

const wholes = new WeakMap<Task, string>();

/** Returns where a task was: the names of the nodes around it and its own, with colons. */
export function wholeOf(task: Task): string {
  let whole = wholes.get(task);
  if (whole === undefined) {
    whole = [...task.path.map((part) => part.split(":")[0]), task.name].join(":");
    wholes.set(task, whole);
  }
  return whole;
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
  const tools = new Map(view.tools);
  for (const [id, tool] of tools) {
    if (tool.status === "running") tools.set(id, { ...tool, status: "stopped", endedAt: now });
  }
  return { ...view, tasks, tools, isOver: true };
}

function noteAttempt(draft: Draft, data: JsonObject): void {
  const attempt = typeof data.attempt === "number" ? data.attempt : draft.view.attempt;
  if (attempt === draft.view.attempt) return;
  // What the attempt before had begun is begun anew.
  for (const [id, task] of draft.tasks) if (task.status === "running") draft.tasks.delete(id);
  draft.change({ attempt, step: { ...draft.view.step, open: 0 } });
}

function noteTask(draft: Draft, path: string[], data: JsonObject, now: number): void {
  const id = text(data.id);
  if (id === "") return;
  const known = draft.task(id);
  if ("triggers" in data) {
    if (known !== undefined && known.status !== "failed") return;
    draft.setTask({
      id,
      name: text(data.name),
      path,
      step: draft.stepFor(path),
      status: "running",
      startedAt: now,
      endedAt: null,
      input: data.input ?? null,
      result: null,
      error: null,
      questions: [],
    });
    return;
  }
  const questions = questionsOf(data.interrupts);
  const error = data.error === null || data.error === undefined ? null : text(data.error);
  const status = error !== null ? "failed" : questions.length > 0 ? "asks" : "done";
  draft.endInStep(known);
  draft.setTask({
    id,
    name: text(data.name),
    path,
    step: known !== undefined ? known.step : path.length === 0 ? draft.view.step.number : null,
    startedAt: known?.startedAt ?? now,
    input: known?.input ?? null,
    status,
    endedAt: now,
    result: data.result ?? null,
    error,
    questions,
  });
}

function noteMessage(draft: Draft, path: string[], data: Json, now: number): void {
  if (!Array.isArray(data)) return;
  const message = object(data[0] ?? null);
  const metadata = object(data[1] ?? null);
  const type = text(message.type);
  if (isToolMessage(message)) {
    noteTool(draft, toolAnswered(draft.tool(text(message.tool_call_id)), path, message, draft.said, now));
    return;
  }
  if (type !== "AIMessageChunk" && type !== "ai") return;
  const id = text(message.id) || `${text(metadata.langgraph_node)}:${draft.speechCount}`;
  const known = draft.speech(id);
  const { said, reasoning } = contentOf(message.content ?? null);
  const isWhole = type === "ai";
  // A message that was told in pieces is told as a whole afterwards.
  if (isWhole && known !== undefined) return;
  draft.setSpeech({
    id,
    node: text(metadata.langgraph_node),
    path,
    model: text(metadata.ls_model_name),
    text: (known?.text ?? "") + said,
    reasoning: (known?.reasoning ?? "") + reasoning,
    toolCalls: mergeCalls(known?.toolCalls ?? [], message),
    usage: added(known?.usage ?? null, usageIn(message)),
    metadata: known?.metadata ?? metadata,
    startedAt: known?.startedAt ?? now,
    lastAt: now,
    pieces: (known?.pieces ?? 0) + 1,
  });
}

function noteTool(draft: Draft, tool: ToolUse | null): void {
  if (tool !== null) draft.setTool(tool);
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
