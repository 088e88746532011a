/** Everything by keys alone, and colours as the user wants them. */

import assert from "node:assert/strict";

import { scene } from "../frame.mjs";

const focused = (page) => page.evaluate(() => globalThis.document.activeElement?.textContent);

scene("keys lead to pages, to panels and back up", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("slow", { upto: 1, seen: [] });
  await stage.look(threadId, "graph");
  await stage.node("step", "done").waitFor();
  await page.keyboard.press("2");
  await page.waitForURL(/\/timeline$/);
  await page.locator(".row").first().focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/task=/);
  // At once, and the place of before is what is drawn yet.
  await page.keyboard.press("Escape");
  await page.waitForURL(/\/timeline$/);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  await page.waitForURL(/\/timeline$/);
  await page.keyboard.press("s");
  await page.waitForURL(/#\/store$/);
  assert.equal(await focused(page), "Store");
  await page.keyboard.press("t");
  await page.waitForURL(/#\/threads$/);
  await page.keyboard.press("/");
  await page.keyboard.type("s?");
  // What is typed is typed, and leads nowhere.
  assert.equal(await page.getByRole("searchbox").first().inputValue(), "s?");
  assert.match(page.url(), /#\/threads$/);
  await page.keyboard.press("Escape");
  await page.keyboard.press("i");
  await page.waitForURL(/#\/inbox$/);
});

scene("the sheet of keys is shown, is accessible, and turns single keys off", async (stage) => {
  const { page } = stage;
  await stage.visit("#/inbox");
  await page.getByRole("heading", { name: "Inbox" }).waitFor();
  await page.keyboard.press("?");
  const sheet = page.getByRole("dialog", { name: "Keys" });
  await sheet.waitFor();
  await stage.checkAccess();
  await sheet.getByLabel("Keys without Ctrl or Alt act").uncheck();
  await page.keyboard.press("Escape");
  await sheet.waitFor({ state: "hidden" });
  await page.keyboard.press("s");
  await page.keyboard.press("?");
  assert.equal(await sheet.isVisible(), false);
  assert.match(page.url(), /#\/inbox$/);
});

scene("colours are those of the system, unless the user wants others", async (stage) => {
  const { page } = stage;
  await stage.visit("#/inbox");
  const colour = () => page.evaluate(() => globalThis.getComputedStyle(globalThis.document.documentElement).backgroundColor);
  await page.emulateMedia({ colorScheme: "light" });
  const light = await colour();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await colour();
  assert.notEqual(light, dark);
  await page.getByRole("button", { name: /Keys/ }).click();
  await page.getByLabel("Light or dark").selectOption("light");
  assert.equal(await colour(), light);
  await page.reload();
  await page.getByRole("heading", { name: "Inbox" }).waitFor();
  assert.equal(await colour(), light);
});

scene("the graph is gone through by keys, which set breakpoints and open tasks", async (stage) => {
  const { server, page } = stage;
  const threadId = await server.ran("fans", { count: 2, gate: await opened(stage) });
  await stage.look(threadId, "graph");
  await stage.node("gather", "done").waitFor();
  // One stop for all of them.
  assert.equal(await page.locator(".react-flow__node[tabindex='0']").count(), 1);
  await page.locator(".react-flow__node[data-id='__start__']").focus();
  await page.keyboard.press("ArrowDown");
  await page.locator(".react-flow__node[data-id='part']:focus").waitFor();
  await page.keyboard.press("ArrowDown");
  await page.locator(".react-flow__node[data-id='gather']:focus").waitFor();
  await page.keyboard.press("b");
  await stage.node("gather").locator(".breakpoint.before").waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/timeline\?task=/);
});

scene("a run that stands at a breakpoint goes on by one superstep, or to its end", async (stage) => {
  const { server, page } = stage;
  const gate = await opened(stage);
  const threadId = await server.ran("slow", { upto: 3, seen: [], gate }, { interrupt_before: ["step"] });
  await stage.look(threadId, "graph");
  const goOn = page.getByRole("region", { name: "Go on" });
  await goOn.getByText("The run stands before step.").waitFor();
  await goOn.getByRole("button", { name: "One step" }).click();
  await stage.node("step", "done").waitFor();
  assert.deepEqual((await server.get(`/threads/${threadId}/state`)).values.seen, [0]);
  await goOn.getByRole("button", { name: "Go on" }).click();
  await goOn.waitFor({ state: "detached" });
  await stage.turn("State");
  await page.locator(".checkpoints button", { hasText: "■" }).waitFor();
  assert.deepEqual((await server.get(`/threads/${threadId}/state`)).values.seen, [0, 1, 2]);
});

scene("a list is one stop of the Tab key, gone through by arrows", async (stage) => {
  const { server, page } = stage;
  const graph = "hostile";
  const [first, second] = [await server.ran(graph, { kind: "none" }), await server.ran(graph, { kind: "none" })];
  await stage.look(second);
  const list = page.getByRole("complementary", { name: "Threads" }).getByRole("list");
  const link = (id) => list.locator(`a[href*="${id}"]`);
  await link(first).waitFor();
  await page.waitForFunction(() => globalThis.document.querySelectorAll(".threads ul [tabindex='0']").length === 1);
  // The stop is at the thread that is shown.
  assert.equal(await link(second).evaluate((item) => item.tabIndex), 0);
  await link(second).focus();
  await page.keyboard.press("ArrowRight");
  await page.locator(`.threads li:has(a[href*="${second}"]) button:focus`).waitFor();
  await page.keyboard.press("Home");
  await page.locator(".threads ul li:first-child a:focus").waitFor();
  await link(second).focus();
  const isThere = () => link(first).evaluate((item) => item === globalThis.document.activeElement);
  // Others begin threads meanwhile; it is below all the same.
  for (let pressed = 0; pressed < 200 && !(await isThere()); pressed++) await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.hash.includes(first));
});

async function opened(stage) {
  const gate = stage.gate();
  await stage.server.allow(gate, 100);
  return gate;
}
