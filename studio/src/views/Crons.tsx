import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useId, useRef, useState } from "react";

import type { Api } from "../api/client";
import { createCron, crons, deleteCron, pauseCron, type Cron } from "../api/library";
import type { Assistant } from "../api/types";
import { TEXTS } from "../texts";
import { ConfirmButton } from "../ui/ConfirmButton";
import { Facts } from "../ui/Facts";
import { Fault } from "../ui/Fault";
import { JsonEditor, faultOf, meant } from "../ui/JsonEditor";
import { JsonTree } from "../ui/JsonTree";
import { go, hrefOf, type Route } from "../ui/route";
import { timeText } from "../ui/time";
import { useAction } from "../ui/useAction";
import { useRoving } from "../ui/useRoving";

const NEW = "new";
const REFRESH = 5_000;

/** Runs that are begun again and again, as a schedule says. */
export function Crons({ api, route, assistants }: { api: Api; route: Route; assistants: Assistant[] }) {
  const texts = TEXTS.cronsPage;
  const id = route.parts[0] ?? null;
  const list = useRef<HTMLUListElement>(null);
  useRoving(list);
  const { data: known = [], error, isPending } = useQuery({ queryKey: ["crons"], queryFn: () => crons(api), refetchInterval: REFRESH });
  const chosen = known.find((each) => each.cron_id === id);
  return (
    <main className="pair">
      <section className="list" aria-label={TEXTS.crons}>
        <div className="find">
          <a href={hrefOf({ page: "crons", parts: [NEW] })} aria-current={id === NEW ? "page" : undefined}>{texts.make}</a>
        </div>
        <Fault error={error} />
        {known.length === 0 && error === null && !isPending && <p className="empty">{texts.none}</p>}
        <ul ref={list}>
          {known.map((each) => (
            <li key={each.cron_id}>
              <a href={hrefOf({ page: "crons", parts: [each.cron_id] })} aria-current={each.cron_id === id ? "page" : undefined}>
                <span><code>{each.schedule}</code> {nameOf(each, assistants)}</span>
                <span className="faint">{each.enabled === false ? texts.paused : each.next_run_date ? timeText(each.next_run_date) : texts.over}</span>
              </a>
            </li>
          ))}
        </ul>
      </section>
      {id === NEW ? (
        <CronForm api={api} assistants={assistants} />
      ) : chosen !== undefined ? (
        <CronDetails key={chosen.cron_id} api={api} cron={chosen} assistants={assistants} />
      ) : (
        <p className="empty">{id === null ? texts.choose : isPending ? "" : `${texts.unknown} ${id}`}</p>
      )}
    </main>
  );
}

function CronDetails({ api, cron, assistants }: { api: Api; cron: Cron; assistants: Assistant[] }) {
  const texts = TEXTS.cronsPage;
  const client = useQueryClient();
  const action = useAction();
  const refresh = () => client.invalidateQueries({ queryKey: ["crons"] });
  const isOn = cron.enabled !== false;
  const threadId = cron.thread_id;
  return (
    <article className="details" aria-label={cron.schedule}>
      <h2><code>{cron.schedule}</code></h2>
      <div className="actions">
        <button
          type="button"
          disabled={action.isBusy}
          onClick={() => void action.run(async () => { await pauseCron(api, cron.cron_id, !isOn); await refresh(); })}
        >
          {isOn ? texts.pause : texts.goOn}
        </button>
        <ConfirmButton
          label={TEXTS.remove}
          question={texts.removeQuestion}
          isBusy={action.isBusy}
          onConfirm={() => void action.run(async () => { await deleteCron(api, cron.cron_id); await refresh(); go({ page: "crons" }); })}
        />
      </div>
      <Fault error={action.fault} />
      <Facts
        rows={[
          [TEXTS.id, <code key="id">{cron.cron_id}</code>],
          [TEXTS.status, isOn ? texts.on : texts.paused],
          [TEXTS.assistant, nameOf(cron, assistants)],
          [TEXTS.thread, threadId === null ? texts.ownThreads : <a key="thread" href={hrefOf({ page: "thread", threadId })}>{threadId}</a>],
          [texts.timezone, cron.timezone ?? ""],
          [texts.next, cron.next_run_date ? timeText(cron.next_run_date) : ""],
          [texts.end, cron.end_time ? timeText(cron.end_time) : ""],
          [texts.afterwards, cron.on_run_completed ?? ""],
          [TEXTS.created, timeText(cron.created_at)],
          [TEXTS.updated, timeText(cron.updated_at)],
        ]}
      />
      <h3>{texts.payload}</h3>
      <JsonTree value={cron.payload} />
    </article>
  );
}

function CronForm({ api, assistants }: { api: Api; assistants: Assistant[] }) {
  const texts = TEXTS.cronsPage;
  const form = useId();
  const client = useQueryClient();
  const action = useAction();
  const [assistantId, setAssistantId] = useState("");
  const [schedule, setSchedule] = useState("");
  const [timezone, setTimezone] = useState("");
  const [threadId, setThreadId] = useState("");
  const [end, setEnd] = useState("");
  const [isKept, setKept] = useState(true);
  const [input, setInput] = useState("{}");
  const chosen = assistantId || (assistants[0]?.assistant_id ?? "");

  async function make(): Promise<void> {
    const made = await createCron(api, threadId.trim(), {
      assistant_id: chosen,
      schedule: schedule.trim(),
      input: meant(input),
      ...(timezone.trim() === "" ? {} : { timezone: timezone.trim() }),
      ...(end === "" ? {} : { end_time: new Date(end).toISOString() }),
      ...(threadId.trim() === "" ? { on_run_completed: isKept ? "keep" : "delete" } : {}),
    });
    await client.invalidateQueries({ queryKey: ["crons"] });
    go({ page: "crons", parts: [made.cron_id] });
  }

  return (
    <form className="details" aria-label={texts.make} onSubmit={(event) => { event.preventDefault(); void action.run(make); }}>
      <h2>{texts.make}</h2>
      <div className="field">
        <label htmlFor={`${form}-assistant`}>{TEXTS.assistant}</label>
        <select id={`${form}-assistant`} value={chosen} onChange={(event) => setAssistantId(event.target.value)}>
          {assistants.map((each) => <option key={each.assistant_id} value={each.assistant_id}>{each.name}</option>)}
        </select>
      </div>
      <div className="field">
        <label htmlFor={`${form}-schedule`}>{texts.schedule}</label>
        <input id={`${form}-schedule`} required value={schedule} aria-describedby={`${form}-schedule-help`} onChange={(event) => setSchedule(event.target.value)} />
        <small id={`${form}-schedule-help`}>{texts.scheduleHelp}</small>
      </div>
      <div className="field">
        <label htmlFor={`${form}-zone`}>{texts.timezone}</label>
        <input id={`${form}-zone`} value={timezone} aria-describedby={`${form}-zone-help`} onChange={(event) => setTimezone(event.target.value)} />
        <small id={`${form}-zone-help`}>{texts.timezoneHelp}</small>
      </div>
      <div className="field">
        <label htmlFor={`${form}-thread`}>{TEXTS.thread}</label>
        <input id={`${form}-thread`} value={threadId} aria-describedby={`${form}-thread-help`} onChange={(event) => setThreadId(event.target.value)} />
        <small id={`${form}-thread-help`}>{texts.threadHelp}</small>
      </div>
      {threadId.trim() === "" && (
        <div className="field">
          <label><input type="checkbox" checked={isKept} onChange={(event) => setKept(event.target.checked)} /> {texts.keepThreads}</label>
        </div>
      )}
      <div className="field">
        <label htmlFor={`${form}-end`}>{texts.end}</label>
        <input id={`${form}-end`} type="datetime-local" value={end} onChange={(event) => setEnd(event.target.value)} />
      </div>
      <JsonEditor label={TEXTS.input} text={input} onChange={setInput} rows={6} />
      <Fault error={action.fault} />
      <div className="actions">
        <button type="submit" disabled={action.isBusy || chosen === "" || schedule.trim() === "" || faultOf(input) !== null}>{TEXTS.save}</button>
      </div>
    </form>
  );
}

function nameOf(cron: Cron, assistants: Assistant[]): string {
  const id = cron.assistant_id ?? cron.payload.assistant_id;
  return assistants.find((each) => each.assistant_id === id)?.name ?? String(id ?? "");
}
