/**
 * Talks with the graph of `examples/frontends` by each of its pages; by that of CopilotKit with
 * ALL=1. PAGES=usechat,agui are some of them, SCENE=approved are the scenes whose names have that word.
 */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { launch, Page } from "./page.mjs";
import { Server } from "./server.mjs";

const LONGEST = 300_000;
/** Most of a test is waiting for the other side. */
const AT_A_TIME = Number(process.env.AT_A_TIME ?? 4);
/** Words that are counted for minutes, so that the page is stopped or loaded anew in their midst. */
const LONG = 5000;

/** What people do with pages on which messages can be changed. */
const CHANGES = {
  "has a message changed": async (page) => {
    await weighs(page, 3);
    await page.change("weigh 4 sacks");
    await page.shows("Done: {\"kilos\": 200}.");
    await page.rests();
    assert.deepEqual(await page.texts("user"), ["weigh 4 sacks"]);
    assert.deepEqual(await page.asked(), ["weigh 4 sacks"]);
  },
  "has a later message changed": async (page) => {
    await weighs(page, 3);
    await weighs(page, 1);
    await page.change("weigh 4 sacks");
    await page.shows("Done: {\"kilos\": 200}.");
    await page.rests();
    assert.deepEqual(await page.texts("user"), ["weigh 3 sacks", "weigh 4 sacks"]);
    assert.deepEqual(await page.asked(), ["weigh 3 sacks", "weigh 4 sacks"]);
  },
  "has an answer made again": async (page) => {
    await weighs(page, 3);
    const [, , , first] = await page.messages();
    await page.button("Say it again").last().click();
    await page.saysInstead(first.id);
    await page.shows("Done: {\"kilos\": 150}.");
    await page.rests();
    assert.equal((await page.texts("assistant")).length, 1);
    assert.deepEqual((await page.messages()).map(({ type }) => type), ["human", "ai", "tool", "ai"]);
  },
  "goes on from what a message was before it was changed": async (page) => {
    await weighs(page, 3);
    await page.change("weigh 4 sacks");
    await page.shows("Done: {\"kilos\": 200}.");
    await page.rests();
    await page.button("Before").first().click();
    await page.shows("Done: {\"kilos\": 150}.");
    await weighs(page, 1);
    assert.deepEqual(await page.texts("user"), ["weigh 3 sacks", "weigh 1 sacks"]);
    assert.deepEqual(await page.asked(), ["weigh 3 sacks", "weigh 1 sacks"]);
  },
};

async function weighs(page, sacks) {
  await page.send(`weigh ${sacks} sacks`);
  await page.shows(`Done: {"kilos": ${50 * sacks}}.`);
  await page.rests();
}

/** What people do with each page, and what of it a page cannot do. */
const PAGES = {
  usechat: {},
  usestream: {},
  langchain: {},
  assistant: { scenes: CHANGES },
  assistant_langgraph: {
    scenes: CHANGES,
    lacks: {
      "goes on from what a message was before it was changed": "the runtime shows only the newest version",
      "is loaded anew while something is being said": "the runtime cannot go on reading a run: it ends with the page",
      "is loaded anew while a tool works that was approved": "as above",
    },
  },
  copilotkit: {
    places: {
      log: '[data-testid="copilot-message-list"]',
      user: '[data-testid="copilot-user-message"]',
      assistant: '[data-testid="copilot-assistant-message"]',
      input: '[data-testid="copilot-chat-textarea"]',
      send: '[data-testid="copilot-send-button"]',
      stop: '[data-testid="copilot-send-button"]:has(.lucide-square)',
    },
  },
  agui: {},
  completions: {
    lacks: {
      "shows a call of a tool, and what it returns": "the protocol has no form for the tools of a server",
      "is loaded anew while something is being said": "the protocol has no word for it",
      "is loaded anew while a tool works that was approved": "as above",
      "is loaded anew, and asks again": "the page keeps the conversation",
    },
  },
  responses: {
    lacks: { "is loaded anew while a tool works that was approved": "a call is told when it has been answered" },
  },
};

const counted = (upto) => Array.from({ length: upto }, (_, at) => at + 1).join(" ");

const SCENES = {
  "says word after word": async (page) => {
    await page.send("count to 60");
    await page.shows(counted(60));
    await page.rests();

    const seen = (await page.seen()).map((text) => text.trim()).filter((text) => text.startsWith("1"));
    assert.ok(seen.length > 3, `it has shown ${seen.length} texts`);
    assert.ok(seen.every((text) => counted(60).startsWith(text)));
    assert.deepEqual(await page.texts("user"), ["count to 60"]);
  },
  "shows a call of a tool, and what it returns": async (page) => {
    await page.send("weigh 3 sacks");
    await page.shows('weigh({"sacks":3})');
    await page.shows("150");
    await page.shows("Done: ");
    await page.rests();
  },
  "asks before it calls a tool": async (page) => {
    await page.send("grind 3 sacks");
    await page.button("Approve").click();
    await page.shows("Done: 3 sacks of flour.");
    await page.rests();
    assert.equal(await page.button("Approve").count(), 0);
  },
  "does not call a tool that was rejected": async (page) => {
    await page.send("grind 3 sacks");
    await page.button("Reject").click();
    await page.shows("Not done: ");
    await page.rests();
  },
  "says why a run has failed, and goes on": async (page) => {
    await page.send("open the sluice");
    await page.alerts("the sluice is stuck");
    await page.rests();
    await page.send("weigh 2 sacks");
    await page.shows("100");
  },
  "stops a run, and goes on": async (page) => {
    await page.send(`count to ${LONG}`);
    await page.shows(/1 2 3 4 5/);
    await page.stop();
    await page.rests();
    await page.send("weigh 2 sacks");
    await page.shows("100");
    await page.rests();
    assert.ok(!(await page.texts("assistant")).join().includes(` ${LONG}`));
  },
  "is loaded anew while something is being said": async (page) => {
    await page.send(`count to ${LONG}`);
    await page.shows(/1 2 3 4 5/);
    await page.reload();
    await page.shows(/1 2 3 4 5/);
    const first = (await page.seen()).at(-1).length;
    await page.tab.waitForFunction((length) => globalThis.seen.at(-1).length > length + 20, first);
    assert.deepEqual(await page.texts("user"), [`count to ${LONG}`]);
    await page.stop();
    await page.rests();
  },
  "is loaded anew while a tool works that was approved": async (page) => {
    await page.send(`grind ${LONG} sacks`);
    await page.button("Approve").click();
    await page.goesOn();
    await page.reload();
    await page.tab.locator(".tool").first().waitFor();
    await page.place("stop").waitFor();
    assert.equal(await page.tab.locator(".tool").count(), 1);
    assert.equal(await page.button("Approve").count(), 0);
    assert.equal(await page.tab.getByRole("alert").count(), 0);
    await page.stop();
    await page.rests();
    await page.send("weigh 2 sacks");
    await page.shows("100");
  },
  "is loaded anew, and asks again": async (page) => {
    await page.send("grind 3 sacks");
    await page.button("Approve").waitFor();
    await page.reload();
    await page.button("Approve").click();
    await page.shows("Done: 3 sacks of flour.");
    await page.rests();
    await page.reload();
    await page.shows("Done: 3 sacks of flour.");
    assert.equal((await page.texts("user")).length, 1);
  },
};

let server;
let browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(() => Promise.all([server?.close(), browser?.close()]));

async function play(name, places, title, scene) {
  const page = await Page.open(browser, server.url, name, places);
  try {
    await scene(page);
    page.check();
  } catch (error) {
    await page.keep(`${name} ${title}`);
    throw error;
  } finally {
    await page.close();
  }
}

const known = Object.keys(PAGES).filter((name) => process.env.ALL || name !== "copilotkit");
const wanted = process.env.PAGES?.split(",") ?? known;
const played = wanted.map((name) => [name, PAGES[name]]);

describe("the front ends", { concurrency: AT_A_TIME }, () => {
  for (const [name, { places, scenes = {}, lacks = {} }] of played) {
    for (const [title, scene] of Object.entries({ ...SCENES, ...scenes })) {
      if (title in lacks || !title.includes(process.env.SCENE ?? "")) continue;
      it(`${name} ${title}`, { timeout: LONGEST }, () => play(name, places, title, scene));
    }
  }
});
