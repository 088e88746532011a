/** What axe says of each page, in light and in dark. */

import { scene } from "../frame.mjs";

for (const [name, place] of [["threads", ""], ["inbox", "#/inbox"]]) {
  scene(`axe finds nothing serious: ${name}`, async (stage) => {
    const { server, page } = stage;
    await server.ran("asks", {});
    await stage.visit(place);
    await page.getByRole("listitem").or(page.getByRole("article")).first().waitFor();
    await stage.checkAccess();
  });
}

for (const panel of ["graph", "timeline", "state", "tokens"]) {
  scene(`axe finds nothing serious: ${panel} of a thread`, async (stage) => {
    const { server, page } = stage;
    const threadId = await server.ran("chat", { messages: [{ role: "user", content: "What is 2 + 2?" }] });
    await server.ran("fails", { text: "why" }, { threadId });
    await stage.look(threadId, panel);
    await page.getByRole("region", { name: panel, exact: false }).first().or(page.locator(".panel .empty")).first().waitFor();
    await stage.checkAccess();
  });
}
