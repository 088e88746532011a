// Clients with the official JavaScript SDK: `node clients.mjs URL CONVERSATIONS SCENARIOS RECORDS`.
// They do what those in ../clients.py do, and write the same records.

import { createWriteStream, readFileSync } from "node:fs";
import { once } from "node:events";

import { Client } from "@langchain/langgraph-sdk";

const [apiUrl, conversationsPath, scenariosPath, recordsPath] = process.argv.slice(2);
const conversations = JSON.parse(readFileSync(conversationsPath, "utf8"));
const { modes, scenarios } = JSON.parse(readFileSync(scenariosPath, "utf8"));
const records = createWriteStream(recordsPath, { flags: "a" });
const PAUSE = 500;
const PATIENCE = 120;
const ADDRESSES = 8;
const USED = /was used for run ([0-9a-f-]{36})/;

let isOver = false;
process.stdin.resume();
process.stdin.on("end", () => {
  isOver = true;
});

// The clock that all processes of a machine share.
const now = () => Number(process.hrtime.bigint() / 1000n) / 1e6;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Talker {
  constructor() {
    this.has = {};
    this.key = "";
    this.failingSince = null;
    const fetch = async (text, init) => {
      // What is asked next may be answered by another replica.
      const url = new URL(text);
      url.hostname = `127.0.0.${1 + Math.floor(Math.random() * ADDRESSES)}`;
      const response = await globalThis.fetch(url, init);
      if ((init?.method ?? "GET") === "GET" && url.pathname.endsWith("/stream")) {
        this.note("joined", { status: response.status });
      }
      return response;
    };
    const onRequest = (url, init) => {
      if (init.method !== "POST" || !url.pathname.endsWith("/runs/stream")) return init;
      const headers = new Headers(init.headers);
      headers.set("Idempotency-Key", this.key);
      return { ...init, headers };
    };
    this.sdk = new Client({ apiUrl, apiKey: null, callerOptions: { fetch }, onRequest });
  }

  note(kind, more = {}) {
    records.write(`${JSON.stringify({ at: now(), kind, ...this.has, ...more })}\n`);
  }

  async converse([client, conversation, scenario, durability, thread_id]) {
    this.has = { client, conversation };
    this.note("begun", { name: conversation, scenario, durability, thread_id });
    const { graph, turns } = scenarios[scenario];
    for (const [number, turn] of turns.entries()) {
      this.has.turn = number;
      this.key = `${conversation}-${number}`;
      await this.run(thread_id, graph, turn, durability);
    }
    const { values, next } = await this.asked(() => this.sdk.threads.getState(thread_id));
    this.note("ended", { state: { values, next } });
  }

  async run(threadId, graph, turn, durability) {
    let run = "";
    let last = "-1";
    let status = "";
    const onRunCreated = ({ run_id }) => {
      run = run_id;
      this.note("created", { run });
    };
    while (!status) {
      const parts = run
        ? this.sdk.runs.joinStream(threadId, run, { lastEventId: last })
        : this.sdk.runs.stream(threadId, graph, {
            ...turn,
            streamMode: modes,
            streamSubgraphs: true,
            streamResumable: true,
            durability,
            ifNotExists: "create",
            onDisconnect: "continue",
            onRunCreated,
          });
      try {
        for await (const { id, event, data } of parts) {
          if (id) last = id;
          this.failingSince = null;
          this.note("event", { run, event, id: id ?? null, data });
        }
      } catch (error) {
        const used = error.status === 409 && USED.exec(error.message);
        if (used) {
          // It was created by a request whose answer has not come.
          onRunCreated({ run_id: used[1] });
        } else {
          await this.bear(error);
        }
        continue;
      }
      status = await this.status(threadId, run);
    }
    this.note("over", { run, status });
  }

  async status(threadId, run) {
    const { status } = await this.asked(() => this.sdk.runs.get(threadId, run));
    if (status !== "pending" && status !== "running") return status;
    this.note("early", { run });
    return "";
  }

  async asked(ask) {
    for (;;) {
      try {
        const answer = await ask();
        this.failingSince = null;
        return answer;
      } catch (error) {
        await this.bear(error);
      }
    }
  }

  // Waits a moment; what is the client's own fault does not pass, and not all else does.
  async bear(error) {
    this.failingSince ??= now();
    const isOwn = error.status >= 400 && error.status < 500;
    if (isOwn || now() - this.failingSince > PATIENCE) throw error;
    this.note("failed", { error: `${error.name}: ${error.message}`.slice(0, 200) });
    await pause(PAUSE);
  }
}

const byClient = new Map();
for (const each of conversations) {
  byClient.set(each[0], [...(byClient.get(each[0]) ?? []), each]);
}

async function have(mine) {
  const talker = new Talker();
  for (const conversation of mine) {
    if (isOver) return;
    await talker.converse(conversation);
  }
}

await Promise.all([...byClient.values()].map(have));
records.end();
await once(records, "finish");
process.exit(0);
