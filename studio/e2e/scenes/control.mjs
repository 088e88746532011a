/** Runs that are stopped, by a person or at a breakpoint, and threads that are busy. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

scene("a run is stopped, and stays so", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  await stage.begin("slow", { upto: 100, seen: [], gate });
  await stage.node("step", "running").waitFor();
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await stage.node("step", "stopped").waitFor();
  await page.getByRole("button", { name: "Stop", exact: true, disabled: true }).waitFor();
  await server.allow(gate, 100);
  const threadId = /threads\/([^/]+)/.exec(page.url())[1];
  const runs = await server.get(`/threads/${threadId}/runs`);
  assert.deepEqual(runs.map((run) => run.status), ["interrupted"]);
});

scene("a run stops before a node that has a breakpoint, and goes on from there", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  await server.allow(gate, 100);
  await stage.make("fans");
  await stage.node("gather").click({ modifiers: ["Shift"] });
  await stage.node("gather").locator(".breakpoint.before").waitFor();
  await page.getByRole("button", { name: "JSON", exact: true }).click();
  await page.getByRole("textbox", { name: "Input" }).fill(JSON.stringify({ count: 2, gate }));
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await stage.node("part", "done").waitFor();
  await stage.turn("State");
  await page.locator(".checkpoints button", { hasText: "→ gather" }).waitFor();
  await page.getByRole("button", { name: "Run again from here" }).click();
  await page.locator(".checkpoints button", { hasText: "■" }).waitFor();
});

for (const [choice, ends] of [["stop the run", ["interrupted", "success"]], ["wait for the run", ["success", "success"]]]) {
  scene(`who starts a run on a busy thread may ${choice}`, async (stage) => {
    const { server, page } = stage;
    const gate = stage.gate();
    const first = await server.run("slow", { upto: 1, seen: [], gate });
    await stage.look(first.threadId);
    await stage.node("step", "running").waitFor();
    await page.getByRole("button", { name: "JSON", exact: true }).click();
    await page.getByRole("combobox", { name: "When the thread is busy" }).selectOption(choice);
    await page.getByRole("textbox", { name: "Input" }).fill(JSON.stringify({ upto: 1, gate }));
    const begun = page.waitForResponse((response) => response.request().method() === "POST" && response.url().endsWith("/runs"));
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await begun;
    await server.allow(gate, 100);
    await page.getByRole("button", { name: "Stop", exact: true, disabled: true }).waitFor();
    let runs = [];
    do runs = await server.get(`/threads/${first.threadId}/runs`);
    while (runs.some((run) => run.status === "pending" || run.status === "running"));
    assert.deepEqual(runs.map((run) => run.status).sort(), ends);
  });
}

scene("who starts a run on a busy thread may be refused", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  const first = await server.run("slow", { upto: 1, seen: [], gate });
  await stage.look(first.threadId);
  await stage.node("step", "running").waitFor();
  await page.getByRole("button", { name: "JSON", exact: true }).click();
  await page.getByRole("combobox", { name: "When the thread is busy" }).selectOption("refuse");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await page.locator(".run-form").getByRole("alert").waitFor();
  await server.allow(gate, 1);
  await stage.node("step", "done").waitFor();
});
