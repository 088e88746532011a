/** What models, tools and clients say is shown as the text that it is. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

async function checkPage(stage) {
  const { page } = stage;
  const found = await page.evaluate(() => ({
    title: document.title,
    scripts: document.querySelectorAll("#studio script, iframe, object, embed, svg image").length,
    links: [...document.links].map((link) => link.protocol).filter((protocol) => !/^(https?|blob):$/.test(protocol)),
    images: [...document.images].map((image) => image.src).filter((source) => !/^(data:image\/(png|jpeg|gif|webp)|blob:)/.test(source)),
    handlers: document.querySelectorAll("[onclick], [onerror], [onload]").length,
    // Nothing is wider than the page: huge strings are wrapped or cut off.
    isWide: document.documentElement.scrollWidth > innerWidth,
    polluted: {}.toString() === "owned",
  }));
  assert.deepEqual(found, { title: "millstream studio", scripts: 0, links: [], images: [], handlers: 0, isWide: false, polluted: false });
}

scene("what models say is shown as the text that it is, in nested graphs too", async (stage) => {
  const { page } = stage;
  await stage.make("talks");
  await page.getByRole("textbox", { name: "Input" }).fill("hello");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "+ team" }).click();
  await stage.node("speak", "done").waitFor();
  await stage.turn("Tokens");
  await page.locator(".speech", { hasText: "You said: hello <script>" }).waitFor();
  await checkPage(stage);
  await stage.turn("State");
  await page.locator(".message.ai").first().waitFor();
  await checkPage(stage);
});

for (const kind of ["state", "ask", "fail"]) {
  scene(`scripts, links, huge strings, other directions and terminal codes do nothing: ${kind}`, async (stage) => {
    const { server, page } = stage;
    const threadId = await server.ran("hostile", { kind });
    for (const panel of ["graph", "timeline", "state", "tokens"]) {
      await stage.look(threadId, panel);
      await page.locator(`.badge.${{ state: "idle", ask: "interrupted", fail: "error" }[kind]}`).first().waitFor();
      if (panel === "state") await page.locator(".checkpoints button").nth(1).waitFor();
      if (panel === "timeline") await page.locator(".row", { hasText: "hold" }).click();
      // Whatever can be unfolded is.
      await page.evaluate(() => {
        for (const fold of document.querySelectorAll(".json-fold[aria-expanded=false], .json-line .link, summary")) fold.click();
      });
      await page.evaluate("new Promise(requestAnimationFrame)");
      await checkPage(stage);
    }
  });
}

scene("hostile names of threads and questions stay in their places", async (stage) => {
  const { server, page } = stage;
  const name = "<img src=x onerror=alert(1)>\u202e" + "y".repeat(5_000);
  await server.post("/threads", { metadata: { graph_id: name, name, assistant_id: "../../x" } });
  await server.ran("hostile", { kind: "ask" });
  for (const place of ["", "#/inbox", "#/threads/%3Cscript%3E", "#/threads/..%2F..%2Fok/state?checkpoint=%27%22%3E"]) {
    await stage.visit(place);
    await page.getByRole("complementary", { name: "Threads" }).getByRole("listitem").first().waitFor();
    await checkPage(stage);
  }
});
