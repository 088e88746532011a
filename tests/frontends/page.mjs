/** A page of `examples/frontends` in a real browser, as a person uses it. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// The packages are those of the pages.
const { chromium } = createRequire(new URL("../../examples/frontends/package.json", import.meta.url))("playwright-core");
/** How long a page may take to show something, on a machine that is busy with others. */
const PATIENCE = Number(process.env.PATIENCE ?? 60_000);
const FAILURES = fileURLToPath(new URL("../../build/test-frontends", import.meta.url));

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  });
}

/** Where a page has what; some front ends bring their own. */
const PLACES = {
  log: '[role="log"]',
  user: '[data-role="user"]',
  assistant: '[data-role="assistant"]',
  input: '[aria-label="Message"]',
  send: "button:text-is('Send')",
  stop: "button:text-is('Stop')",
};

/** Keeps every text that the last message has had; runs in the page, before its scripts. */
function watch(assistant) {
  globalThis.seen = [];
  const look = () => {
    const text = [...document.querySelectorAll(assistant)].at(-1)?.textContent ?? "";
    if (text !== globalThis.seen.at(-1)) globalThis.seen.push(text);
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
}

export class Page {
  /** What was asked of other hosts, and what was thrown. */
  foreign = [];
  faults = [];

  static async open(browser, url, name, places) {
    const page = new Page();
    page.places = { ...PLACES, ...places };
    page.context = await browser.newContext();
    page.context.setDefaultTimeout(PATIENCE);
    page.context.on("request", (request) => {
      if (!request.url().startsWith(`${url}/`) && !/^(data|blob):/.test(request.url())) page.foreign.push(request.url());
    });
    page.context.on("weberror", (error) => page.faults.push(String(error.error())));
    await page.context.addInitScript(watch, page.places.assistant);
    page.tab = await page.context.newPage();
    await page.tab.goto(`${url}/pages/${name}.html`);
    return page;
  }

  close() {
    return this.context.close();
  }

  /** Asserts that nothing was asked of other hosts, and nothing thrown. */
  check() {
    assert.deepEqual(this.foreign, []);
    assert.deepEqual(this.faults, []);
  }

  /** Keeps a picture of what a test has shown that failed. */
  async keep(title) {
    await mkdir(FAILURES, { recursive: true });
    const path = join(FAILURES, `${title.replace(/[^a-z0-9]+/gi, "-")}.png`);
    await this.tab.screenshot({ path, timeout: 5_000 }).catch(() => undefined);
  }

  place(name) {
    return this.tab.locator(this.places[name]);
  }

  async send(text) {
    await this.place("input").fill(text);
    await this.place("send").click();
  }

  stop() {
    return this.place("stop").click();
  }

  /** Waits until nothing is being said. */
  rests() {
    return this.place("stop").waitFor({ state: "detached" });
  }

  /** Has the last message of the user changed, and asks anew. */
  async change(text) {
    await this.button("Change").last().click();
    await this.tab.getByLabel("Changed message").fill(text);
    await this.button("Ask anew").click();
  }

  /** Returns the messages that the server has in the thread. */
  messages() {
    const state = async (thread) => (await fetch(`/threads/${thread}/state`)).json();
    return this.tab.evaluate(state, this.thread).then(({ values }) => values.messages);
  }

  /** Returns what the user has said, as the server has it. */
  async asked() {
    return (await this.messages()).filter(({ type }) => type === "human").map(({ content }) => content);
  }

  /** Waits until the server has another last message, which calls nothing. */
  async saysInstead(id) {
    const hasAnother = async ([thread, id]) => {
      const { values } = await (await fetch(`/threads/${thread}/state`)).json();
      const { type, content } = values.messages.at(-1);
      return type === "ai" && content.startsWith("Done") && values.messages.at(-1).id !== id;
    };
    await this.tab.waitForFunction(hasAnother, [this.thread, id], { polling: 200 });
  }

  get thread() {
    return new URL(this.tab.url()).searchParams.get("thread");
  }

  /** Waits until the server carries out the second run of the thread: pages are busy before that. */
  async goesOn() {
    const hasBegun = async (id) => {
      const runs = await (await fetch(`/threads/${id}/runs`)).json();
      return runs.length === 2 && runs.some(({ status }) => status === "running");
    };
    await this.tab.waitForFunction(hasBegun, this.thread, { polling: 200 });
  }

  button(name) {
    return this.tab.getByRole("button", { name, exact: true });
  }

  /** Waits until the log has a text, or one of a pattern. */
  async shows(text) {
    await this.place("log").getByText(text).first().waitFor();
  }

  async alerts(text) {
    await this.tab.getByRole("alert").getByText(text).waitFor();
  }

  reload() {
    return this.tab.reload();
  }

  /** Returns the texts that messages of a role have. */
  async texts(role) {
    return (await this.place(role).allTextContents()).map((text) => text.trim());
  }

  /** Returns each text that the last message has had, since the page was loaded. */
  seen() {
    return this.tab.evaluate(() => globalThis.seen);
  }
}
