// Calls every method of a JavaScript client: `node calls.mjs VERSION URL`.
// For each call a line of JSON tells its name, and what was wrong if something was.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

const [version, apiUrl] = process.argv.slice(2);
const { Client } = await import(`sdk-${version}`);
const client = new Client({ apiUrl, apiKey: null, callerOptions: { maxRetries: 0 } });

const HI = { messages: [{ role: "user", content: "hi" }] };
const SAID = "hello from the fake model";
const LONG = { n: 3000, delay: 0.02 };
const QUICK = { n: 2, delay: 0 };

async function parts(stream) {
  const found = [];
  for await (const part of stream) found.push(part);
  return found;
}

async function threadId() {
  return (await client.threads.create()).thread_id;
}

async function until(ask) {
  for (;;) {
    const found = await ask();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function refused(status, call) {
  await assert.rejects(call, (error) => error.status === status);
}

const calls = {
  async assistants_search_and_get() {
    const found = await client.assistants.search({ graphId: "chat" });
    const same = await client.assistants.get(found[0].assistant_id);
    assert.deepEqual(same, found[0]);
    assert.ok((await client.assistants.count({ graphId: "chat" })) >= 1);
    await refused(404, () => client.assistants.get(randomUUID()));
  },
  async assistants_of_a_graph() {
    const [sink] = await client.assistants.search({ graphId: "sink" });
    const [slow] = await client.assistants.search({ graphId: "slow" });
    const drawn = await client.assistants.getGraph(sink.assistant_id, { xray: true });
    assert.ok(drawn.nodes.length > 3 && drawn.edges.length > 3);
    const schemas = await client.assistants.getSchemas(slow.assistant_id);
    assert.equal(schemas.graph_id, "slow");
    assert.ok(schemas.input_schema.properties.n);
    assert.deepEqual(Object.keys(await client.assistants.getSubgraphs(sink.assistant_id)), ["inner"]);
  },
  async assistants_and_their_versions() {
    const made = await client.assistants.create({ graphId: "chat", name: "one" });
    await client.assistants.update(made.assistant_id, { name: "two" });
    const versions = await client.assistants.getVersions(made.assistant_id);
    assert.deepEqual(versions.map((each) => each.version), [2, 1]);
    assert.equal((await client.assistants.setLatest(made.assistant_id, 1)).name, "one");
    await client.assistants.delete(made.assistant_id);
    await refused(404, () => client.assistants.get(made.assistant_id));
  },
  async threads_and_their_metadata() {
    const mark = randomUUID();
    const made = await client.threads.create({ metadata: { mark } });
    await client.threads.update(made.thread_id, { metadata: { more: 1 } });
    const [found] = await client.threads.search({ metadata: { mark } });
    assert.deepEqual(found.metadata, { mark, more: 1 });
    assert.equal(await client.threads.count({ metadata: { mark } }), 1);
    await client.threads.delete(made.thread_id);
    await refused(404, () => client.threads.get(made.thread_id));
  },
  async threads_and_their_state() {
    const thread = await threadId();
    await client.runs.wait(thread, "chat", { input: HI });
    const state = await client.threads.getState(thread);
    assert.equal(state.values.messages.at(-1).content, SAID);
    await client.threads.updateState(thread, {
      values: { messages: [{ role: "user", content: "more" }] },
    });
    const history = await client.threads.getHistory(thread, { limit: 2 });
    assert.equal(history[0].values.messages.length, 3);
    assert.equal(history[1].values.messages.length, 2);
    const past = await client.threads.getState(thread, history[1].checkpoint);
    assert.equal(past.values.messages.length, 2);
    const copy = await client.threads.copy(thread);
    assert.equal((await client.threads.getState(copy.thread_id)).values.messages.length, 3);
  },
  async runs_in_every_stream_mode() {
    const streamMode = [
      "values", "messages-tuple", "updates", "events", "debug", "tasks", "checkpoints", "custom",
    ];
    const thread = await threadId();
    const seen = await parts(
      client.runs.stream(thread, "sink", { input: HI, streamMode, streamSubgraphs: true }),
    );
    const names = new Set(seen.map((part) => part.event.split("|")[0]));
    for (const mode of streamMode) {
      assert.ok(names.has(mode === "messages-tuple" ? "messages" : mode), `no ${mode}`);
    }
    assert.ok(seen.some((part) => part.event.startsWith("updates|inner:")));
    assert.equal(seen[0].event, "metadata");
    assert.equal(names.has("error"), false);
  },
  async runs_stream_tokens() {
    const seen = await parts(
      client.runs.stream(null, "chat", { input: HI, streamMode: "messages-tuple" }),
    );
    const told = seen.filter((part) => part.event === "messages").map((part) => part.data[0]);
    assert.equal(told.map((message) => message.content).join(""), SAID);
  },
  async runs_and_what_they_are() {
    const thread = await threadId();
    const run = await client.runs.create(thread, "slow", { input: QUICK });
    assert.deepEqual(await client.runs.join(thread, run.run_id), { seen: [2, -1], ...QUICK });
    assert.equal((await client.runs.get(thread, run.run_id)).status, "success");
    assert.equal((await client.runs.list(thread)).length, 1);
    await client.runs.delete(thread, run.run_id);
    await refused(404, () => client.runs.get(thread, run.run_id));
  },
  async runs_in_a_batch() {
    const payload = { assistantId: "slow", input: QUICK };
    const runs = await client.runs.createBatch([payload, payload]);
    assert.equal(runs.length, 2);
  },
  async runs_are_cancelled() {
    const thread = await threadId();
    const run = await client.runs.create(thread, "slow", { input: LONG });
    await until(async () => (await client.runs.get(thread, run.run_id)).status === "running");
    await client.runs.cancel(thread, run.run_id, true);
    assert.equal((await client.runs.get(thread, run.run_id)).status, "interrupted");
  },
  async runs_are_refused_on_a_busy_thread() {
    const thread = await threadId();
    const run = await client.runs.create(thread, "slow", { input: LONG });
    const more = { input: QUICK, multitaskStrategy: "reject" };
    await refused(409, () => client.runs.create(thread, "slow", more));
    await client.runs.cancel(thread, run.run_id, true, "rollback");
    await refused(404, () => client.runs.get(thread, run.run_id));
  },
  async runs_are_resumed_where_a_reader_was() {
    const thread = await threadId();
    const input = { n: 20, delay: 0.01 };
    const options = { input, streamMode: "custom", streamResumable: true };
    let last, run;
    const seen = [];
    for await (const part of client.runs.stream(thread, "slow", options)) {
      if (part.event === "metadata") run = part.data.run_id;
      if (part.event === "custom") seen.push(part.data.i);
      last = part.id;
      if (seen.length === 5) break;
    }
    const rest = await parts(client.runs.joinStream(thread, run, { lastEventId: last }));
    seen.push(...rest.filter((part) => part.event === "custom").map((part) => part.data.i));
    assert.deepEqual(seen, [...Array(20).keys()]);
  },
  async runs_tell_their_errors() {
    const boom = { n: 0, boom: true };
    const seen = await parts(client.runs.stream(null, "slow", { input: boom }));
    assert.equal(seen.at(-1).event, "error");
    assert.match(seen.at(-1).data.message, /boom in tick/);
    await assert.rejects(() => client.runs.wait(null, "slow", { input: boom }), /boom in tick/);
  },
  async questions_are_answered() {
    const thread = await threadId();
    await client.runs.wait(thread, "hitl", { input: HI });
    const asked = await client.threads.get(thread);
    assert.equal(asked.status, "interrupted");
    const [[question]] = Object.values(asked.interrupts);
    assert.equal(question.value.question, "approve?");
    const done = await client.runs.wait(thread, "hitl", { command: { resume: "yes" } });
    assert.equal(done.messages.at(-1).content, "answer=yes");
  },
  async the_store_keeps_items() {
    const namespace = ["javascript", version.replaceAll(".", "-")];
    await client.store.putItem(namespace, "key", { text: "kept" });
    assert.deepEqual((await client.store.getItem(namespace, "key")).value, { text: "kept" });
    const { items } = await client.store.searchItems(namespace);
    assert.equal(items.length, 1);
    const { namespaces } = await client.store.listNamespaces({ prefix: namespace });
    assert.deepEqual(namespaces, [namespace]);
    await client.store.deleteItem(namespace, "key");
    assert.equal(await client.store.getItem(namespace, "key"), null);
  },
};

for (const [name, call] of Object.entries(calls)) {
  let wrong = null;
  try {
    await call();
  } catch (error) {
    wrong = `${error.stack ?? error}`;
  }
  console.log(JSON.stringify({ name, wrong }));
}
