/** Threads and runs, as they are found by what they hold. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

scene("threads are found by metadata and by words in their states", async (stage) => {
  const { server, page } = stage;
  const mark = stage.gate();
  const { thread_id: threadId } = await server.post("/threads", { metadata: { graph_id: "fails", customer: mark, priority: 3 } });
  await server.ran("fails", { text: `a very ${mark}-like text` }, { threadId });
  await server.ran("fails", { text: "another one" });
  await stage.visit();
  const list = page.getByRole("complementary", { name: "Threads" });
  const items = list.getByRole("listitem");
  const search = page.getByRole("searchbox");
  const isAlone = async () => {
    await items.nth(1).waitFor({ state: "detached" });
    await items.getByText(threadId.slice(-8)).waitFor();
  };
  await items.nth(1).waitFor();
  await search.fill(`customer:${mark} priority:3`);
  await isAlone();
  await search.fill(`customer:${mark} priority:"3"`);
  await list.getByText("No such thread.").waitFor();
  await search.fill(`VERY ${mark}-like`);
  await isAlone();
  await items.locator(".excerpt", { hasText: `a very ${mark}-like text` }).waitFor();
  await search.fill(threadId);
  await isAlone();
  await items.getByRole("button").click();
  // The clipboard itself is that of all scenes.
  await items.getByText("copied").waitFor();
}, { lacks: "a thread whose first run fails has no values" });

scene("the runs of a thread are found by status, id and metadata", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  await server.allow(gate, 1);
  const threadId = await server.ran("slow", { upto: 1, gate, seen: [] }, { metadata: { reason: "first" } });
  const second = await server.run("slow", { upto: 3, gate }, { threadId, metadata: { reason: "second" } });
  await stage.look(threadId, "runs");
  const rows = page.getByRole("region", { name: "Runs" }).locator("tbody tr");
  await rows.locator(".badge.running").waitFor();
  assert.equal(await rows.count(), 2);
  await server.allow(gate, 100);
  // By itself.
  await rows.locator(".badge.running").waitFor({ state: "detached" });
  const search = page.getByRole("searchbox", { name: "Find by id or metadata" });
  await search.fill("first");
  await rows.nth(1).waitFor({ state: "detached" });
  await search.fill(second.runId.slice(0, 30));
  await rows.getByRole("button", { name: second.runId }).click();
  await rows.getByText("copied").waitFor();
  await search.fill("");
  await page.getByRole("region", { name: "Runs" }).getByRole("combobox", { name: "Status" }).selectOption("error");
  await page.getByText("No such run.").waitFor();
  await stage.checkAccess();
});
