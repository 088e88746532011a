/** How much of the page has to be loaded. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

import { scene } from "../frame.mjs";

const PAGE = new URL("../../../src/millstream/server/studio/page/", import.meta.url);
const FIRST = 200_000;
const ALL = 400_000;

const size = (path) => gzipSync(readFileSync(new URL(path, PAGE)), { level: 6 }).length;

scene("the page is small", async (stage) => {
  const { page } = stage;
  const loaded = new Set();
  page.on("response", (response) => {
    const path = new URL(response.url()).pathname.split("/studio/")[1];
    if (path !== undefined) loaded.add(path === "" ? "index.html" : path);
  });
  await stage.visit();
  await page.getByRole("button", { name: "+ slow" }).waitFor();
  const first = [...loaded].reduce((sum, path) => sum + size(path), 0);
  const files = readdirSync(PAGE, { recursive: true }).filter((path) => /\.\w+$/.test(path));
  const all = files.reduce((sum, path) => sum + size(path), 0);
  assert.ok(loaded.size >= 3, `${[...loaded]}`);
  assert.ok(first <= FIRST, `the first load is ${first} bytes`);
  assert.ok(all <= ALL, `all is ${all} bytes`);
});
