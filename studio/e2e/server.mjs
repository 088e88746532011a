/** A server of the graphs beside this file, which can be killed and started again on its files. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
export const MILLSTREAM = process.env.MILLSTREAM ?? join(HERE, "../../.venv/bin/millstream");
const OWN = ["slow", "fans", "asks", "fails", "talks", "counts", "hostile", "priced"];
/** What is served: the graphs beside this file, and three of the examples. */
export const GRAPHS = {
  ...Object.fromEntries(OWN.map((name) => [name, `${HERE}graphs.py:${name}`])),
  agents: `${HERE}colleagues.py:agents`,
  ...Object.fromEntries(["chat", "digest"].map((name) => [name, `${join(HERE, "../../examples", name)}.py:graph`])),
};

/** What the studio asks a run for: see src/api/client.ts. */
const TOLD = {
  stream_mode: ["values", "updates", "tasks", "checkpoints", "messages-tuple", "custom", "tools"],
  stream_subgraphs: true,
  stream_resumable: true,
};

export class Server {
  folder;
  #process = null;
  port = 0;

  /** Starts a server of graphs, which are targets by their names. */
  static async make(graphs = GRAPHS) {
    const server = new Server();
    server.folder = await mkdtemp(join(tmpdir(), "studio-"));
    await mkdir(server.gates);
    await writeFile(server.#config, JSON.stringify({ dependencies: ["."], graphs }));
    await server.start();
    return server;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get studio() {
    return `${this.url}/studio/`;
  }

  get told() {
    return TOLD;
  }

  get gates() {
    return join(this.folder, "gates");
  }

  get #config() {
    return join(this.folder, "langgraph.json");
  }

  async start() {
    const places = ["--config", this.#config, "--database", join(this.folder, "server.db"), "--port", String(this.port)];
    this.#process = spawn(MILLSTREAM, ["serve", ...places, "--log-level", "error"], {
      cwd: this.folder,
      env: { ...process.env, STUDIO_GATES: this.gates },
      stdio: ["ignore", "pipe", "inherit"],
    });
    for await (const line of createInterface(this.#process.stdout)) {
      const found = /on http:\/\/127\.0\.0\.1:(\d+) \(studio: /.exec(line);
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
    await rm(this.folder, { recursive: true });
  }

  /** Lets what waits at a gate pass, up to a number. */
  async allow(gate, number) {
    const path = join(this.gates, gate);
    await writeFile(`${path}.new`, String(number));
    await rename(`${path}.new`, path);
  }

  async post(path, body) {
    return this.#json(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  }

  async get(path) {
    return this.#json(path, {});
  }

  async #json(path, options) {
    const response = await fetch(this.url + path, options);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** Begins a run as the studio does, on a new thread unless one is given; returns its thread. */
  async run(graph, input, { threadId, ...more } = {}) {
    const thread = threadId ?? (await this.post("/threads", { metadata: { graph_id: graph } })).thread_id;
    const { run_id: runId } = await this.post(`/threads/${thread}/runs`, { assistant_id: graph, input, ...this.told, ...more });
    return { threadId: thread, runId };
  }

  /** Runs a graph to its end, however it ends; returns its thread. */
  async ran(graph, input, options) {
    const begun = await this.run(graph, input, options);
    await this.ended(begun);
    return begun.threadId;
  }

  /** Waits for the end of a run. */
  async ended({ threadId, runId }) {
    const response = await fetch(`${this.url}/threads/${threadId}/runs/${runId}/join`);
    await response.text();
  }
}
