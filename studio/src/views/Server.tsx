import { useQuery } from "@tanstack/react-query";

import type { Api } from "../api/client";
import type { Json } from "../api/types";
import { overviewOf } from "../model/overview";
import { TEXTS } from "../texts";
import { Facts } from "../ui/Facts";
import { Fault } from "../ui/Fault";

const REFRESH = 5_000;
const STATUSES = ["idle", "busy", "interrupted", "error"] as const;
/** What a server can be asked about itself. Not every server has all of it. */
const PARTS = [
  ["up", "/ok"],
  ["database", "/ok?check_db=true"],
  ["ready", "/readyz"],
  ["alive", "/livez"],
  ["info", "/info"],
  ["metrics", "/metrics?format=json"],
] as const;

/** How the server is, as it says itself. */
export function Server({ api }: { api: Api }) {
  return (
    // There may be nothing in it to go to: it is scrolled by keys all the same.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <main className="server" tabIndex={0}>
      <h2>{TEXTS.server}</h2>
      <p className="id">{api.base}</p>
      <Threads api={api} />
      {PARTS.map(([name, path]) => <Part key={name} api={api} title={TEXTS.serverPage[name]} path={path} />)}
    </main>
  );
}

function Part({ api, title, path }: { api: Api; title: string; path: string }) {
  const { data, error } = useQuery({
    queryKey: ["server", path],
    queryFn: () => api.ask<Json>("GET", path),
    refetchInterval: REFRESH,
    retry: false,
  });
  const overview = data === undefined ? null : overviewOf(data);
  return (
    <section aria-label={title}>
      <h3>{title} <code className="faint">{path}</code></h3>
      <Fault error={error} />
      {overview !== null && error === null && (
        <>
          <Facts rows={overview.facts} />
          {overview.tables.map((table) => (
            <table key={table.name}>
              <caption>{table.name}</caption>
              <thead><tr>{table.columns.map((column) => <th key={column} scope="col">{column}</th>)}</tr></thead>
              <tbody>
                {table.rows.map((row, place) => <tr key={place}>{row.map((cell, column) => <td key={column}>{cell}</td>)}</tr>)}
              </tbody>
            </table>
          ))}
        </>
      )}
    </section>
  );
}

function Threads({ api }: { api: Api }) {
  const { data = null, error } = useQuery({
    queryKey: ["server", "threads"],
    queryFn: () => Promise.all(STATUSES.map((status) => api.ask<number>("POST", "/threads/count", { status }))),
    refetchInterval: REFRESH,
    retry: false,
  });
  return (
    <section aria-label={TEXTS.threads}>
      <h3>{TEXTS.threads}</h3>
      <Fault error={error} />
      {data !== null && error === null && <Facts rows={STATUSES.map((status, place) => [TEXTS.statuses[status], String(data[place])])} />}
    </section>
  );
}
