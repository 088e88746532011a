/** What a value of JSON is, whoever has sent it. */

import type { Json, JsonObject } from "../api/types";

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function object(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

export function text(value: Json | undefined): string {
  return typeof value === "string" ? value : value === null || value === undefined ? "" : String(value);
}
