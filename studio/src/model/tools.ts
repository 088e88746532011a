/** The calls of tools in a run: from their own events, else from the messages that ask and answer. */

import type { Json, JsonObject } from "../api/types";
import { object, text } from "./json";

export interface ToolUse {
  /** The id of the call, as the model has made it up. */
  id: string;
  name: string;
  path: string[];
  status: "running" | "done" | "failed" | "stopped";
  startedAt: number;
  endedAt: number | null;
  input: Json;
  output: Json;
}

/** What is known of a call after an event of the stream mode `tools`, null where it tells nothing. */
export function toolAfter(known: ToolUse | undefined, path: string[], data: JsonObject, now: number): ToolUse | null {
  const id = text(data.tool_call_id);
  if (id === "") return null;
  const before = known ?? { id, name: "", path, status: "running", startedAt: now, endedAt: null, input: null, output: null };
  switch (data.event) {
    case "tool-started":
      return { ...before, name: text(data.tool_name), status: "running", startedAt: now, endedAt: null, input: data.input ?? null };
    case "tool-finished":
      return { ...before, status: "done", endedAt: now, output: data.output ?? null };
    case "tool-error":
      return { ...before, status: "failed", endedAt: now, output: data.message ?? null };
    default:
      return null;
  }
}

/** Who has asked for a call: what a model has said, and when it had said it. */
export interface Asker {
  toolCalls: readonly { id: string; name: string; args: string }[];
  lastAt: number;
}

/** What is known of a call once its message is there, null where that is none or all was known. */
export function toolAnswered(known: ToolUse | undefined, path: string[], message: JsonObject, askers: readonly Asker[], now: number): ToolUse | null {
  const id = text(message.tool_call_id);
  const hasFailed = message.status === "error";
  if (id === "" || known?.status === "failed" || (known?.status === "done" && !hasFailed)) return null;
  // A tool whose fault its node tells to the model has an end like any other.
  const status = hasFailed ? "failed" : "done";
  const output = message.content ?? null;
  if (known !== undefined) return { ...known, status, output, endedAt: known.endedAt ?? now };
  const asker = askers.findLast((each) => each.toolCalls.some((call) => call.id === id));
  const call = asker?.toolCalls.find((each) => each.id === id);
  if (asker !== undefined && call !== undefined) {
    return { id, name: text(message.name) || call.name, path, status, startedAt: asker.lastAt, endedAt: now, input: argsOf(call.args), output };
  }
  return { id, name: text(message.name), path, status, startedAt: now, endedAt: now, input: null, output };
}

function argsOf(given: string): Json {
  try {
    return JSON.parse(given) as Json;
  } catch {
    return given;
  }
}

/** Says whether a message is what a tool answers. */
export function isToolMessage(message: Json): boolean {
  const { type, tool_call_id: id } = object(message);
  return type === "tool" && typeof id === "string";
}
