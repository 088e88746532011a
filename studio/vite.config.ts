import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // The page is served below any prefix: everything is found relative to it.
  base: "./",
  plugins: [react()],
  build: {
    outDir: "../src/millstream/server/studio/page",
    emptyOutDir: true,
    target: "es2022",
    // Nothing is written into the page itself: its policy lets no inline script run.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 400,
  },
  worker: { format: "es" },
  test: { environment: "node", include: ["src/**/*.test.ts", "src/**/*.test.tsx"] },
});
