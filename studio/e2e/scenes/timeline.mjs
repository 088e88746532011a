/** The timeline, and what models say. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

scene("calls of models and tools are lines of the timeline, with what went in and out", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("chat", { messages: [{ role: "user", content: "What is 12 * (3 + 4)?" }] });
  await stage.look(threadId, "timeline");
  await page.locator(".row.done", { hasText: "tools" }).first().click();
  await page.waitForURL(/timeline\?task=/);
  const details = page.getByRole("complementary", { name: "tools" });
  await details.getByRole("button", { name: /messages|input|tool/ }).first().waitFor();
  assert.equal(await page.locator(".row.done", { hasText: "chat" }).count(), 2);
  await page.locator(".row.model").first().waitFor();
  // The address is that of the task.
  await page.reload();
  await details.waitFor();
});

scene("what failed comes first", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("slow", { upto: 1, seen: [] });
  await server.ran("fails", { text: "why" }, { threadId });
  await stage.look(threadId, "timeline");
  await page.locator(".row").first().and(page.locator(".failed")).waitFor();
});

scene("what a model says is there word by word, in nested graphs too", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  const run = await server.run("counts", { messages: [], gate });
  await stage.look(run.threadId, "tokens");
  for (const upto of [1, 4]) {
    await server.allow(gate, upto);
    await page.locator(".speech .said").getByText(`word${upto - 1}`).waitFor();
    assert.equal(await page.getByText(`word${upto}`).count(), 0);
  }
  await server.allow(gate, 10);
  await page.getByText("word9").waitFor();
  await page.locator(".speech header", { hasText: "count" }).waitFor();
});

scene("reasoning, calls of tools and words of several agents at a time are told apart", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("agents", { messages: [{ role: "user", content: "Look at it." }] });
  await stage.look(threadId, "tokens");
  await page.locator(".speech .tool-call", { hasText: "counter(" }).first().waitFor();
  await page.locator(".speech", { hasText: "In short:" }).waitFor();
  await page.locator(".speech", { hasText: "Now for the sentences" }).waitFor();
}, { lacks: "the agents need what LangGraph does not have" });
