/** What models have used, and what that costs. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

scene("tokens are counted by node and model, and cost what the user says", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("priced", { messages: [] });
  await stage.look(threadId, "usage");
  const run = page.getByRole("table").first();
  for (const [node, model] of [["plan", "mill-small"], ["write", "mill-large"]]) {
    await run.getByRole("row", { name: new RegExp(`${node} ${model} 1 1,000 400 200 0`) }).waitFor();
  }
  await run.getByRole("row", { name: /Together 2 2,000 800 400/ }).waitFor();
  // There are no prices but those of the user.
  assert.equal(await run.getByText("USD").count(), 0);
  await page.getByText("Prices").click();
  await page.getByRole("spinbutton", { name: "mill-small: Input tokens" }).fill("2");
  await page.getByRole("spinbutton", { name: "mill-small: of it cached" }).fill("0.5");
  await page.getByRole("spinbutton", { name: "mill-small: Output tokens" }).fill("10");
  // 600 tokens at 2, 400 at 0.5 and 200 at 10 for a million; the other model has no price yet.
  await run.getByRole("row", { name: /plan .* 0\.003400 USD/ }).waitFor();
  await run.getByRole("row", { name: /Together .* ≥ 0\.003400 USD/ }).waitFor();
  await stage.checkAccess();
  await page.reload();
  await run.getByRole("row", { name: /plan .* 0\.003400 USD/ }).waitFor();
});

scene("supersteps and calls of tools are seen in the timeline", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("chat", { messages: [{ role: "user", content: "What is 12 * (3 + 4)?" }] });
  await stage.look(threadId, "timeline");
  await page.getByRole("list", { name: "supersteps" }).getByRole("listitem").nth(2).waitFor();
  await page.locator(".row.tool").first().click();
  const details = page.getByRole("complementary");
  await details.getByRole("heading", { name: /\(\)$/ }).waitFor();
  await details.getByText("Result").waitFor();
  await page.locator(".row.model").first().click();
  await details.getByText("Metadata").click();
  await details.getByText("langgraph_node").waitFor();
});

scene("the timeline is gone through by keys", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("chat", { messages: [{ role: "user", content: "What is 2 + 2?" }] });
  await stage.look(threadId, "timeline");
  const rows = page.locator(".row");
  await rows.first().focus();
  await page.keyboard.press("End");
  const last = rows.last();
  await page.waitForFunction(() => globalThis.document.activeElement?.matches("[role=listitem]:last-child .row"));
  assert.equal(await last.evaluate((row) => row.tabIndex), 0);
  assert.equal(await page.locator(".row[tabindex='0']").count(), 1);
  await page.keyboard.press("Enter");
  await page.waitForURL(/task=/);
});
