/** A long text in pieces: where one of them is edited, the others are not touched. */

const SIZE = 50_000;

export class Pieces {
  #texts: string[] = [];

  /** Cuts a text at line ends, where it has some. */
  constructor(text: string, size = SIZE) {
    for (let from = 0; from < text.length || from === 0; ) {
      const end = from + size >= text.length ? -1 : text.indexOf("\n", from + size);
      // A line that is longer than pieces should be is cut anywhere.
      const to = end < 0 ? text.length : end + 1;
      const cut = to - from > 4 * size ? from + size : to;
      this.#texts.push(text.slice(from, cut));
      from = Math.max(cut, from + 1);
    }
  }

  get count(): number {
    return this.#texts.length;
  }

  piece(place: number): string {
    return this.#texts[place] ?? "";
  }

  set(place: number, text: string): void {
    this.#texts[place] = text;
  }

  whole(): string {
    return this.#texts.join("");
  }

  /** Returns the numbers of the first and the last line of a piece. */
  lines(place: number): [number, number] {
    const before = this.#texts.slice(0, place).reduce((sum, text) => sum + endsIn(text), 0);
    const inside = endsIn(this.piece(place));
    return [before + 1, before + Math.max(1, inside)];
  }

  /** Returns the next piece after one, or from the beginning, that has a text in it; null if none has. */
  find(text: string, after: number): number | null {
    for (let step = 1; step <= this.count; step++) {
      const place = (after + step) % this.count;
      if (this.piece(place).includes(text)) return place;
    }
    return null;
  }
}

function endsIn(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}
