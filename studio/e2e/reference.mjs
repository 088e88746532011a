/**
 * LangGraph's own server, `langgraph dev`, with the graphs of the scenes, and the studio in front of
 * it: what `scripts/studio beside` plays the scenes with.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { createServer as createSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { GRAPHS, Server } from "./server.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAM = join(ROOT, "build/servers/reference/bin/langgraph");
const PATIENCE = 180_000;
const PAGE = join(ROOT, "src/millstream/server/studio/page");
const TYPES = { html: "text/html", js: "text/javascript", css: "text/css" };
/** As src/millstream/server/studio has it. */
const POLICY =
  "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'";

export class Reference extends Server {
  #process = null;
  #proxy = null;

  static async make() {
    const reference = new Reference();
    reference.folder = await mkdtemp(join(tmpdir(), "studio-"));
    await mkdir(reference.gates);
    await reference.#write();
    await reference.start();
    return reference;
  }

  get told() {
    const told = super.told;
    return { ...told, stream_mode: told.stream_mode.filter((mode) => mode !== "tools") };
  }

  /** Writes the graphs as they are for LangGraph. */
  async #write() {
    const folder = this.folder;
    await cp(join(ROOT, "examples"), folder, { recursive: true });
    await cp(join(ROOT, "studio/e2e/graphs.py"), join(folder, "graphs.py"));
    for (const name of await readdir(folder)) {
      if (!name.endsWith(".py")) continue;
      const path = join(folder, name);
      await writeFile(path, (await readFile(path, "utf8")).replaceAll(/\bmillstream\./g, "langgraph."));
    }
    // The examples are for the terminal too, with a package that is not there.
    await mkdir(join(folder, "rich"));
    await writeFile(join(folder, "rich/console.py"), "class Console: ...\n");
    await writeFile(join(folder, "rich/text.py"), "class Text: ...\n");
    const here = (target) => `./${target.split("/").at(-1)}`;
    // What the agents are imported from LangGraph does not have.
    const served = Object.entries(GRAPHS).filter(([name]) => name !== "agents");
    const graphs = Object.fromEntries(served.map(([name, target]) => [name, here(target)]));
    await writeFile(join(folder, "langgraph.json"), JSON.stringify({ dependencies: ["."], graphs }));
  }

  async start() {
    const port = await freePort();
    const options = ["--no-browser", "--no-reload", "--allow-blocking", "--n-jobs-per-worker", "20"];
    this.#process = spawn(PROGRAM, ["dev", "--port", String(port), ...options], {
      cwd: this.folder,
      env: { ...process.env, STUDIO_GATES: this.gates, LANGSMITH_TRACING: "false", LANGGRAPH_CLI_NO_ANALYTICS: "1", LOG_LEVEL: "ERROR" },
      stdio: ["ignore", "ignore", "ignore"],
    });
    await once(this.#process, "spawn");
    const end = Date.now() + PATIENCE;
    let isUp = false;
    while (!isUp) {
      if (Date.now() > end || this.#process.exitCode !== null) throw new Error("langgraph dev ended before it was up");
      isUp = await fetch(`http://127.0.0.1:${port}/ok`).then((response) => response.ok, () => false);
      if (!isUp) await sleep(100);
    }
    this.#proxy = createServer((asked, answer) => void pass(asked, answer, port));
    await once(this.#proxy.listen(this.port, "127.0.0.1"), "listening");
    this.port = this.#proxy.address().port;
  }

  async kill(signal = "SIGKILL") {
    const proxy = this.#proxy;
    proxy.closeAllConnections();
    await new Promise((resolve) => proxy.close(resolve));
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill(signal);
    await ended;
  }

  async close() {
    await this.kill("SIGTERM");
    await rm(this.folder, { recursive: true });
  }
}

/** Answers with a file of the studio, or what the server answers. */
async function pass(asked, answer, port) {
  const { pathname } = new URL(asked.url, "http://studio");
  const file = /^\/studio\/((?:assets\/[\w.-]+)?)$/.exec(pathname);
  if (file !== null) {
    const path = join(PAGE, file[1] || "index.html");
    answer.writeHead(200, { "content-type": TYPES[path.split(".").at(-1)] ?? "application/octet-stream", "content-security-policy": POLICY });
    answer.end(await readFile(path));
    return;
  }
  const passed = request({ port, host: "127.0.0.1", method: asked.method, path: asked.url, headers: asked.headers }, (given) => {
    answer.writeHead(given.statusCode, given.headers);
    given.pipe(answer);
  });
  passed.on("error", () => answer.destroy());
  answer.on("close", () => passed.destroy());
  asked.pipe(passed);
}

async function freePort() {
  const socket = createSocket();
  await once(socket.listen(0, "127.0.0.1"), "listening");
  const { port } = socket.address();
  await new Promise((resolve) => socket.close(resolve));
  return port;
}
