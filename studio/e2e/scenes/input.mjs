/** What runs begin with. */

import { scene } from "../frame.mjs";

scene("a run begins with a message, and the conversation goes on", async (stage) => {
  const { page } = stage;
  await stage.make("chat");
  const input = page.getByRole("textbox", { name: "Input" });
  await input.fill("my name is Ada");
  await input.press("Enter");
  await stage.node("chat", "done").waitFor();
  await input.and(page.locator(":enabled")).fill("what is my name?");
  await input.press("Enter");
  await stage.turn("State");
  await page.locator(".message.ai", { hasText: "Ada" }).nth(1).waitFor();
});

scene("a run begins with a form from the schema of its graph", async (stage) => {
  const { page } = stage;
  await stage.make("fails");
  await page.getByRole("textbox", { name: "Text", exact: true }).fill("by a form");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await page.getByRole("alert").filter({ hasText: "by a form" }).first().waitFor();
});

scene("input that is no JSON is told, and not sent", async (stage) => {
  const { page } = stage;
  await stage.make("slow");
  await page.getByRole("button", { name: "JSON", exact: true }).click();
  const input = page.getByRole("textbox", { name: "Input" });
  await input.fill("{upto: 1}");
  await input.blur();
  await page.getByRole("alert").filter({ hasText: "no JSON" }).waitFor();
  await page.getByRole("button", { name: "Start", exact: true, disabled: true }).waitFor();
});
