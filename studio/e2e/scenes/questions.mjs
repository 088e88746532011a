/** Questions of runs, in the inbox and at their threads. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

scene("a question is answered by a form from its schema, in the inbox", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("asks", {});
  await stage.visit("#/inbox");
  const question = page.locator(".inbox article", { hasText: threadId });
  await question.getByText("Which colour?").waitFor();
  await question.getByLabel("Colour").selectOption("blue");
  await question.getByLabel("Reason").fill("it is calm");
  await question.getByRole("button", { name: "Answer" }).click();
  await question.waitFor({ state: "detached" });
  await stage.look(threadId, "state");
  await page.getByText("blue: it is calm").first().waitFor();
});

scene("a question has a link to its thread, where it is answered too", async (stage) => {
  const { page } = stage;
  await stage.begin("asks", {});
  await stage.node("choose", "asks").waitFor();
  const threadId = /threads\/([^/]+)/.exec(page.url())[1];
  await page.getByRole("link", { name: "Inbox" }).click();
  await page.locator(".inbox article", { hasText: threadId }).getByRole("link", { name: threadId }).click();
  await page.getByLabel("Colour").selectOption("red");
  await page.getByLabel("Reason").fill("it is warm");
  await page.getByRole("button", { name: "Answer" }).click();
  await stage.turn("State");
  await page.getByText("red: it is warm").first().waitFor();
});

scene("an answer that a question does not take is said to be wrong", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("asks", {});
  await stage.look(threadId);
  await page.getByLabel("Colour").waitFor();
  assert.deepEqual(await page.getByLabel("Colour").locator("option").allInnerTexts(), ["red", "blue"]);
});
