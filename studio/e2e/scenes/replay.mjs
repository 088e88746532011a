/** Runs that are over, shown again: from the server, and from a file without one. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gunzipSync, gzipSync } from "node:zlib";

import { scene } from "../frame.mjs";
import { MILLSTREAM } from "../server.mjs";

const GRAPHS = fileURLToPath(new URL("..", import.meta.url));
const RECORD = `
import asyncio, sys
from graphs import talks
asyncio.run(talks.ainvoke({"messages": [("user", "hello")]}, record=sys.argv[1]))
`;

async function shown(stage, graph, input, options) {
  const run = await stage.server.run(graph, input, options);
  await stage.server.ended(run);
  await stage.look(run.threadId, "runs");
  await stage.page.getByRole("link", { name: "Replay" }).click();
  await stage.page.getByRole("slider").waitFor();
  return run;
}

async function openFile(stage, file) {
  const { context, page, server } = stage;
  // There is nobody who would answer.
  const asked = [];
  await context.route(
    (url) => !url.pathname.startsWith("/studio/") && url.href.startsWith(server.url),
    (route) => {
      asked.push(route.request().url());
      return route.abort();
    },
  );
  await page.goto("about:blank");
  await stage.visit("#/file");
  await page.getByLabel("Open the file of a run").setInputFiles({ name: "run.jsonl.gz", mimeType: "application/gzip", buffer: file });
  await page.getByRole("slider").waitFor();
  return asked;
}

scene("a run is shown again at any speed and moment, saved, and opened without a server", async (stage) => {
  const { page } = stage;
  const gate = stage.gate();
  await stage.server.allow(gate, 100);
  await shown(stage, "counts", { messages: [{ role: "user", content: "count" }], gate });
  const slider = page.getByRole("slider");
  await page.getByRole("combobox", { name: "Speed" }).selectOption("as fast as can be");
  await page.getByRole("button", { name: "Play" }).waitFor();
  await stage.node("team", "done").waitFor();
  await slider.fill("0");
  await stage.node("team", "waits").waitFor();
  await page.getByRole("link", { name: "Tokens" }).click();
  await slider.press("End");
  await page.locator(".said", { hasText: "word0 word1" }).waitFor();
  await page.getByRole("link", { name: "Timeline" }).click();
  await page.locator(".row", { hasText: "count" }).first().waitFor();
  await stage.checkAccess();

  const saving = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save as a file" }).click();
  const file = await readFile(await (await saving).path());
  // As others write it, in several members of gzip.
  const lines = gunzipSync(file);
  const middle = Math.floor(lines.length / 2);
  const members = Buffer.concat([lines.subarray(0, middle), lines.subarray(middle)].map((part) => gzipSync(part)));
  const asked = await openFile(stage, members);
  await slider.press("End");
  await stage.node("team", "done").waitFor();
  await page.getByRole("link", { name: "Tokens" }).click();
  await page.locator(".said", { hasText: "word0 word1" }).waitFor();
  await stage.checkAccess();
  assert.deepEqual(asked, []);
});

scene("a file that was cut, and one that is none, are told as such", async (stage) => {
  const { page } = stage;
  await shown(stage, "hostile", {});
  const saving = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save as a file" }).click();
  const file = await readFile(await (await saving).path());
  await openFile(stage, file.subarray(0, file.length - 20));
  await page.getByText("The file ends before the run does").waitFor();
  await page.getByLabel("Open the file of a run").setInputFiles({ name: "run.gz", mimeType: "application/gzip", buffer: Buffer.from("PK") });
  await page.getByRole("alert").getByText("This is no recording of a run").waitFor();
  await page.getByLabel("Open the file of a run").setInputFiles({ name: "run.gz", mimeType: "application/gzip", buffer: file });
  await page.getByText("The file ends before the run does").waitFor({ state: "detached" });
  await page.getByRole("link", { name: "State" }).click();
  await page.getByRole("slider").press("End");
  await page.getByText("<script>").first().waitFor();
  assert.equal(await page.title(), "millstream studio");
});

scene("a run whose stream is no more is shown from its checkpoints", async (stage) => {
  const { page } = stage;
  const gate = stage.gate();
  await stage.server.allow(gate, 100);
  await shown(stage, "slow", { upto: 3, seen: [], gate }, { stream_resumable: false });
  await page.getByText("It is shown from its checkpoints").waitFor();
  await page.getByRole("slider").press("End");
  await stage.node("step", "done").waitFor();
  await page.getByText("×3").waitFor();
  // The server has no file of it either: it has what was shown.
  const saving = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save as a file" }).click();
  await openFile(stage, await readFile(await (await saving).path()));
  await page.getByRole("slider").press("End");
  await page.getByText("×3").waitFor();
});

scene("which task of a run has failed is seen when it is shown again", async (stage) => {
  const { page } = stage;
  await shown(stage, "fails", { text: "because" });
  await page.getByRole("slider").press("End");
  await page.getByRole("link", { name: "Timeline" }).click();
  await page.locator(".row.failed", { hasText: "fail" }).click();
  await page.locator(".details .fault", { hasText: "because" }).waitFor();
});

scene("a file that a program has recorded is opened", async (stage) => {
  const { page } = stage;
  const folder = await mkdtemp(join(tmpdir(), "recorded-"));
  const path = join(folder, "run.jsonl.gz");
  await promisify(execFile)(join(dirname(MILLSTREAM), "python"), ["-c", RECORD, path], { cwd: GRAPHS });
  await openFile(stage, await readFile(path));
  await rm(folder, { recursive: true });
  await page.getByRole("slider").press("End");
  await page.getByRole("button", { name: "+ team" }).click();
  await stage.node("speak", "done").waitFor();
  await page.getByRole("link", { name: "Tokens" }).click();
  await page.locator(".speech .said", { hasText: "You said: hello <script>" }).waitFor();
  await page.getByRole("link", { name: "State" }).click();
  await page.locator(".message.ai", { hasText: "[link](javascript:alert(1))" }).first().waitFor();
});
