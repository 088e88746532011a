import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import type { Api } from "../api/client";
import { saveRecording } from "../api/recordingFiles";
import { recordingOf } from "../api/recordings";
import { TEXTS } from "../texts";
import { hrefOf, type Route } from "../ui/route";
import { Replay } from "./Replay";

/** A run of a thread, shown again from what the server has stored of it. */
export function RunReplay({ api, route, threadId, runId }: { api: Api; route: Route; threadId: string; runId: string }) {
  const [fault, setFault] = useState<string | null>(null);
  const { data: recording, error } = useQuery({
    queryKey: ["recording", threadId, runId],
    queryFn: ({ signal }) => recordingOf(api, threadId, runId, signal),
    staleTime: Infinity,
    retry: false,
  });
  const back = <a href={hrefOf({ page: "thread", threadId, panel: "runs" })}>{TEXTS.backToThread}</a>;
  if (error !== null) return <main className="empty"><p role="alert" className="fault">{error.message}</p>{back}</main>;
  if (recording === undefined) return <main aria-busy="true" />;
  const save = () => void saveRecording(api, recording).catch((error: unknown) => setFault(String(error)));
  return (
    <Replay recording={recording} route={route}>
      <button type="button" onClick={save}>{TEXTS.saveAsFile}</button>
      {back}
      {fault !== null && <p role="alert" className="fault">{fault}</p>}
    </Replay>
  );
}
