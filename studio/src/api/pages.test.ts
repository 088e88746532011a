import { describe, expect, it } from "vitest";

import { EditError, type Edit } from "../model/edit";
import { parseSearch } from "../model/search";
import type { Api, ThreadSearch } from "./client";
import { writeEdit } from "./editing";
import { findThreads, readHistory } from "./finding";
import type { Checkpoint, Json, JsonObject, ThreadState } from "./types";

const fake = (methods: object) => methods as unknown as Api;
const place = (checkpoint_id: string): Checkpoint => ({ thread_id: "t", checkpoint_ns: "", checkpoint_id });

describe("threads", () => {
  function served(count: number, asked: ThreadSearch[] = []): Api {
    return fake({
      threads: (search: ThreadSearch) => {
        asked.push(search);
        const ids = Array.from({ length: count }, (_, number) => number).slice(search.offset, search.offset + search.limit);
        return Promise.resolve(ids.map((id) => ({ thread_id: String(id), metadata: {}, values: { text: `word${id}.` } })));
      },
    });
  }

  it("are looked through page by page, with their states only for words", async () => {
    const asked: ThreadSearch[] = [];
    const found = await findThreads(served(250, asked), parseSearch("owner:ada word201."), "error", 1000);
    expect(found).toMatchObject({ threads: [{ thread_id: "201" }], seen: 250, isAll: true });
    expect(asked.map(({ offset }) => offset)).toEqual([0, 100, 200]);
    expect(asked[0]).toMatchObject({ status: "error", metadata: { owner: "ada" } });
    expect(asked[0]?.select).toContain("values");
    await findThreads(served(1, asked), parseSearch(""), "", 200);
    expect(asked.at(-1)?.select).not.toContain("values");
  });

  it("are found as far as was looked, each once", async () => {
    expect(await findThreads(served(250), parseSearch(""), "", 200)).toMatchObject({ seen: 200, isAll: false });
    const twice = fake({ threads: () => Promise.resolve(Array.from({ length: 100 }, () => ({ thread_id: "a" }))) });
    expect((await findThreads(twice, parseSearch(""), "", 200)).threads.length).toBe(1);
  });
});

describe("a history", () => {
  it("is read page by page, from where the last page ended", async () => {
    const asked: [number, string | undefined][] = [];
    const api = fake({
      history: (_: string, limit: number, __: JsonObject, before?: Checkpoint) => {
        asked.push([limit, before?.checkpoint_id]);
        const first = Number(before?.checkpoint_id ?? 701);
        const ids = Array.from({ length: Math.min(limit, first - 1) }, (___, number) => String(first - 1 - number));
        return Promise.resolve(ids.map((id) => ({ checkpoint: place(id) })));
      },
    });
    expect((await readHistory(api, "t", 600)).length).toBe(600);
    expect(asked).toEqual([[500, undefined], [100, "201"]]);
    expect((await readHistory(api, "t", 5000)).length).toBe(700);
  });
});

describe("an edit", () => {
  /** A thread with a reducer for `seen` that adds, and none for others. */
  function served(written: JsonObject[]): Api {
    return fake({
      updateState: (_: string, values: JsonObject) => {
        written.push(values);
        return Promise.resolve({ checkpoint: place(String(written.length - 1)) });
      },
      state: (_: string, id: string) => {
        const values = written[Number(id)]!;
        const { seen } = values;
        const became: Json = Array.isArray(seen) ? [0, ...seen] : ((seen as JsonObject).__overwrite__ ?? null);
        return Promise.resolve({ values: { ...values, seen: became } } as unknown as ThreadState);
      },
    });
  }

  it("is written in another form where the graph makes something else of it", async () => {
    const written: JsonObject[] = [];
    const edit: Edit = { base: place("b"), asNode: undefined, values: { seen: [7], upto: 2 }, forms: { seen: ["plain", "replacement"], upto: ["plain"] } };
    expect((await writeEdit(served(written), "t", edit)).checkpoint_id).toBe("1");
    expect(written).toEqual([{ seen: [7], upto: 2 }, { seen: { __overwrite__: [7] }, upto: 2 }]);
  });

  it("that the graph takes in no form is told", async () => {
    const edit: Edit = { base: place("b"), asNode: undefined, values: { seen: [7] }, forms: { seen: ["plain"] } };
    await expect(writeEdit(served([]), "t", edit)).rejects.toThrow(EditError);
  });
});
