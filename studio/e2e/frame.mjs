/**
 * What a scene of the studio is played with: a server, and a page of a real browser.
 *
 * A file of `scenes/` calls `scene(name, play)` for each of its scenes, and `play` is given a stage.
 * Scenes are played some at a time, each in a browser's profile of its own, and wait for what the
 * page shows, never for a time: `allow` lets a run of the graphs beside this file come so far and no
 * further. After each, nothing may have been asked of other hosts, and nothing thrown.
 */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import axe from "axe-core";
import { chromium } from "playwright-core";

import { Reference } from "./reference.mjs";
import { Server } from "./server.mjs";

/** How long a page may take to show something, on a machine that is busy with others. */
const PATIENCE = Number(process.env.PATIENCE ?? 60_000);
/** Whose server it is: ours, or that of LangGraph. */
export const IS_REFERENCE = process.env.STUDIO_SERVER === "reference";
const FAILURES = fileURLToPath(new URL("../../build/studio", import.meta.url));

export const scenes = [];

/**
 * Adds a scene. With `own` its server is nobody else's, so that it may be killed; `lacks` says why it
 * cannot be played with LangGraph's server.
 */
export function scene(name, play, { own = false, lacks } = {}) {
  scenes.push({ name, play, own, lacks });
}

/** What scenes share: a browser, and a server that nobody kills. */
export class House {
  static async open() {
    const house = new House();
    [house.server, house.browser] = await Promise.all([house.serve(), launch()]);
    return house;
  }

  serve() {
    return IS_REFERENCE ? Reference.make() : Server.make();
  }

  async close() {
    await this.browser.close();
    await this.server.close();
  }

  async play({ name, play, own }) {
    const server = own ? await this.serve() : this.server;
    const stage = await Stage.open(server, this.browser);
    try {
      await play(stage);
      stage.check();
    } catch (error) {
      await stage.keep(name);
      throw error;
    } finally {
      await stage.close();
      if (own) await server.close();
    }
  }
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  });
}

let gates = 0;

export class Stage {
  /** What was asked of other hosts, and what was thrown or refused by the page's policy. */
  foreign = [];
  faults = [];

  static async open(server, browser, viewport = { width: 1280, height: 900 }) {
    const stage = new Stage();
    stage.server = server;
    const context = await browser.newContext({ viewport, permissions: ["clipboard-read", "clipboard-write"] });
    stage.context = context;
    context.setDefaultTimeout(PATIENCE);
    context.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(`${server.url}/`) && !/^(data|blob):/.test(url)) stage.foreign.push(url);
    });
    context.on("weberror", (error) => stage.faults.push(String(error.error())));
    context.on("console", (message) => {
      if (/Content Security Policy/i.test(message.text())) stage.faults.push(message.text());
    });
    stage.page = await context.newPage();
    return stage;
  }

  async close() {
    await this.context.close();
  }

  check() {
    assert.deepEqual(this.foreign, [], "nothing is asked of other hosts");
    assert.deepEqual(this.faults, []);
  }

  /** Keeps what a scene that failed has shown. */
  async keep(name) {
    await mkdir(FAILURES, { recursive: true });
    const file = name.replace(/[^a-z0-9]+/gi, "-");
    const pages = this.context.pages();
    for (const [at, page] of pages.entries()) {
      await page.screenshot({ path: join(FAILURES, `${file}-${at}.png`), timeout: 5_000 }).catch(() => undefined);
    }
  }

  /** Opens the studio at a place, such as `#/inbox`. */
  async visit(place = "", page = this.page) {
    await page.goto(this.server.studio + place);
  }

  /** Makes a thread of a graph, as a person does. */
  async make(graph) {
    await this.visit();
    await this.page.getByRole("button", { name: `+ ${graph}`, exact: true }).click();
    await this.page.waitForURL(/#\/threads\/.+/);
  }

  /** Begins a run with an input, as a person does. */
  async begin(graph, input) {
    await this.make(graph);
    await this.page.getByRole("button", { name: "JSON", exact: true }).click();
    await this.page.getByRole("textbox", { name: "Input" }).fill(JSON.stringify(input));
    await this.page.getByRole("button", { name: "Start", exact: true }).click();
  }

  /** Opens a panel of a thread. */
  async look(threadId, panel = "graph", page = this.page) {
    await this.visit(`#/threads/${threadId}/${panel}`, page);
  }

  /** Goes to a panel of the thread that is shown. */
  async turn(name) {
    await this.page.getByRole("navigation", { name: "Run" }).getByRole("link", { name, exact: true }).click();
  }

  /** A node of the graph that is shown. */
  node(name, status, page = this.page) {
    const label = page.locator(".node-name").getByText(name, { exact: true });
    return page.locator(status === undefined ? ".node" : `.node.${status}`, { has: label });
  }

  /** Returns a gate that nobody else waits at. */
  gate() {
    return `gate${++gates}`;
  }

  /** Asserts that axe finds nothing serious in what is shown, in light and in dark. */
  async checkAccess() {
    const session = await this.page.context().newCDPSession(this.page);
    // Into the page by the debugger: its policy lets nothing be written into it.
    await session.send("Runtime.evaluate", { expression: axe.source });
    for (const colorScheme of ["light", "dark"]) {
      await this.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const { violations } = await this.page.evaluate(() => globalThis.axe.run());
      const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
      assert.deepEqual(serious.map(({ id, nodes }) => [colorScheme, id, nodes.map((each) => each.html)]), []);
    }
  }
}
