import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";

import { Follower } from "../api/following";
import type { Api } from "../api/client";
import type { Assistant, RunRequest } from "../api/types";
import { GraphView } from "../graph/GraphView";
import { TEXTS } from "../texts";
import { CopyId } from "../ui/CopyId";
import { Fault } from "../ui/Fault";
import { go, hrefOf, type Panel, type Route } from "../ui/route";
import { useAction } from "../ui/useAction";
import { Answer } from "./Answer";
import { GoOn } from "./GoOn";
import { breaksOf, RunForm } from "./RunForm";
import { Runs } from "./Runs";
import { StateView } from "./StateView";
import { Timeline } from "./Timeline";
import { Tokens } from "./Tokens";
import { UsageView } from "./UsageView";

const PANELS: readonly Panel[] = ["graph", "timeline", "state", "tokens", "usage", "runs"];
const UNDER_WAY = new Set(["pending", "running"]);

/** One thread: what its newest run does, and all that it has come to. */
export function ThreadView({ api, route, assistants }: { api: Api; route: Route; assistants: Assistant[] }) {
  const threadId = route.threadId!;
  const follower = useMemo(() => new Follower(api, threadId), [api, threadId]);
  useEffect(() => {
    follower.start();
    return () => follower.stop();
  }, [follower]);
  const { run, view, trouble } = useSyncExternalStore(follower.subscribe, follower.known);
  const client = useQueryClient();
  const version = `${run?.run_id ?? ""} ${run?.status ?? ""}`;
  const { data: thread, error } = useQuery({
    queryKey: ["thread", threadId, version],
    queryFn: () => api.thread(threadId),
    placeholderData: (before) => before,
  });
  const known = thread?.metadata.assistant_id ?? thread?.metadata.graph_id;
  const [chosen, setChosen] = useState<string | null>(null);
  const assistant =
    assistants.find((each) => each.assistant_id === (chosen ?? known)) ??
    assistants.find((each) => each.graph_id === thread?.metadata.graph_id) ??
    // Which one a thread was begun with is not known before the thread is.
    (thread === undefined && error === null ? undefined : assistants[0]);
  const { data: drawn = null } = useQuery({
    queryKey: ["graph", assistant?.assistant_id],
    queryFn: () => api.graph(assistant!.assistant_id),
    enabled: assistant !== undefined,
    staleTime: Infinity,
  });
  const [breakpoints, setBreakpoints] = useState<ReadonlyMap<string, "before" | "after">>(new Map());
  const stopping = useAction();
  const isUnderWay = run !== null && UNDER_WAY.has(run.status);
  const questions = Object.values(thread?.interrupts ?? {}).flat();

  async function start(request: RunRequest): Promise<void> {
    await api.start(threadId, request);
    follower.wake();
    await client.invalidateQueries({ queryKey: ["threads"] });
  }

  if (error !== null) return <p role="alert" className="fault">{error.message}</p>;
  return (
    <main className="thread">
      <header className="thread-head">
        <h2>
          <span className={`badge ${thread?.status ?? ""}`}>{thread?.status}</span>{" "}
          <CopyId id={threadId} />
        </h2>
        <nav aria-label={TEXTS.run} data-panels>
          {PANELS.map((panel) => (
            <a key={panel} href={hrefOf({ ...route, panel })} aria-current={panel === route.panel ? "page" : undefined}>
              {TEXTS[panel]}
            </a>
          ))}
        </nav>
        <select aria-label={TEXTS.graph} value={assistant?.assistant_id ?? ""} onChange={(event) => setChosen(event.target.value)}>
          {assistants.map((each) => <option key={each.assistant_id} value={each.assistant_id}>{each.name}</option>)}
        </select>
        <button type="button" className="stop" disabled={!isUnderWay} onClick={() => run !== null && void stopping.run(() => api.cancel(threadId, run.run_id))}>
          {TEXTS.stop}
        </button>
      </header>
      <Fault error={stopping.fault} />
      {trouble !== null && <p role="status" className="trouble">{`${TEXTS.reconnecting} (${trouble})`}</p>}
      {view?.error != null && <p role="alert" className="fault">{`${view.error.error}: ${view.error.message}`}</p>}
      <div className="panel">
        {route.panel === "graph" && (
          <GraphView
            drawn={drawn}
            run={view}
            breakpoints={breakpoints}
            onTask={(taskId) => go({ ...route, panel: "timeline", taskId })}
            onBreak={(node) => setBreakpoints((before) => turned(before, node))}
          />
        )}
        {route.panel === "timeline" && (
          <Timeline run={view} taskId={route.taskId} onTask={(taskId) => go({ ...route, taskId })} />
        )}
        {route.panel === "state" && (
          <StateView
            api={api}
            threadId={threadId}
            assistantId={assistant?.assistant_id}
            route={route}
            version={`${version} ${isUnderWay ? (view?.tasks.size ?? 0) : ""}`}
            onFork={async (checkpoint) => {
              await start({
                assistant_id: assistant!.assistant_id,
                input: null,
                checkpoint: { checkpoint_id: checkpoint.checkpoint_id, checkpoint_ns: checkpoint.checkpoint_ns },
              });
              // Where the new branch comes to.
              go({ ...route, checkpointId: null, withId: null });
            }}
          />
        )}
        {route.panel === "tokens" && <Tokens run={view} />}
        {route.panel === "usage" && <UsageView run={view} />}
        {route.panel === "runs" && <Runs api={api} threadId={threadId} />}
      </div>
      <footer>
        {!isUnderWay && assistant !== undefined && questions.map((question) => (
          <Answer
            key={question.id}
            api={api}
            threadId={threadId}
            assistantId={assistant.assistant_id}
            question={question}
            more={breaksOf(breakpoints)}
            onAnswered={() => follower.wake()}
          />
        ))}
        {!isUnderWay && assistant !== undefined && questions.length === 0 && run !== null && (
          <GoOn api={api} threadId={threadId} version={version} assistant={assistant} breakpoints={breakpoints} onStart={start} />
        )}
        {assistant !== undefined && questions.length === 0 && (
          <RunForm key={assistant.assistant_id} api={api} assistant={assistant} breakpoints={breakpoints} onStart={start} />
        )}
      </footer>
    </main>
  );
}

/** Returns the breakpoints when that of a node is turned: before it, after it, none. */
function turned(known: ReadonlyMap<string, "before" | "after">, node: string): ReadonlyMap<string, "before" | "after"> {
  const changed = new Map(known);
  const where = known.get(node);
  if (where === undefined) changed.set(node, "before");
  else if (where === "before") changed.set(node, "after");
  else changed.delete(node);
  return changed;
}
