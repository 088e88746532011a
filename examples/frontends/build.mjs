/** Builds a page of each file of `pages/` into `dist/`, and a list of them; with ALL=1 that of `copilotkit/` as well. */

import { mkdir, rm, writeFile } from "node:fs/promises";

import { build } from "esbuild";

/** The pages: their names, and what they are made with. */
const PAGES = {
  usechat: "AI SDK: useChat",
  usestream: "LangGraph SDK: useStream",
  langchain: "@langchain/react: useStream",
  assistant: "assistant-ui with the AI SDK",
  assistant_langgraph: "assistant-ui with LangGraph's runtime",
  agui: "AG-UI: HttpAgent",
  completions: "openai: chat completions",
  responses: "openai: responses",
};
/** The file of each page. */
const files = Object.fromEntries(Object.keys(PAGES).map((name) => [name, `pages/${name}.jsx`]));
if (process.env.ALL) {
  PAGES.copilotkit = "CopilotKit";
  files.copilotkit = "copilotkit/copilotkit.jsx";
}

const html = (title, style, body) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width" />
    <title>${title}</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="${style}.css" />
  </head>
  <body>
${body}
  </body>
</html>
`;

process.chdir(new URL(".", import.meta.url).pathname);
await rm("dist", { recursive: true, force: true });
await mkdir("dist");
await build({
  entryPoints: { style: "pages/style.css", ...files },
  outdir: "dist",
  bundle: true,
  // What pages have in common, React above all, is loaded once.
  splitting: true,
  // Also by the page whose packages are in a folder of its own.
  alias: { react: "./node_modules/react", "react-dom": "./node_modules/react-dom" },
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  minify: true,
  // Fonts of formulas: one format is enough.
  loader: { ".woff2": "file", ".woff": "empty", ".ttf": "empty" },
  define: { "process.env.NODE_ENV": '"production"' },
  logLevel: "warning",
});
for (const [name, title] of Object.entries(PAGES)) {
  await writeFile(`dist/${name}.html`, html(title, name, `    <div id="root"></div>\n    <script type="module" src="${name}.js"></script>`));
}
const links = Object.entries(PAGES).map(([name, title]) => `      <li><a href="${name}.html">${title}</a></li>`);
await writeFile("dist/index.html", html("Front ends", "style", `    <h1>Front ends of one graph</h1>\n    <ul>\n${links.join("\n")}\n    </ul>`));
