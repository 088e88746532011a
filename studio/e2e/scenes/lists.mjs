/** Threads, as they are found. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

scene("threads are found by id and by status, and change by themselves", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  const run = await server.run("slow", { upto: 1, seen: [], gate });
  await stage.visit();
  await page.getByRole("searchbox").fill(run.threadId);
  const list = page.getByRole("complementary", { name: "Threads" });
  // The others are left out in a moment.
  const found = list.getByRole("listitem").filter({ hasText: run.threadId.slice(-8) });
  await list.getByRole("listitem").nth(1).waitFor({ state: "detached" });
  await found.locator(".badge.busy").waitFor();
  await server.allow(gate, 1);
  await found.locator(".badge.idle").waitFor();
  await page.getByRole("combobox", { name: "Status" }).selectOption("error");
  await list.getByRole("listitem").first().waitFor({ state: "detached" });
});

scene("the id of a thread is copied", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("hostile", { kind: "none" });
  await stage.look(threadId);
  await page.getByRole("button", { name: threadId }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), threadId);
});
