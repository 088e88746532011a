import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { Api } from "./api/client";
import { App } from "./App";
import "./styles.css";

const root = document.getElementById("studio");
if (root === null) throw new Error("the page has no place for the studio");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={new QueryClient()}>
      <App api={Api.here()} />
    </QueryClientProvider>
  </StrictMode>,
);
