import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import type { Api } from "../api/client";
import type { Run } from "../api/types";
import { TEXTS } from "../texts";
import { CopyId } from "../ui/CopyId";
import { JsonTree } from "../ui/JsonTree";
import { hrefOf } from "../ui/route";

const REFRESH = 2_000;
const PAGE = 50;
const MOST = 1_000;
const STATUSES = ["pending", "running", "success", "error", "timeout", "interrupted"] as const;
const UNDER_WAY = new Set<Run["status"]>(["pending", "running"]);

/** The runs of a thread, the newest first. */
export function Runs({ api, threadId }: { api: Api; threadId: string }) {
  const [status, setStatus] = useState("");
  const [text, setText] = useState("");
  const [limit, setLimit] = useState(PAGE);
  const { data: runs, error } = useQuery({
    queryKey: ["runs", threadId, status, limit],
    queryFn: () => api.runs(threadId, limit, status),
    refetchInterval: REFRESH,
    placeholderData: keepPreviousData,
  });
  const wanted = text.trim().toLowerCase();
  const shown = (runs ?? []).filter((run) => isFound(run, wanted));
  return (
    <section className="runs" aria-label={TEXTS.runs}>
      <div className="find">
        <input type="search" aria-label={TEXTS.findRun} placeholder={TEXTS.findRun} value={text} onChange={(event) => setText(event.target.value)} />
        <select aria-label={TEXTS.status} value={status} onChange={(event) => setStatus(event.target.value)}>
          <option value="">{TEXTS.anyStatus}</option>
          {STATUSES.map((each) => <option key={each}>{each}</option>)}
        </select>
      </div>
      {error !== null && <p role="alert" className="fault">{error.message}</p>}
      {runs !== undefined && shown.length === 0 && <p className="empty">{TEXTS.noRuns}</p>}
      <table>
        <thead>
          <tr><th scope="col">{TEXTS.run}</th><th scope="col">{TEXTS.status}</th><th scope="col">{TEXTS.replay}</th><th scope="col">{TEXTS.began}</th><th scope="col">{TEXTS.took}</th><th scope="col">{TEXTS.metadata}</th></tr>
        </thead>
        <tbody>{shown.map((run) => <RunRow key={run.run_id} run={run} />)}</tbody>
      </table>
      {runs?.length === limit && limit < MOST && (
        <button type="button" className="link" onClick={() => setLimit(Math.min(MOST, 4 * limit))}>{TEXTS.moreRuns}</button>
      )}
    </section>
  );
}

function RunRow({ run }: { run: Run }) {
  const seconds = (Date.parse(run.updated_at) - Date.parse(run.created_at)) / 1000;
  const isOver = !UNDER_WAY.has(run.status);
  return (
    <tr>
      <td><CopyId id={run.run_id} /></td>
      <td><span className={`badge ${run.status}`}>{run.status}</span></td>
      <td>{isOver && <a href={hrefOf({ page: "thread", threadId: run.thread_id, runId: run.run_id })}>{TEXTS.replay}</a>}</td>
      <td><time dateTime={run.created_at}>{new Date(run.created_at).toLocaleString()}</time></td>
      <td>{!isOver ? "" : `${seconds.toFixed(1)} s`}</td>
      <td><JsonTree value={run.metadata} depth={1} /></td>
    </tr>
  );
}

function isFound(run: Run, wanted: string): boolean {
  return run.run_id.includes(wanted) || JSON.stringify(run.metadata).toLowerCase().includes(wanted);
}
