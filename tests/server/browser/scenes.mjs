// Scenes in a real browser: reads `{scene, client, api, ...}` a line, writes what was shown.
import { createServer } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [executablePath] = process.argv.slice(2);

const bundle = await build({
  entryPoints: ["page.jsx"],
  bundle: true,
  write: false,
  format: "esm",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
});
const html = '<!doctype html><div id="page"></div><script type="module" src="page.js"></script>';
const site = createServer((request, response) => {
  const script = request.url.startsWith("/page.js");
  response.setHeader("content-type", script ? "text/javascript" : "text/html");
  response.end(script ? bundle.outputFiles[0].contents : html);
});
await new Promise((ready) => site.listen(0, "127.0.0.1", ready));
const origin = `http://127.0.0.1:${site.address().port}`;

const profile = mkdtempSync(join(tmpdir(), "browser-"));
const browser = await chromium.launch({
  executablePath,
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
  env: { ...process.env, HOME: profile },
});

const PATIENCE = 60_000;
const until = (page, condition, argument) =>
  page.waitForFunction(condition, argument, { timeout: PATIENCE, polling: 20 });
const shown = (page) => page.evaluate(() => window.shown);
const send = (page, text, options) =>
  page.evaluate(([text, options]) => void window.act.send(text, options), [text, options]);
const words = (page, count) =>
  until(page, (count) => window.shown.messages.at(-1)?.text.split(" ").length >= count, count);
/** Wait until nothing goes on, and there are so many messages. */
const settled = (page, messages) =>
  until(
    page,
    (messages) => !window.shown.loading && window.shown.messages.length === messages,
    messages,
  );
const questions = (page, count) =>
  until(page, (count) => !window.shown.loading && window.shown.questions.length === count, count);
const answer = (page, value) => page.evaluate((value) => void window.act.answer(value), value);

const scenes = {
  async chat({ open }) {
    const page = await open("chat");
    await send(page, "tell 40 5");
    await settled(page, 2);
    await send(page, "and you?");
    await settled(page, 4);
    const seen = await page.evaluate(() => window.seen);
    await page.reload();
    await settled(page, 4);
    return { seen, shown: await shown(page) };
  },

  async stop({ open }) {
    const page = await open("chat");
    await send(page, "tell 5000 5");
    await words(page, 5);
    await page.evaluate(() => window.act.stop());
    await until(page, () => !window.shown.loading);
    const stopped = await shown(page);
    await send(page, "still there?");
    await until(
      page,
      () =>
        !window.shown.loading &&
        window.shown.messages.some((message) => message.text === "you said still there?"),
    );
    const thread = await page.evaluate(() => sessionStorage.getItem("thread"));
    const before = await shown(page);
    await page.reload();
    await settled(page, 3);
    return { stopped, before, shown: await shown(page), thread };
  },

  async reload({ open }, { reloads, count, pause }) {
    const page = await open("chat");
    const told = [];
    for (const at of reloads) {
      await page.evaluate((at) => {
        sessionStorage.clear();
        sessionStorage.setItem("reload", at);
      }, at);
      await page.reload();
      await until(page, () => window.act !== undefined);
      await send(page, `tell ${count} ${pause}`);
      await until(page, () => sessionStorage.getItem("reloaded"));
      const ended = (last) =>
        window.shown?.loading === false && window.shown.messages.at(-1)?.text.endsWith(last);
      await until(page, ended, ` w${count - 1}`);
      told.push({ seen: await page.evaluate(() => window.seen), shown: await shown(page) });
    }
    return { told };
  },

  async cut({ open, api }, { count, pause }) {
    const page = await open("chat");
    await send(page, `tell ${count} ${pause}`);
    await words(page, count);
    await settled(page, 2);
    const seen = await page.evaluate(() => window.seen);
    const headers = await page.evaluate(async (api) => {
      const body = JSON.stringify({ assistant_id: "chat", input: { messages: [] } });
      const request = { method: "POST", body, headers: { "content-type": "application/json" } };
      const thread = await (await fetch(`${api}/threads`, { ...request, body: "{}" })).json();
      const response = await fetch(`${api}/threads/${thread.thread_id}/runs/stream`, request);
      await response.text();
      return Object.fromEntries(response.headers);
    }, api);
    return { seen, headers, shown: await shown(page) };
  },

  async questions({ open }) {
    const page = await open("hitl");
    await send(page, "go");
    await questions(page, 1);
    const first = (await shown(page)).questions;
    await answer(page, "one");
    await until(page, () => window.shown.questions[0]?.value.question === "second?" && !window.shown.loading);
    const second = (await shown(page)).questions;
    await page.reload();
    await questions(page, 1);
    const again = (await shown(page)).questions;
    await answer(page, "two");
    await settled(page, 2);
    await questions(page, 0);
    return { first, second, again, shown: await shown(page) };
  },

  async pair({ open }) {
    const page = await open("pair");
    await send(page, "go");
    await questions(page, 2);
    const asked = (await shown(page)).questions;
    const answers = Object.fromEntries(asked.map(({ id, value }) => [id, value.slice(0, 1)]));
    await page.evaluate((answers) => void window.act.answerAll(answers), answers);
    await settled(page, 3);
    return { asked, shown: await shown(page) };
  },

  async edit({ open, client }) {
    const page = await open("chat");
    await send(page, "one");
    await settled(page, 2);
    await send(page, "two");
    await settled(page, 4);
    await page.evaluate(() => void window.act.edit(2, "three"));
    await until(page, () => !window.shown.loading && window.shown.messages.at(-1).text === "you said three");
    const edited = await shown(page);
    if (client !== "classic") return { edited, shown: await shown(page) };
    await until(page, () => window.shown.branches[2] === 2);
    await page.evaluate(() => window.act.branch(2, 0));
    await until(page, () => window.shown.messages.at(-1).text === "you said two");
    return { edited, shown: await shown(page) };
  },

  async queue({ open }) {
    const page = await open("chat");
    await send(page, "tell 50 5");
    await words(page, 3);
    await send(page, "two", { multitaskStrategy: "enqueue" });
    await send(page, "three", { multitaskStrategy: "enqueue" });
    await settled(page, 6);
    return { shown: await shown(page) };
  },

  async tabs({ open }, { strategy, first }) {
    const page = await open("chat");
    await send(page, first);
    await words(page, 3);
    const thread = await page.evaluate(() => sessionStorage.getItem("thread"));
    const other = await open("chat", { thread });
    await until(other, () => window.shown && !window.shown.loading || window.shown?.messages.length);
    await send(other, "two", { multitaskStrategy: strategy });
    const answered = () =>
      window.shown.error || window.shown.messages.some(({ text }) => text === "you said two");
    await until(other, answered);
    await until(page, () => !window.shown.loading);
    await until(other, () => !window.shown.loading);
    const error = (await shown(other)).error;
    await page.reload();
    await until(page, () => window.shown?.loading === false && window.shown.messages.length);
    return { error, shown: await shown(page), thread };
  },

  async nested({ open }) {
    const page = await open("nested", { subgraphs: "yes" });
    await send(page, "tell 20 60");
    await until(page, () => !window.shown.loading && window.shown.messages.at(-1)?.text === "that was all");
    return { events: await page.evaluate(() => window.events), seen: await page.evaluate(() => window.seen), shown: await shown(page) };
  },

  async tools({ open }) {
    const page = await open("tools");
    await send(page, "add");
    await settled(page, 4);
    return { shown: await shown(page) };
  },
};

async function play({ scene, client, api, ...more }) {
  const context = await browser.newContext();
  const errors = [];
  const open = async (graph, parameters = {}) => {
    const page = await context.newPage();
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    if (process.env.SHOW) page.on("request", (r) => console.error(r.method(), r.url(), r.postData()));
    if (process.env.SHOW) page.on("response", (r) => console.error(r.status(), r.url()));
    await page.goto(`${origin}/?${new URLSearchParams({ client, api, graph, ...parameters })}`);
    await until(page, () => window.act !== undefined);
    return page;
  };
  try {
    return { ...(await scenes[scene]({ open, client, api }, more)), errors };
  } catch (error) {
    const pages = context.pages();
    const last = await Promise.all(pages.map((p) => p.evaluate(() => [window.shown, window.seen?.at(-1)])));
    return { failed: `${error}`, last, errors };
  } finally {
    await context.close();
  }
}

const plays = [];
for await (const line of createInterface({ input: process.stdin })) {
  const { number, ...asked } = JSON.parse(line);
  const playing = play(asked).then((told) => {
    process.stdout.write(`${JSON.stringify({ number, ...told })}\n`);
  });
  plays.push(playing);
}
await Promise.all(plays);
await browser.close();
site.close();
rmSync(profile, { recursive: true, force: true });
