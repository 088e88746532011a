/** What a server keeps besides threads: assistants, crons, items of the store; and how it is. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

scene("an assistant is made, changed, put back to what it was, and deleted", async (stage) => {
  const { page } = stage;
  await stage.visit("#/assistants");
  await page.getByRole("link", { name: "New assistant" }).click();
  const form = page.getByRole("form", { name: "New assistant" });
  await form.getByLabel("Name").fill("Careful one");
  await form.getByLabel("Graph").selectOption("slow");
  await form.getByLabel("Context").fill('{"depth": 1}');
  await form.getByRole("button", { name: "Save" }).click();
  const details = page.getByRole("article", { name: "Careful one" });
  await details.getByText("slow").first().waitFor();
  const id = new URL(page.url()).hash.split("/")[2];

  await details.getByRole("button", { name: "Edit" }).click();
  await page.getByRole("form", { name: "Careful one" }).getByLabel("Context").fill('{"depth": 2}');
  await page.getByRole("button", { name: "Save" }).click();
  await details.locator(".changes .changed", { hasText: "context.depth" }).waitFor();
  await stage.checkAccess();

  await details.getByRole("link", { name: "version 1" }).click();
  await page.waitForURL(/version=1/);
  await details.getByRole("button", { name: "Use this version" }).click();
  await details.getByRole("link", { name: "version 1 (in use)" }).waitFor();
  assert.deepEqual((await stage.server.get(`/assistants/${id}`)).context, { depth: 1 });

  await details.getByRole("button", { name: "Delete" }).click();
  const question = details.getByRole("group", { name: /Delete the assistant/ });
  await question.getByRole("button", { name: "Leave it" }).click();
  await details.getByRole("button", { name: "Delete" }).click();
  await question.getByRole("button", { name: "Delete" }).click();
  await page.waitForURL(/#\/assistants$/);
  await page.getByRole("link", { name: /Careful one/ }).waitFor({ state: "detached" });
}, { lacks: "the context stays when an older version is used again" });

scene("a thread is begun with an assistant", async (stage) => {
  const { server, page } = stage;
  const { assistant_id: id } = await server.post("/assistants", { graph_id: "slow", name: "For a thread" });
  await stage.visit(`#/assistants/${id}`);
  await page.getByRole("button", { name: "New thread" }).click();
  await page.waitForURL(/#\/threads\/.+/);
  const graph = page.locator(".thread").getByRole("combobox", { name: "Graph" });
  await graph.locator("option:checked", { hasText: "For a thread" }).waitFor({ state: "attached" });
  assert.equal(await graph.inputValue(), id);
});

scene("a cron is made, paused and deleted", async (stage) => {
  const { page } = stage;
  await stage.visit("#/crons/new");
  const form = page.getByRole("form", { name: "New cron" });
  await form.getByLabel("Assistant").selectOption({ label: "slow" });
  await form.getByLabel("Schedule").fill("no schedule");
  await form.getByRole("button", { name: "Save" }).click();
  // What the server says of it is shown, and nothing is lost.
  await form.getByRole("alert").waitFor();
  await form.getByLabel("Schedule").fill("30 4 1 1 *");
  await form.getByLabel("Time zone").fill("Europe/Berlin");
  await form.getByLabel("Input").fill('{"upto": 1}');
  await form.getByRole("button", { name: "Save" }).click();
  const details = page.getByRole("article", { name: "30 4 1 1 *" });
  await details.getByText("Europe/Berlin", { exact: true }).waitFor();
  const id = new URL(page.url()).hash.split("/")[2];
  await details.getByRole("button", { name: "Pause" }).click();
  await details.getByRole("button", { name: "Go on" }).waitFor();
  assert.equal((await stage.server.get(`/runs/crons/${id}`)).enabled, false);
  await stage.checkAccess();
  await page.reload();
  await details.getByRole("button", { name: "Go on" }).click();
  await details.getByRole("button", { name: "Pause" }).waitFor();
  await details.getByRole("button", { name: "Delete" }).click();
  await details.getByRole("group").getByRole("button", { name: "Delete" }).click();
  await page.waitForURL(/#\/crons$/);
});

scene("an item of the store is put, found, changed and deleted", async (stage) => {
  const { page } = stage;
  await stage.visit("#/store");
  await page.getByRole("button", { name: "New item" }).click();
  const form = page.getByRole("form", { name: "New item" });
  await form.getByLabel("Namespace").fill("users.ada");
  await form.getByLabel("Key").fill("likes?&#/");
  await form.getByLabel("Value").fill('{"food": "bread", "kind": "note"}');
  await form.getByRole("button", { name: "Save" }).click();
  const item = page.getByRole("article", { name: "likes?&#/" });
  await item.getByText('"bread"').waitFor();
  // Its address is its own.
  await page.reload();
  await item.getByRole("button", { name: "Edit" }).click();
  await item.getByLabel("Value").fill('{"food": "cake", "kind": "note"}');
  await item.getByRole("button", { name: "Save" }).click();
  await item.getByText('"cake"').waitFor();

  await page.getByRole("region", { name: "Namespaces" }).getByRole("link", { name: "users" }).click();
  const items = page.getByRole("region", { name: "Items" });
  await items.getByRole("textbox", { name: /Filter/ }).fill('{"kind": "other"}');
  await items.getByText("There is no such item.").waitFor();
  await items.getByRole("textbox", { name: /Filter/ }).fill('{"kind": "note"}');
  await stage.checkAccess();
  await items.getByRole("link", { name: /ada \/ likes/ }).click();
  await item.getByRole("button", { name: "Delete" }).click();
  await item.getByRole("group").getByRole("button", { name: "Delete" }).click();
  await page.waitForURL(/#\/store\/users\/ada$/);
  await page.getByText("There is no such item.").waitFor();
});

scene("how the server is, is told by itself", async (stage) => {
  const { page } = stage;
  await stage.visit("#/server");
  const up = page.getByRole("region", { name: "Up" });
  await up.getByText("true").waitFor();
  await page.getByRole("region", { name: "What it is" }).getByText("version", { exact: true }).waitFor();
  await page.getByRole("region", { name: "What it does" }).waitFor();
  await stage.checkAccess();
});

scene("what a server does not have is said, and the rest is shown", async (stage) => {
  const { page } = stage;
  const missing = { status: 404, contentType: "application/json", body: '{"detail": "Not Found"}' };
  for (const path of ["**/runs/crons/search", "**/store/**", "**/metrics*", "**/readyz", "**/livez", "**/threads/count"]) {
    await page.route(path, (route) => route.fulfill(missing));
  }
  for (const place of ["#/crons", "#/store", "#/server"]) {
    await stage.visit(place);
    await page.locator("main").getByText("This server does not have it.").first().waitFor();
  }
  await page.getByRole("region", { name: "Up" }).getByText("true").waitFor();
});
