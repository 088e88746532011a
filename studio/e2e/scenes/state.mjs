/** States, and runs that go on from them otherwise. */

import { scene } from "../frame.mjs";

scene("each checkpoint says what has changed in it, messages as messages", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("chat", { messages: [{ role: "user", content: "my name is Ada" }] });
  await stage.look(threadId, "state");
  const newest = page.locator(".changes");
  await newest.locator(".added", { hasText: "messages[1]" }).locator(".message.ai", { hasText: "Ada" }).waitFor();
  await page.locator(".checkpoints button", { hasText: "→ chat" }).click();
  await page.waitForURL(/state\?checkpoint=/);
  await page.locator(".message.human", { hasText: "my name is Ada" }).first().waitFor();
  await page.locator(".message.ai").waitFor({ state: "detached" });
  // The address is that of the checkpoint.
  await page.reload();
  await page.locator(".checkpoints [aria-current=true]", { hasText: "→ chat" }).waitFor();
});

scene("a run is done again from a checkpoint, as it was", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("chat", { messages: [{ role: "user", content: "hello" }] });
  await stage.look(threadId, "state");
  await page.locator(".checkpoints button", { hasText: "→ chat" }).click();
  const begun = page.waitForResponse((response) => response.request().method() === "POST" && response.url().endsWith("/runs"));
  await page.getByRole("button", { name: "Run again from here" }).click();
  await begun;
  await page.locator(".checkpoints button", { hasText: "■" }).nth(1).waitFor();
});

scene("a run is done again from a checkpoint whose state was edited", async (stage) => {
  const { server, page } = stage;
  const gate = stage.gate();
  await server.allow(gate, 100);
  const threadId = await server.ran("slow", { upto: 2, seen: [], gate });
  await stage.look(threadId, "state");
  await page.locator(".checkpoints button", { hasText: "→ step" }).first().click();
  await page.getByRole("button", { name: "Edit", exact: true }).click();
  const editor = page.getByRole("textbox", { name: "Values" });
  const state = JSON.parse(await editor.inputValue());
  await editor.fill(JSON.stringify({ ...state, upto: 4 }));
  await page.getByRole("button", { name: "Run again with this state" }).click();
  await page.getByText("[4]").first().waitFor();
});
