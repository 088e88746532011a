import { useId, useState } from "react";

import { openRecording } from "../api/recordingFiles";
import type { Recording } from "../model/recording";
import { TEXTS } from "../texts";
import type { Route } from "../ui/route";
import { Replay } from "./Replay";

/** A run that was saved as a file; no server is asked for anything. */
export function FilePage({ route }: { route: Route }) {
  const id = useId();
  const [recording, setRecording] = useState<Recording | null>(null);
  const [fault, setFault] = useState<string | null>(null);

  async function open(file: File | undefined): Promise<void> {
    if (file === undefined) return;
    try {
      setFault(null);
      setRecording(await openRecording(file));
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
  }

  const chooser = (
    <div
      className="chooser"
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void open(event.dataTransfer.files[0]);
      }}
    >
      <label htmlFor={id}>{TEXTS.openFile}</label>
      <input id={id} type="file" accept=".gz,.jsonl,.run,.recording" onChange={(event) => void open(event.target.files?.[0])} />
      {fault !== null && <p role="alert" className="fault">{fault}</p>}
    </div>
  );
  if (recording === null) return <main className="empty">{chooser}</main>;
  return <Replay key={recording.runId} recording={recording} route={route}>{chooser}</Replay>;
}
