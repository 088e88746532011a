/** What a server tells of itself, in whatever form: as names with values, and as tables. */

import type { Json } from "../api/types";
import { isObject, text } from "./json";

export interface Overview {
  facts: [string, string][];
  tables: { name: string; columns: string[]; rows: string[][] }[];
}

export const MOST_ROWS = 100;

/** Returns the plain values of an answer under the paths to them, and its lists of objects as tables. */
export function overviewOf(answer: Json): Overview {
  const overview: Overview = { facts: [], tables: [] };
  collect(answer, "", overview);
  return overview;
}

function collect(value: Json, path: string, overview: Overview): void {
  if (isObject(value)) {
    for (const [key, each] of Object.entries(value)) collect(each, path === "" ? key : `${path}.${key}`, overview);
  } else if (Array.isArray(value) && value.length > 0 && value.every(isObject)) {
    const columns = [...new Set(value.flatMap((each) => Object.keys(each)))];
    const rows = value.map((each) => columns.map((column) => plain(each[column] ?? null)));
    overview.tables.push({ name: path, columns, rows: rows.slice(0, MOST_ROWS) });
  } else {
    overview.facts.push([path, plain(value)]);
  }
}

function plain(value: Json): string {
  if (value === null) return "–";
  return typeof value === "object" ? JSON.stringify(value) : text(value);
}
