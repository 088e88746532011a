/** The graph, live. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

scene("a run is watched in its graph, also by who comes later or reloads", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  await stage.begin("slow", { upto: 8, seen: [], gate });
  await stage.node("step", "running").waitFor();
  assert.match(await stage.node("step").locator(".node-status").innerText(), /^\d+\.\d s/);
  const other = await stage.context.newPage();
  await other.goto(page.url());
  await server.allow(gate, 3);
  await other.getByText("×4").waitFor();
  await page.reload();
  await page.getByText("×4").waitFor();
  await server.allow(gate, 8);
  await stage.node("step", "done").waitFor();
  await stage.node("step", "done", other).waitFor();
  await page.getByText("×8").waitFor();
  await other.getByText("×8").waitFor();
});

scene("parallel tasks are counted while they run", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  const run = await server.run("fans", { count: 5, gate });
  await stage.look(run.threadId);
  await stage.node("part", "running").getByText("5/5").waitFor();
  await stage.node("gather", "waits").waitFor();
  await server.allow(gate, 3);
  await stage.node("part", "running").getByText("2/5").waitFor();
  await server.allow(gate, 5);
  await stage.node("part", "done").getByText("×5").waitFor();
  await stage.node("gather", "done").waitFor();
  await page.getByRole("button", { name: "As it ran" }).click();
  await stage.node("end").waitFor({ state: "detached" });
  await stage.node("part", "done").getByText("×5").waitFor();
});

scene("the digest of a text is drawn as it ran, with a task for each of its sections", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("digest", { path: new URL("../../../docs/studio.md", import.meta.url).pathname });
  await stage.look(threadId);
  for (const name of ["read", "split", "score", "select", "write"]) await stage.node(name, "done").waitFor();
  await stage.turn("Timeline");
  await page.locator(".row.done", { hasText: "score" }).first().waitFor();
});

scene("nested graphs unfold, and what goes on in them is seen", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  await server.run("counts", { messages: [], gate }).then(({ threadId }) => stage.look(threadId));
  await stage.node("team", "running").waitFor();
  await stage.node("count").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "+ team" }).click();
  await stage.node("count", "running").waitFor();
  await server.allow(gate, 10);
  await stage.node("count", "done").waitFor();
  await page.getByRole("button", { name: "− team" }).click();
  await stage.node("team", "done").waitFor();
});

scene("why a run has failed is seen at once, and nothing of it is carried out", async (stage) => {
  const { page } = stage;
  await stage.begin("fails", { text: "because" });
  await page.getByRole("alert").filter({ hasText: "because" }).first().waitFor();
  await stage.node("fail", "failed").waitFor();
  await stage.turn("Timeline");
  await page.locator(".row.failed", { hasText: "fail" }).click();
  await page.locator(".details .fault", { hasText: "onerror" }).waitFor();
  assert.equal(await page.locator("img").count(), 0);
  assert.equal(await page.title(), "millstream studio");
});
