/** Recordings as files: gzip, and lines of JSON in it. */

import { linesOf, RecordingReader } from "../model/recordingFile";
import type { Recording } from "../model/recording";
import type { Api } from "./client";

/** How long a browser may take to begin to save what it is given. */
const KEPT = 60_000;

/** Reads a file; one that was cut is read up to its last whole line. */
export async function openRecording(file: Blob): Promise<Recording> {
  const reader = new RecordingReader();
  const decoder = new TextDecoder();
  let rest = "";
  let isWhole = true;
  await unpacked(file, (bytes) => {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) isWhole &&= reader.take(line);
  });
  if (isWhole && rest !== "") reader.take(rest);
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
  const start = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  if (start[0] !== 0x1f || start[1] !== 0x8b) return readAll(file.stream(), take);
  const { writable, readable } = new DecompressionStream("gzip");
  const writer = writable.getWriter();
  let refusal: unknown = null;
  const guarded = (bytes: Uint8Array) => {
    try {
      if (refusal === null) take(bytes);
    } catch (reason) {
      refusal = reason;
    }
  };
  // A file that is cut, or no gzip from somewhere on, gives no more than was unpacked before.
  const isOver = () => undefined;
  const taking = readAll(readable, guarded).catch(isOver);
  await readAll(file.stream(), (bytes) => writer.ready.then(() => writer.write(bytes)).catch(isOver));
  // What was unpacked is taken first: at an end that comes too early the rest is thrown away.
  await writer.ready.then(() => writer.close()).catch(isOver);
  await taking;
  if (refusal !== null) throw refusal;
}

async function readAll<T>(stream: ReadableStream<T>, take: (part: T) => void | Promise<void>): Promise<void> {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    await take(value);
  }
}
