/**
 * Files of recorded runs: lines of JSON, as docs/recording.md has them. What the engine marks as more
 * than JSON's values becomes what the API would say of it.
 */

import type { DrawnGraph, Json, JsonObject } from "../api/types";
import { isMessage } from "./message";
import type { Recording } from "./recording";
import { isObject, object, text, type Told } from "./run";

const FORMAT = 1;
/** How deep a value is looked into: files come from anybody. */
const DEEPEST = 200;

export class RecordingError extends Error {
  override name = "RecordingError";
}

/** What the API calls the classes of messages. */
const TYPES: Record<string, string> = {
  AIMessage: "ai",
  AIMessageChunk: "AIMessageChunk",
  HumanMessage: "human",
  SystemMessage: "system",
  ToolMessage: "tool",
  FunctionMessage: "function",
  ChatMessage: "chat",
  RemoveMessage: "remove",
};
const CLASSES = Object.fromEntries(Object.entries(TYPES).map(([name, type]) => [type, name]));

/** Takes the lines of a file one by one, and gives the recording. */
export class RecordingReader {
  #header: JsonObject | null = null;
  #started = 0;
  #defined = new Map<number, Json>();
  #events: Told[] = [];
  #end: JsonObject | null = null;

  /** Takes a line; false if it is none that is whole, and nothing can follow. */
  take(line: string): boolean {
    let known: Json;
    try {
      known = JSON.parse(line) as Json;
    } catch {
      if (this.#header === null) throw new RecordingError("This is no recording of a run: its first line is no JSON.");
      return false;
    }
    const data = object(known);
    if (this.#header === null) {
      if (data.recording === undefined) throw new RecordingError("This is no recording of a run.");
      if (data.recording !== FORMAT) throw new RecordingError(`This recording has format ${text(data.recording)}; known is ${FORMAT}.`);
      this.#header = object(this.#plain(data, 0));
      this.#started = Number(data.started ?? 0) / 1000;
    } else if ("define" in data) this.#defined.set(Number(data.define), this.#plain(data.value ?? null, 0));
    else if ("of" in data) this.#events.push(this.#tokenOf(data));
    else if ("end" in data) this.#end = data;
    else if (typeof data.mode === "string") this.#events.push(this.#toldOf(data));
    return true;
  }

  finish(): Recording {
    if (this.#header === null) throw new RecordingError("This file is empty.");
    const header = this.#header;
    const end = this.#end;
    const error = object(object(end?.error ?? null).$error ?? null);
    if (error.class !== undefined) {
      const at = this.#events.at(-1)?.at ?? this.#started;
      this.#events.push({ at, event: "error", data: { error: text(error.class), message: text(error.text) } });
    }
    const ids = object(header.configurable ?? null);
    return {
      runId: text(ids.run_id),
      threadId: text(ids.thread_id),
      graphId: text(header.graph),
      status: end === null ? "truncated" : text(end.end),
      events: this.#events,
      drawing: drawingOf(header.drawing),
      note: end === null ? "The file ends before the run does: it is shown up to its last whole line." : "",
    };
  }

  #toldOf(data: JsonObject): Told {
    // What a server has put together is as the API says it, but for messages.
    const isMarked = this.#header?.source !== "server" || data.mode === "messages";
    return {
      at: this.#started + Number(data.at ?? 0) / 1000,
      event: [text(data.mode), ...namesOf(data.ns)].join("|"),
      data: isMarked ? this.#plain(data.data ?? null, 0) : (data.data ?? null),
    };
  }

  /** Returns a token, of which the file has no more than what it does not share with others. */
  #tokenOf(data: JsonObject): Told {
    const template = object(this.#defined.get(Number(data.of)) ?? null);
    const [message = null, metadata = null] = Array.isArray(template.messages) ? template.messages : [];
    return {
      at: this.#started + Number(data.at ?? 0) / 1000,
      event: ["messages", ...namesOf(template.ns)].join("|"),
      data: [{ ...object(message), content: text(data.text) }, metadata],
    };
  }

  /** Returns a value as the API would say it. */
  #plain(value: Json, depth: number): Json {
    if (typeof value !== "object" || value === null || depth > DEEPEST) return value;
    const inner = (each: Json) => this.#plain(each, depth + 1);
    if (Array.isArray(value)) return value.map(inner);
    const mark = Object.keys(value)[0] ?? "";
    const entries = () => Object.entries(value).filter(([key]) => key !== mark);
    if (!mark.startsWith("$")) return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, inner(each)]));
    const content = value[mark]!;
    switch (mark) {
      case "$ref":
        return this.#defined.get(Number(content)) ?? null;
      case "$message":
        return { type: TYPES[text(content)] ?? text(content), ...Object.fromEntries(entries().map(([key, each]) => [key, inner(each)])) };
      case "$dict":
        return Object.fromEntries((Array.isArray(content) ? content : []).map((pair) => keyAndValue(inner(pair))));
      case "$error":
        return `${text(object(content).class)}: ${text(object(content).text)}`;
      case "$stored":
      case "$text":
        return text(value.text);
      default:
        return inner(content);
    }
  }
}

/** Returns the lines of a file for a run that was read from a server. */
export function linesOf({ runId, threadId, graphId, status, events, drawing }: Recording): string[] {
  const first = events[0]?.at ?? 0;
  const at = (moment: number) => Math.round(1000 * (moment - first));
  const configurable = { thread_id: threadId, run_id: runId };
  const header = { recording: FORMAT, started: Math.round(1000 * first), graph: graphId, configurable, drawing: marked(drawing as unknown as Json) };
  const error = object(events.findLast(({ event }) => event === "error")?.data ?? null);
  const lines = events
    .filter(({ event }) => event !== "error" && event !== "metadata" && event !== "end")
    .map(({ at: moment, event, data }) => {
      const [mode = "", ...ns] = event.split("|");
      const known = marked(data);
      return { at: at(moment), ns, mode, data: mode === "messages" ? { $tuple: known } : known };
    });
  const end = {
    at: at(events.at(-1)?.at ?? first),
    end: status === "success" || status === "interrupted" ? status : "error",
    events: lines.length,
    ...(error.error === undefined ? {} : { error: { $error: { class: error.error, text: error.message ?? "" } } }),
  };
  return [header, ...lines, end].map((line) => JSON.stringify(line));
}

/** Returns a value that the API has said with what a file marks: messages, and what only looks marked. */
function marked(value: Json): Json {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(marked);
  const entries = Object.entries(value).map(([key, each]): [string, Json] => [key, marked(each)]);
  if (isMessage(value)) {
    const { type, ...fields } = Object.fromEntries(entries);
    return { $message: CLASSES[text(type)] ?? text(type), ...fields };
  }
  return entries.some(([key]) => key.startsWith("$")) ? { $dict: entries } : Object.fromEntries(entries);
}

function namesOf(namespace: Json | undefined): string[] {
  return Array.isArray(namespace) ? namespace.map(text) : [];
}

function keyAndValue(pair: Json): [string, Json] {
  const [key = "", value = null] = Array.isArray(pair) ? pair : [];
  return [typeof key === "string" ? key : JSON.stringify(key), value];
}

function drawingOf(given: Json | undefined): DrawnGraph | null {
  if (!isObject(given) || !Array.isArray(given.nodes) || !Array.isArray(given.edges)) return null;
  const nodes = given.nodes.map(object).filter((node) => typeof node.id === "string");
  const edges = given.edges.map(object).filter((edge) => typeof edge.source === "string" && typeof edge.target === "string");
  return { nodes, edges } as unknown as DrawnGraph;
}
