/** The server of `examples/frontends`, in a process of its own. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MILLSTREAM = process.env.MILLSTREAM ?? join(ROOT, ".venv/bin/millstream");

export class Server {
  #process;
  #folder;
  url;

  static async start() {
    const server = new Server();
    server.#folder = await mkdtemp(join(tmpdir(), "frontends-"));
    const places = ["--config", join(ROOT, "examples/frontends/langgraph.json"), "--database", join(server.#folder, "server.db")];
    // What the failing graph logs is no news.
    server.#process = spawn(MILLSTREAM, ["serve", ...places, "--port", "0", "--log-level", "error"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    for await (const line of createInterface(server.#process.stdout)) {
      server.url = / on (http:\/\/\S+) /.exec(line)?.[1];
      if (server.url !== undefined) return server;
    }
    throw new Error("the server ended before it was up");
  }

  async close() {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    await ended;
    await rm(this.#folder, { recursive: true });
  }
}
