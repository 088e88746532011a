/** Pages that are reloaded, and servers that are killed, while a run goes on. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

const PANELS = ["Graph", "Timeline", "State", "Tokens"];

/** Returns what each panel of a page says. */
async function shown(stage, page) {
  const said = {};
  for (const name of PANELS) {
    await page.getByRole("navigation", { name: "Run" }).getByRole("link", { name, exact: true }).click();
    const panel = page.locator(".panel");
    await panel.getByRole("region", { name }).waitFor();
    if (name === "Graph") await stage.node("team", undefined, page).waitFor();
    if (name === "State") await panel.getByText("→ team").waitFor();
    // As text, because what is not in sight is not drawn.
    said[name] = (await panel.locator(".node, .row, .checkpoints, .state-details, .speech").allTextContents()).sort();
  }
  return said;
}

scene("a page that is reloaded in mid-run shows the same as one that stayed", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  const run = await server.run("counts", { messages: [{ role: "user", content: "count" }], gate });
  await stage.look(run.threadId, "tokens");
  await server.allow(gate, 3);
  await page.getByText("word2", { exact: false }).waitFor();
  const other = await stage.context.newPage();
  await stage.look(run.threadId, "tokens", other);
  await other.getByText("word0 word1 word2").waitFor();
  await server.allow(gate, 6);
  await page.getByText("word5", { exact: false }).waitFor();
  await other.reload();
  await other.getByText("word0 word1 word2 word3 word4 word5").waitFor();
  await server.allow(gate, 10);
  await server.ended(run);
  for (const each of [page, other]) {
    await each.getByText("word9", { exact: false }).waitFor();
    await each.getByRole("button", { name: "Stop", exact: true, disabled: true }).waitFor();
  }
  const stayed = await shown(stage, page);
  assert.deepEqual(await shown(stage, other), stayed);
  await page.reload();
  assert.deepEqual(await shown(stage, page), stayed);
});

scene("a run goes on under the page when the server is killed and started again", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  await stage.begin("slow", { upto: 8, seen: [], gate });
  await server.allow(gate, 2);
  await page.getByText("×3").waitFor();
  await server.kill();
  await page.getByRole("status").waitFor();
  await server.allow(gate, 8);
  await server.start();
  await page.getByText("×8").waitFor();
  await stage.turn("State");
  await page.getByText("[8]").first().waitFor();
  await page.getByRole("status").waitFor({ state: "detached" });
}, { own: true, lacks: "what was running when it was killed is not taken up again" });
