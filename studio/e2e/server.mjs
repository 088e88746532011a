/** A server of the graphs beside this file, which can be killed and started again on its files. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const MILLSTREAM = process.env.MILLSTREAM ?? join(HERE, "../../.venv/bin/millstream");
const GRAPHS = ["slow", "asks", "fails", "talks"];

export class Server {
  #folder;
  #process = null;
  port = 0;

  static async make() {
    const server = new Server();
    server.#folder = await mkdtemp(join(tmpdir(), "studio-"));
    await server.start();
    return server;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get studio() {
    return `${this.url}/studio/`;
  }

  async start() {
    const targets = GRAPHS.map((name) => `${HERE}graphs.py:${name}`);
    const options = ["--port", String(this.port), "--database", join(this.#folder, "server.db"), "--log-level", "error"];
    this.#process = spawn(MILLSTREAM, ["serve", ...targets, ...options], {
      cwd: this.#folder,
      stdio: ["ignore", "pipe", "inherit"],
    });
    for await (const line of createInterface(this.#process.stdout)) {
      const found = /on http:\/\/127\.0\.0\.1:(\d+)/.exec(line);
      if (found !== null) {
        this.port = Number(found[1]);
        return;
      }
    }
    throw new Error("the server ended before it was up");
  }

  async kill(signal = "SIGKILL") {
    const ended = once(this.#process, "exit");
    this.#process.kill(signal);
    await ended;
  }

  async close() {
    await this.kill("SIGTERM");
    await rm(this.#folder, { recursive: true });
  }

  async post(path, body) {
    const response = await fetch(this.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return response.json();
  }
}
