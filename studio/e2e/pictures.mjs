/** Makes the pictures of docs/studio.md: `scripts/studio pictures`. */

import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { House, Stage } from "./frame.mjs";

const FOLDER = fileURLToPath(new URL("../../docs/pictures", import.meta.url));
const VIEWPORT = { width: 1100, height: 620 };

const PICTURES = {
  async graph(stage) {
    const gate = stage.gate();
    await stage.server.allow(gate, 3);
    const run = await stage.server.run("fans", { count: 5, gate });
    await stage.look(run.threadId);
    await stage.node("part", "running").getByText("2/5").waitFor();
    return () => stage.server.allow(gate, 5);
  },

  async timeline(stage) {
    const threadId = await stage.server.ran("chat", { messages: [{ role: "user", content: "What is 12 * (3 + 4)?" }] });
    await stage.look(threadId, "timeline");
    await stage.page.locator(".row.done", { hasText: "tools" }).click();
    await stage.page.locator(".details").waitFor();
  },

  async failed(stage) {
    const threadId = await stage.server.ran("fails", { text: "because" });
    await stage.look(threadId);
    await stage.node("fail", "failed").waitFor();
  },

  async state(stage) {
    const threadId = await stage.server.ran("chat", { messages: [{ role: "user", content: "my name is Ada" }] });
    await stage.server.ran("chat", { messages: [{ role: "user", content: "what is my name?" }] }, { threadId });
    await stage.look(threadId, "state");
    await stage.page.locator(".message.ai").nth(2).waitFor();
  },

  async tokens(stage) {
    const threadId = await stage.server.ran("agents", { messages: [{ role: "user", content: "Look at it." }] });
    await stage.look(threadId, "tokens");
    await stage.page.locator(".speech", { hasText: "In short:" }).waitFor();
  },

  async inbox(stage) {
    await stage.server.ran("asks", {});
    await stage.visit("#/inbox");
    await stage.page.getByLabel("Colour").first().waitFor();
  },
};

await mkdir(FOLDER, { recursive: true });
const house = await House.open();
try {
  for (const [name, show] of Object.entries(PICTURES)) {
    const stage = await Stage.open(house.server, house.browser, VIEWPORT);
    try {
      await stage.page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
      const after = await show(stage);
      await stage.page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))");
      await stage.page.screenshot({ path: `${FOLDER}/studio-${name}.png` });
      await after?.();
    } finally {
      await stage.close();
    }
  }
} finally {
  await house.close();
}
