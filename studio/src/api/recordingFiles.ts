/** Recordings as files: gzip, and lines of JSON in it. */

import { linesOf, RecordingReader } from "../model/recordingFile";
import type { Recording } from "../model/recording";
import type { Api } from "./client";

/** How long a browser may take to begin to save what it is given. */
const KEPT = 60_000;
/** How many bytes are unpacked at a time. */
const PIECE = 1 << 16;

/** Reads a file; one that was cut is read up to its last whole line. */
export async function openRecording(file: Blob): Promise<Recording> {
  const reader = new RecordingReader();
  const decoder = new TextDecoder();
  let rest = "";
  let isWhole = true;
  let refusal: unknown = null;
  const takeLines = (lines: string[]) => {
    try {
      for (const line of lines) isWhole &&= line === "" || reader.take(line);
    } catch (error) {
      refusal ??= error;
    }
  };
  await unpacked(file, (bytes) => {
    if (refusal !== null) return;
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    takeLines(lines);
  });
  takeLines([rest]);
  if (refusal !== null) throw refusal;
  return reader.finish();
}

/** Has the browser save a run: the file that the server has of it, else what was read of it. */
export async function saveRecording(api: Api, recording: Recording): Promise<void> {
  const { threadId, runId, graphId } = recording;
  const file = (await api.recording(threadId, runId)) ?? (await packed(recording));
  const address = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = address;
  link.download = `${graphId || "run"}-${runId}.jsonl.gz`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), KEPT);
}

export async function packed(recording: Recording): Promise<Blob> {
  const text = new Blob([linesOf(recording).map((line) => `${line}\n`).join("")]);
  return new Response(text.stream().pipeThrough(new CompressionStream("gzip"))).blob();
}

/** Gives the bytes that are packed in a file, as many as come before it is cut or broken. */
async function unpacked(file: Blob, take: (bytes: Uint8Array) => void): Promise<void> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (!mayBegin(bytes, 0)) return take(bytes);
  let member = new Member(take);
  for (let first = 0, last = 0; first < bytes.length; first = last) {
    last = first + 1;
    while (last < bytes.length && last < first + PIECE && !mayBegin(bytes, last)) last++;
    const piece = bytes.subarray(first, last);
    if (await member.write(piece)) continue;
    // It has ended here, and the next one begins; else what follows is no gzip.
    if (!mayBegin(bytes, first)) break;
    member = new Member(take);
    if (!(await member.write(piece))) break;
  }
  await member.end();
}

/** Says whether a member of gzip may begin somewhere. */
function mayBegin(bytes: Uint8Array, place: number): boolean {
  return bytes[place] === 0x1f && bytes[place + 1] === 0x8b && bytes[place + 2] === 8;
}

/** A member of gzip: browsers unpack one alone. */
class Member {
  #writer: WritableStreamDefaultWriter<BufferSource>;
  #taking: Promise<void>;

  constructor(take: (bytes: Uint8Array) => void) {
    const { writable, readable } = new DecompressionStream("gzip");
    this.#writer = writable.getWriter();
    this.#taking = takeAll(readable.getReader(), take).catch(() => undefined);
  }

  /** Unpacks a piece, and returns when all of it was taken; false if it is none of this member. */
  async write(piece: Uint8Array<ArrayBuffer>): Promise<boolean> {
    try {
      await this.#writer.write(piece);
      // At an end that comes too early, what was not taken would be thrown away.
      await this.#writer.ready;
      return true;
    } catch {
      return false;
    }
  }

  async end(): Promise<void> {
    await this.#writer.close().catch(() => undefined);
    await this.#taking;
  }
}

async function takeAll<T>(reader: ReadableStreamDefaultReader<T>, take: (part: T) => void): Promise<void> {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    take(value);
  }
}
