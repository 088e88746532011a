/**
 * Markdown as models write it, as a tree of what is meant: never HTML.
 *
 * What is written in it is somebody's. HTML is the text that it is; links lead to the web or to mail,
 * images are those that have their bytes in them, and whatever else looks like one stays as it was
 * written. All that is looked for is near, so that no text takes long.
 */

import { isPicture } from "./pictures";

export type Inline =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "strong" | "em" | "strike"; inner: Inline[] }
  | { kind: "link"; href: string; inner: Inline[] }
  | { kind: "image"; src: string; text: string };

export type Block =
  | { kind: "paragraph"; inner: Inline[] }
  | { kind: "heading"; level: number; inner: Inline[] }
  | { kind: "code"; language: string; text: string }
  | { kind: "quote"; blocks: Block[] }
  | { kind: "list"; start: number | null; items: Block[][] }
  | { kind: "table"; head: Inline[][]; rows: Inline[][][] }
  | { kind: "rule" };

/** What is longer is shown as it was written. */
export const LONGEST = 20_000;
const DEEPEST = 8;
/** How far away the other end of an emphasis or a link may be. */
const NEAR = 500;

export function blocksOf(source: string): Block[] {
  return blocksIn(source.split(/\r\n|\n|\r/), 0);
}

/** Returns the address of a link that may be followed, null for any other. */
export function safeHref(given: string): string | null {
  if (!/^(https?:\/\/|mailto:)/i.test(given)) return null;
  try {
    return new URL(given).href;
  } catch {
    return null;
  }
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#-]*)/;
const HEADING = /^ {0,3}(#{1,6})(?:\s|$)/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?: +|$)/;

function blocksIn(lines: string[], depth: number): Block[] {
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; ) {
    const line = lines[at]!;
    const next = line.trim() === "" ? at + 1 : special(lines, at, depth, blocks);
    at = next ?? paragraph(lines, at, depth, blocks);
  }
  return blocks;
}

/** Reads a block that shows what it is by how it begins; returns the line after it, null if there is none. */
function special(lines: string[], at: number, depth: number, blocks: Block[]): number | null {
  const line = lines[at]!;
  const fence = FENCE.exec(line);
  if (fence !== null) return code(lines, at, fence, blocks);
  const heading = HEADING.exec(line);
  if (heading !== null) {
    blocks.push({ kind: "heading", level: heading[1]!.length, inner: inlinesOf(titleOf(line)) });
    return at + 1;
  }
  if (RULE.test(line)) {
    blocks.push({ kind: "rule" });
    return at + 1;
  }
  if (depth < DEEPEST && QUOTE.test(line)) return quote(lines, at, depth, blocks);
  if (depth < DEEPEST && ITEM.test(line)) return list(lines, at, depth, blocks);
  if (line.includes("|") && isDivider(lines[at + 1])) return table(lines, at, blocks);
  return null;
}

function titleOf(line: string): string {
  const title = line.trim().replace(/^#+/, "");
  let end = title.length;
  while (end > 0 && title[end - 1] === "#") end--;
  // Only those that stand apart close it: "C#" is a name.
  return (end === 0 || /\s/.test(title[end - 1]!) ? title.slice(0, end) : title).trim();
}

function code(lines: string[], at: number, fence: RegExpExecArray, blocks: Block[]): number {
  const mark = fence[1]!;
  let end = at + 1;
  while (end < lines.length && !isFenceEnd(lines[end]!, mark)) end++;
  blocks.push({ kind: "code", language: fence[2] ?? "", text: lines.slice(at + 1, end).join("\n") });
  // What a model is still saying has no end yet.
  return end + 1;
}

function isFenceEnd(line: string, mark: string): boolean {
  const text = line.trim();
  return text.length >= mark.length && text === mark[0]!.repeat(text.length);
}

function quote(lines: string[], at: number, depth: number, blocks: Block[]): number {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end]!)) end++;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  blocks.push({ kind: "quote", blocks: blocksIn(inner, depth + 1) });
  return end;
}

function list(lines: string[], at: number, depth: number, blocks: Block[]): number {
  const first = ITEM.exec(lines[at]!)!;
  const isNumbered = /\d/.test(first[2]!);
  const items: Block[][] = [];
  let place = at;
  for (;;) {
    const found = place < lines.length ? ITEM.exec(lines[place]!) : null;
    if (found === null || /\d/.test(found[2]!) !== isNumbered || RULE.test(lines[place]!)) break;
    const [end, inner] = itemAt(lines, place, found);
    items.push(blocksIn(inner, depth + 1));
    place = end;
  }
  blocks.push({ kind: "list", start: isNumbered ? Number.parseInt(first[2]!, 10) : null, items });
  return place;
}

/** Returns the lines of an item without what they are indented by, and the line after it. */
function itemAt(lines: string[], at: number, found: RegExpExecArray): [number, string[]] {
  const width = Math.min(found[0].length, found[1]!.length + found[2]!.length + 4);
  const inner = [lines[at]!.slice(width)];
  let end = at + 1;
  for (; end < lines.length; end++) {
    const line = lines[end]!;
    const indent = line.length - line.trimStart().length;
    if (line.trim() === "") {
      // A line between two items or paragraphs of an item; else the list is over.
      const after = lines[end + 1] ?? "";
      if (after.trim() === "" || (after.length - after.trimStart().length < 2 && !ITEM.test(after))) break;
      inner.push("");
    } else if (indent >= Math.min(width, 2)) {
      inner.push(line.slice(Math.min(indent, width)));
    } else if (ITEM.test(line) || inner.at(-1) === "" || startsBlock(line)) {
      break;
    } else {
      inner.push(line);
    }
  }
  return [end, inner];
}

function startsBlock(line: string): boolean {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line);
}

function isDivider(line: string | undefined): boolean {
  return line !== undefined && line.includes("-") && line.includes("|") && cellsOf(line).every((cell) => /^:?-+:?$/.test(cell));
}

function cellsOf(line: string): string[] {
  const cells = line.trim().split("|").map((cell) => cell.trim());
  if (cells[0] === "") cells.shift();
  if (cells.at(-1) === "") cells.pop();
  return cells;
}

function table(lines: string[], at: number, blocks: Block[]): number {
  const head = cellsOf(lines[at]!);
  const rows: Inline[][][] = [];
  let end = at + 2;
  for (; end < lines.length && lines[end]!.includes("|"); end++) {
    const cells = cellsOf(lines[end]!);
    rows.push(head.map((_, column) => inlinesOf(cells[column] ?? "")));
  }
  blocks.push({ kind: "table", head: head.map((cell) => inlinesOf(cell)), rows });
  return end;
}

function paragraph(lines: string[], at: number, depth: number, blocks: Block[]): number {
  let end = at + 1;
  while (end < lines.length && lines[end]!.trim() !== "" && !startsBlock(lines[end]!) && !(depth < DEEPEST && ITEM.test(lines[end]!))) end++;
  blocks.push({ kind: "paragraph", inner: inlinesOf(lines.slice(at, end).join("\n")) });
  return end;
}

export function inlinesOf(source: string, depth = 0): Inline[] {
  const found: Inline[] = [];
  let plain = "";
  const flush = () => {
    if (plain !== "") found.push({ kind: "text", text: plain });
    plain = "";
  };
  for (let at = 0; at < source.length; ) {
    const read = inlineAt(source, at, depth);
    if (read === null) {
      plain += source[at]!;
      at++;
    } else if (typeof read[1] === "string") {
      plain += read[1];
      at = read[0];
    } else {
      flush();
      found.push(read[1]);
      at = read[0];
    }
  }
  flush();
  return found;
}

/** What stands at a place and where it ends; a text where it is one after all. */
type Read = [number, Inline | string] | null;

function inlineAt(source: string, at: number, depth: number): Read {
  switch (source[at]) {
    case "\\":
      return /[!-/:-@[-`{-~]/.test(source[at + 1] ?? "") ? [at + 2, source[at + 1]!] : null;
    case "`":
      return codeAt(source, at);
    case "!":
      return source[at + 1] === "[" ? imageAt(source, at) : null;
    case "[":
      return depth < DEEPEST ? linkAt(source, at) : null;
    case "<":
    case "h":
      return depth < DEEPEST ? addressAt(source, at) : null;
    case "*":
    case "_":
    case "~":
      return depth < DEEPEST ? emphasisAt(source, at, depth) : null;
    default:
      return null;
  }
}

function runAt(source: string, at: number): string {
  let end = at;
  while (source[end] === source[at]) end++;
  return source.slice(at, end);
}

function codeAt(source: string, at: number): Read {
  const mark = runAt(source, at);
  const near = source.slice(at + mark.length, at + mark.length + NEAR);
  for (let end = near.indexOf(mark); end >= 0; ) {
    const run = runAt(near, end);
    if (run.length === mark.length) return [at + 2 * mark.length + end, { kind: "code", text: unpadded(near.slice(0, end)) }];
    end = near.indexOf(mark, end + run.length);
  }
  return [at + mark.length, mark];
}

function unpadded(text: string): string {
  return text.startsWith(" ") && text.endsWith(" ") && text.trim() !== "" ? text.slice(1, -1) : text;
}

/** Returns the label and the target of a link that begins with a bracket, and where it ends. */
function partsAt(source: string, at: number): { label: string; target: string; end: number } | null {
  const until = Math.min(source.length, at + NEAR);
  let open = 0;
  let close = at;
  for (; close < until; close++) {
    if (source[close] === "\\") close++;
    else if (source[close] === "[") open++;
    else if (source[close] === "]" && --open === 0) break;
  }
  if (open !== 0 || source[close + 1] !== "(") return null;
  open = 0;
  let end = close + 1;
  // The bytes of an image are its address.
  const near = source.startsWith("data:image/", close + 2) ? LONGEST : NEAR;
  for (; end < Math.min(source.length, close + near); end++) {
    if (source[end] === "(") open++;
    else if (source[end] === ")" && --open === 0) break;
  }
  if (source[end] !== ")" || open !== 0) return null;
  return { label: source.slice(at + 1, close), target: source.slice(close + 2, end).trim().split(/\s/)[0] ?? "", end: end + 1 };
}

function linkAt(source: string, at: number): Read {
  const parts = partsAt(source, at);
  if (parts === null) return null;
  const href = safeHref(parts.target.replace(/^<|>$/g, ""));
  // One that leads elsewhere is shown as it was written.
  if (href === null) return [parts.end, source.slice(at, parts.end)];
  // No link is in another one.
  return [parts.end, { kind: "link", href, inner: inlinesOf(parts.label, DEEPEST) }];
}

function imageAt(source: string, at: number): Read {
  const parts = partsAt(source, at + 1);
  if (parts === null) return null;
  const src = parts.target;
  if (!isPicture(src)) return [parts.end, source.slice(at, parts.end)];
  return [parts.end, { kind: "image", src, text: parts.label }];
}

const ADDRESS = /https?:\/\/[^\s<>"'`|\\]+/y;

function addressAt(source: string, at: number): Read {
  const isAngled = source[at] === "<";
  if (!isAngled && /\w/.test(source[at - 1] ?? "")) return null;
  ADDRESS.lastIndex = isAngled ? at + 1 : at;
  const given = ADDRESS.exec(source)?.[0];
  if (given === undefined || given.length > NEAR) return null;
  let text = given;
  if (isAngled && source[at + 1 + given.length] !== ">") return null;
  // What ends a sentence is no part of it.
  while (!isAngled && (/[.,;:!?*_~\]]$/.test(text) || isUnopened(text))) text = text.slice(0, -1);
  const href = safeHref(text);
  if (href === null) return null;
  return [at + text.length + (isAngled ? 2 : 0), { kind: "link", href, inner: [{ kind: "text", text }] }];
}

function isUnopened(text: string): boolean {
  return text.endsWith(")") && text.split(")").length > text.split("(").length;
}

function emphasisAt(source: string, at: number, depth: number): Read {
  const mark = runAt(source, at);
  const after = source[at + mark.length] ?? " ";
  const isWord = mark[0] === "_" && /\w/.test(source[at - 1] ?? "");
  const isKnown = mark[0] === "~" ? mark.length === 2 : mark.length <= 3;
  if (!isKnown || isWord || /\s/.test(after)) return [at + mark.length, mark];
  const from = at + mark.length;
  const near = source.slice(from, from + NEAR);
  for (let end = near.indexOf(mark); end >= 0; ) {
    const run = runAt(near, end);
    const isInWord = mark[0] === "_" && /\w/.test(near[end + run.length] ?? "");
    // Three of them end what is in this one, too.
    const isEnd = run.length === mark.length || run.length === 3;
    if (isEnd && !isInWord && end > 0 && !/\s/.test(near[end - 1]!)) {
      const close = end + run.length - mark.length;
      return [from + close + mark.length, emphasized(mark, inlinesOf(near.slice(0, close), depth + 1))];
    }
    end = near.indexOf(mark, end + run.length);
  }
  return [from, mark];
}

function emphasized(mark: string, inner: Inline[]): Inline {
  if (mark[0] === "~") return { kind: "strike", inner };
  if (mark.length === 3) return { kind: "strong", inner: [{ kind: "em", inner }] };
  return { kind: mark.length === 2 ? "strong" : "em", inner };
}
