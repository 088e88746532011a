/** Messages as they are meant: Markdown, tables and images, and nothing that runs or loads. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

scene("what a model writes is Markdown, with its own images and no others", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("priced", { messages: [] });
  await stage.look(threadId, "state");
  const message = page.locator(".message.ai", { hasText: "forty-two" }).last();
  await message.getByRole("heading", { name: "The answer" }).waitFor();
  await message.getByRole("cell", { name: "42" }).waitFor();
  await message.getByRole("listitem").getByText("two").waitFor();
  const link = message.getByRole("link", { name: "the book" });
  assert.equal(await link.getAttribute("href"), "https://example.com/book");
  assert.match(await link.getAttribute("rel"), /noopener noreferrer/);
  await message.getByText("(https://example.com/book)").waitFor();
  assert.equal(await message.locator("a").count(), 1);
  // The one that has its bytes in it is drawn; the other one is not even asked for.
  const images = message.locator("img");
  assert.equal(await images.count(), 1);
  assert.equal(await images.first().evaluate((image) => image.naturalWidth), 1);
  await message.getByText("![spy](https://example.com/spy.png) <b>HTML</b>").waitFor();
  await stage.checkAccess();
  await message.getByRole("button", { name: "as written" }).click();
  await message.getByText("**forty-two**").waitFor();
});
