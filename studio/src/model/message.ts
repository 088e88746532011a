/** Messages of conversations, as they stand in states. */

import type { Json, JsonObject } from "../api/types";
import { isObject } from "./run";

const ROLES = new Set(["human", "ai", "system", "tool", "function", "AIMessageChunk", "remove"]);

export function isMessage(value: Json): value is JsonObject {
  return isObject(value) && typeof value.type === "string" && ROLES.has(value.type) && "content" in value;
}
