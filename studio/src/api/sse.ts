/** Server-sent events, parsed as they come. */

export interface StreamEvent {
  /** The id to come back with; empty where there is none. */
  id: string;
  event: string;
  data: string;
}

/** Takes texts as they arrive, and returns the events that are whole. */
export class EventParser {
  /** What came since the last line end: its pieces, so that a long line is looked through once. */
  #rest: string[] = [];
  #lastId = "";
  #event = "";
  #data: string[] = [];

  push(text: string): StreamEvent[] {
    // A "\r" at the end may be half a line end.
    const isCut = this.#rest.at(-1)?.endsWith("\r") === true;
    this.#rest.push(text);
    if (!isCut && !/[\r\n]/.test(text)) return [];
    const lines = this.#rest.join("").split(/\r\n|\n|\r(?!$)/);
    this.#rest = [lines.pop() ?? ""];
    const found: StreamEvent[] = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length > 0 || this.#event !== "") {
          found.push({ id: this.#lastId, event: this.#event, data: this.#data.join("\n") });
        }
        this.#event = "";
        this.#data = [];
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") this.#event = value;
      else if (field === "data") this.#data.push(value);
      else if (field === "id") this.#lastId = value;
    }
    return found;
  }
}

/** Yields the events of a response until it ends. */
export async function* eventsOf(response: Response): AsyncGenerator<StreamEvent[]> {
  if (response.body === null) return;
  const parser = new EventParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = parser.push(value);
      if (events.length > 0) yield events;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
