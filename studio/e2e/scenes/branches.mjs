/** Branches of a thread: compared with each other, and made by editing states. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

const said = (content) => ({ messages: [{ role: "user", content }] });

async function forked(server) {
  const threadId = await server.ran("chat", said("my name is Ada"));
  const [first] = await server.post(`/threads/${threadId}/history`, { limit: 1 });
  await server.ran("chat", said("one way"), { threadId });
  const { checkpoint_id } = first.checkpoint;
  await server.ran("chat", said("another way"), { threadId, checkpoint: { checkpoint_id } });
  return threadId;
}

scene("two branches are compared side by side, from where they part", async (stage) => {
  const { server, page } = stage;
  const threadId = await forked(server);
  await stage.look(threadId, "state");
  const branches = page.getByRole("combobox", { name: "Compare with a branch" });
  await branches.waitFor();
  // The one that is shown is not among them.
  assert.equal(await branches.locator("option").count(), 2);
  await branches.selectOption({ index: 1 });
  const comparison = page.getByRole("region", { name: "Comparison" });
  await comparison.getByText("They part after").waitFor();
  const sides = comparison.locator(".sides", { has: page.locator(".message") }).locator("> div");
  await sides.nth(0).locator(".message.human", { hasText: "another way" }).waitFor();
  await sides.nth(1).locator(".message.human", { hasText: "one way" }).waitFor();
  await comparison.getByText("2 messages are the same").waitFor();
  await stage.checkAccess();
  await page.reload();
  await comparison.getByRole("button", { name: "Swap sides" }).click();
  await sides.nth(0).locator(".message.human", { hasText: "one way" }).waitFor();
  await comparison.locator("p, div").getByRole("link").first().waitFor();
  await comparison.getByRole("button", { name: "Show one alone" }).click();
  await comparison.waitFor({ state: "detached" });
  await page.getByRole("button", { name: /^Compare with 0 / }).first().click();
  await comparison.waitFor();
});

scene("an edited state is checked by the schema, a key is taken out of it, and a list replaced", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  await server.allow(gate, 100);
  const threadId = await server.ran("slow", { upto: 2, seen: [], gate });
  await stage.look(threadId, "state");
  await page.locator(".checkpoints button", { hasText: "→ step" }).first().click();
  await page.getByRole("button", { name: "Edit", exact: true }).click();
  const editor = page.getByRole("textbox", { name: "Values" });
  await editor.fill(JSON.stringify({ upto: "2", seen: [7], gates: gate }));
  const findings = page.locator(".findings");
  await findings.getByText("upto has to be integer, and is string").waitFor();
  await findings.getByText("gates is no key of the graph's state").waitFor();
  await editor.fill(JSON.stringify({ upto: 2, seen: [7] }));
  await findings.getByText("upto").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Run again with this state" }).click();
  await editor.waitFor({ state: "detached" });
  await page.locator(".checkpoints button", { hasText: "■" }).nth(1).waitFor();
  const { values } = await server.get(`/threads/${threadId}/state`);
  assert.deepEqual(values, { upto: 2, seen: [7, 1] });
});

scene("a message is taken out of a conversation", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("chat", said("first"));
  await server.ran("chat", said("second"), { threadId });
  await stage.look(threadId, "state");
  await page.locator(".checkpoints button", { hasText: "→ chat" }).first().click();
  await page.getByRole("button", { name: "Edit", exact: true }).click();
  const editor = page.getByRole("textbox", { name: "Values" });
  const state = JSON.parse(await editor.inputValue());
  assert.equal(state.messages.length, 3);
  await editor.fill(JSON.stringify({ ...state, messages: state.messages.slice(2) }));
  await page.getByRole("button", { name: "Run again with this state" }).click();
  await page.locator(".checkpoints button", { hasText: "■" }).nth(2).waitFor();
  const { values } = await server.get(`/threads/${threadId}/state`);
  assert.deepEqual(values.messages.map((message) => message.type), ["human", "ai"]);
});
