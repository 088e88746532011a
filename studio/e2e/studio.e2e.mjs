/** Plays the scenes of `scenes/`: all of them, or those of the files that SCENES names, as in SCENES=graph,state. */

import { readdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";

import { House, IS_REFERENCE, scenes } from "./frame.mjs";

const FOLDER = new URL("scenes/", import.meta.url);
/** Most of a scene is waiting for the other side. */
const AT_A_TIME = Number(process.env.AT_A_TIME ?? 3);
const LONGEST = 300_000;

const wanted = process.env.SCENES?.split(",");
for (const file of readdirSync(FOLDER).sort()) {
  if (file.endsWith(".mjs") && (wanted === undefined || wanted.includes(file.slice(0, -4)))) await import(new URL(file, FOLDER));
}

let house;
before(async () => {
  house = await House.open();
});
after(() => house?.close());

describe("the studio", { concurrency: AT_A_TIME }, () => {
  for (const each of scenes) {
    const skip = IS_REFERENCE && each.lacks;
    it(each.name, { timeout: LONGEST, skip }, () => house.play(each));
  }
});
