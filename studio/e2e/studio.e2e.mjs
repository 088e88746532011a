/** The studio in a real browser, with a real server: what people do with it. */

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import axe from "axe-core";
import { chromium } from "playwright-core";

import { Server } from "./server.mjs";

const PATIENCE = 30_000;
let server;
let browser;
let page;
let foreign;
let faults;

before(async () => {
  server = await Server.make();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  });
});

after(async () => {
  await browser?.close();
  await server?.close();
});

beforeEach(async () => {
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(PATIENCE);
  foreign = [];
  faults = [];
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(server.url) && !url.startsWith("data:")) foreign.push(url);
  });
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) faults.push(message.text());
  });
});

afterEach(async () => {
  await page.close();
  assert.deepEqual(foreign, [], "nothing is asked of other hosts");
  assert.deepEqual(faults, []);
});

async function make(graph) {
  await page.goto(server.studio);
  await page.getByRole("button", { name: `+ ${graph}` }).click();
  await page.waitForURL(/#\/threads\/.+/);
}

async function begin(graph, input) {
  await make(graph);
  await page.getByRole("button", { name: "JSON" }).click();
  await page.getByRole("textbox", { name: "Input" }).fill(JSON.stringify(input));
  await page.getByRole("button", { name: "Start", exact: true }).click();
}

const node = (name, status) => page.locator(`.node.${status}`, { hasText: name });

test("a run is watched in its graph, also by who comes later or reloads", async () => {
  await begin("slow", { upto: 8, seen: [] });
  await node("step", "running").waitFor();
  const other = await browser.newPage();
  await other.goto(page.url());
  await page.reload();
  await node("step", "done").waitFor();
  await other.locator(".node.done", { hasText: "step" }).waitFor();
  const shown = "×8";
  await page.getByText(shown).waitFor();
  assert.match(await other.locator(".node", { hasText: "step" }).innerText(), /×8/);
  await other.close();
});

test("a run goes on under the page when the server is killed and started again", async () => {
  await begin("slow", { upto: 8, seen: [] });
  await node("step", "running").waitFor();
  await server.kill();
  await page.getByRole("status").waitFor();
  await server.start();
  await page.getByText("×8").waitFor();
  await page.getByRole("link", { name: "State" }).click();
  await page.getByText("[8]").first().waitFor();
  assert.equal(await page.getByRole("status").count(), 0);
});

test("a run is stopped", async () => {
  await begin("slow", { upto: 100, seen: [] });
  await node("step", "running").waitFor();
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await node("step", "stopped").waitFor();
  await page.getByRole("button", { name: "Stop", exact: true, disabled: true }).waitFor();
});

test("a question is answered by a form from its schema, in the inbox", async () => {
  await begin("asks", {});
  await node("choose", "asks").waitFor();
  await page.getByRole("link", { name: "Inbox" }).click();
  const question = page.locator(".inbox article", { hasText: "Which colour?" });
  await question.getByLabel("Colour").selectOption("blue");
  await question.getByLabel("Reason").fill("it is calm");
  await question.getByRole("link").click();
  // The same question is at its thread.
  await page.getByLabel("Colour").selectOption("blue");
  await page.getByLabel("Reason").fill("it is calm");
  await page.getByRole("button", { name: "Answer" }).click();
  await page.getByRole("link", { name: "State" }).click();
  await page.getByText("blue: it is calm").first().waitFor();
});

test("why a run has failed is seen at once, and nothing of it is carried out", async () => {
  await begin("fails", { text: "because" });
  await page.getByRole("alert").filter({ hasText: "because" }).waitFor();
  await page.getByRole("link", { name: "Timeline" }).click();
  await page.locator(".row.failed", { hasText: "fail" }).click();
  await page.locator(".details .fault", { hasText: "onerror" }).waitFor();
  assert.equal(await page.locator("img").count(), 0);
  assert.equal(await page.title(), "millstream studio");
});

test("what models say is shown as the text that it is, in nested graphs too", async () => {
  await make("talks");
  await page.getByRole("textbox", { name: "Input" }).fill("hello");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "+ team" }).click();
  await node("speak", "done").waitFor();
  await page.getByRole("link", { name: "Tokens" }).click();
  await page.locator(".speech .said", { hasText: "You said: hello <script>" }).waitFor();
  await page.getByRole("link", { name: "State" }).click();
  await page.locator(".message.ai", { hasText: "[link](javascript:alert(1))" }).first().waitFor();
  assert.equal(await page.locator("main a[href^='javascript:'], main img").count(), 0);
  assert.equal(await page.title(), "millstream studio");
});

test("a run is done again from a checkpoint whose state was edited", async () => {
  await begin("slow", { upto: 2, seen: [] });
  await node("step", "done").waitFor();
  await page.getByText("×2").waitFor();
  await page.getByRole("link", { name: "State" }).click();
  await page.locator(".checkpoints button", { hasText: "→ step" }).first().click();
  await page.getByRole("button", { name: "Edit" }).click();
  const editor = page.getByRole("textbox", { name: "Values" });
  const state = JSON.parse(await editor.inputValue());
  await editor.fill(JSON.stringify({ ...state, upto: 4 }));
  await page.getByRole("button", { name: "Run again with this state" }).click();
  await page.getByText("[4]").first().waitFor();
});

for (const [name, path] of [["threads", ""], ["inbox", "#/inbox"]]) {
  test(`axe finds nothing serious: ${name}`, async () => {
    await page.goto(server.studio + path);
    await page.locator("main").waitFor();
    await checkAccess();
  });
}

for (const panel of ["graph", "timeline", "state", "tokens"]) {
  test(`axe finds nothing serious: ${panel} of a thread`, async () => {
    await begin("slow", { upto: 1, seen: [] });
    await node("step", "done").waitFor();
    await page.goto(page.url().replace("/graph", `/${panel}`));
    await page.locator(".panel > *").first().waitFor();
    await checkAccess();
  });
}

async function checkAccess() {
  // As a module of the page's own: its policy lets nothing be written into it.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: axe.source });
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map((each) => each.html)]), []);
}
