import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useId, useRef, useState } from "react";

import type { Api } from "../api/client";
import { changeAssistant, createAssistant, deleteAssistant, makeLatest, versionsOf, type AssistantFields } from "../api/library";
import type { Assistant, JsonObject } from "../api/types";
import { changedFields } from "../model/changedFields";
import { differences } from "../model/difference";
import { TEXTS } from "../texts";
import { ConfirmButton } from "../ui/ConfirmButton";
import { Facts } from "../ui/Facts";
import { Fault } from "../ui/Fault";
import { JsonTree } from "../ui/JsonTree";
import { ObjectEditor, objectIn } from "../ui/ObjectEditor";
import { go, hrefOf, type Route } from "../ui/route";
import { timeText } from "../ui/time";
import { useAction } from "../ui/useAction";
import { useRoving } from "../ui/useRoving";

const NEW = "new";
const SETTINGS = ["config", "context", "metadata"] as const;

/** The assistants of a server: graphs with settings of their own, and what these were before. */
export function Assistants({ api, route, assistants }: { api: Api; route: Route; assistants: Assistant[] }) {
  const texts = TEXTS.assistantsPage;
  const id = route.parts[0] ?? null;
  const [text, setText] = useState("");
  const list = useRef<HTMLUListElement>(null);
  useRoving(list);
  const wanted = text.trim().toLowerCase();
  const shown = assistants.filter((each) => `${each.name} ${each.graph_id} ${each.assistant_id}`.toLowerCase().includes(wanted));
  const chosen = assistants.find((each) => each.assistant_id === id);
  return (
    <main className="pair">
      <section className="list" aria-label={TEXTS.assistants}>
        <div className="find">
          <input type="search" aria-label={texts.find} placeholder={texts.find} value={text} onChange={(event) => setText(event.target.value)} />
          <a href={hrefOf({ page: "assistants", parts: [NEW] })} aria-current={id === NEW ? "page" : undefined}>{texts.make}</a>
        </div>
        {shown.length === 0 && <p className="empty">{texts.none}</p>}
        <ul ref={list}>
          {shown.map((each) => (
            <li key={each.assistant_id}>
              <a href={hrefOf({ page: "assistants", parts: [each.assistant_id] })} aria-current={each.assistant_id === id ? "page" : undefined}>
                <span>{each.name}</span>
                <span className="faint">{`${each.graph_id} · ${texts.version} ${each.version}`}</span>
              </a>
            </li>
          ))}
        </ul>
      </section>
      {id === NEW ? (
        <AssistantForm key={NEW} api={api} before={null} graphs={graphsOf(assistants)} onDone={(made) => go({ page: "assistants", parts: [made.assistant_id] })} />
      ) : chosen !== undefined ? (
        <AssistantDetails key={chosen.assistant_id} api={api} assistant={chosen} graphs={graphsOf(assistants)} version={route.version} />
      ) : (
        <p className="empty">{id === null ? texts.choose : `${texts.unknown} ${id}`}</p>
      )}
    </main>
  );
}

interface DetailsProps {
  api: Api;
  assistant: Assistant;
  graphs: string[];
  version: string | null;
}

function AssistantDetails({ api, assistant, graphs, version }: DetailsProps) {
  const texts = TEXTS.assistantsPage;
  const id = assistant.assistant_id;
  const client = useQueryClient();
  const [isEdited, setEdited] = useState(false);
  const [withThreads, setWithThreads] = useState(false);
  const action = useAction();
  const { data: versions = [], error } = useQuery({
    queryKey: ["versions", id, assistant.version, assistant.updated_at],
    queryFn: () => versionsOf(api, id),
  });
  const shown = versions.find((each) => String(each.version) === version) ?? assistant;
  const before = versions.find((each) => each.version < shown.version);
  const changes = before === undefined ? [] : differences(settingsOf(before), settingsOf(shown));
  const refresh = () => client.invalidateQueries({ queryKey: ["assistants"] });

  if (isEdited) {
    return (
      <AssistantForm
        api={api}
        before={shown}
        graphs={graphs}
        onLeave={() => setEdited(false)}
        onDone={() => {
          setEdited(false);
          go({ page: "assistants", parts: [id] });
        }}
      />
    );
  }
  return (
    <article className="details" aria-label={shown.name}>
      <h2>{shown.name}</h2>
      <div className="actions">
        <button type="button" onClick={() => void action.run(() => makeThread(api, assistant))}>{TEXTS.newThread}</button>
        <button type="button" onClick={() => setEdited(true)}>{TEXTS.edit}</button>
        {shown.version !== assistant.version && (
          <button
            type="button"
            disabled={action.isBusy}
            onClick={() => void action.run(async () => { await makeLatest(api, id, shown.version); await refresh(); go({ page: "assistants", parts: [id] }); })}
          >
            {texts.makeLatest}
          </button>
        )}
        <ConfirmButton
          label={TEXTS.remove}
          question={`${texts.removeQuestion} ${assistant.name}`}
          isBusy={action.isBusy}
          onConfirm={() => void action.run(async () => { await deleteAssistant(api, id, withThreads); await refresh(); go({ page: "assistants" }); })}
        >
          <label><input type="checkbox" checked={withThreads} onChange={(event) => setWithThreads(event.target.checked)} /> {texts.withThreads}</label>
        </ConfirmButton>
      </div>
      <Fault error={action.fault} />
      <Facts
        rows={[
          [TEXTS.id, <code key="id">{id}</code>],
          [TEXTS.graph, shown.graph_id],
          [texts.description, shown.description ?? ""],
          [texts.version, shown.version],
          [TEXTS.created, timeText(assistant.created_at)],
          [TEXTS.updated, timeText(assistant.updated_at)],
        ]}
      />
      <nav aria-label={texts.versions} className="versions">
        {versions.map((each) => (
          <a key={each.version} href={hrefOf({ page: "assistants", parts: [id], version: String(each.version) })} aria-current={each.version === shown.version ? "page" : undefined}>
            {`${texts.version} ${each.version}${each.version === assistant.version ? ` (${texts.latest})` : ""}`}
          </a>
        ))}
      </nav>
      <Fault error={error} />
      {SETTINGS.map((name) => (
        <section key={name}>
          <h3>{texts[name]}</h3>
          <JsonTree value={shown[name] ?? null} />
        </section>
      ))}
      {before !== undefined && (
        <section>
          <h3>{`${texts.sinceVersion} ${before.version}`}</h3>
          {changes.length === 0 && <p className="empty">{TEXTS.nothingChanged}</p>}
          <ul className="changes">
            {changes.map((change) => (
              <li key={change.path} className={change.kind}>
                <code>{change.path}</code>
                <JsonTree value={change.after ?? change.before ?? null} />
              </li>
            ))}
          </ul>
        </section>
      )}
    </article>
  );
}

interface FormProps {
  api: Api;
  /** What is changed, null for a new one. */
  before: Assistant | null;
  graphs: string[];
  onDone: (assistant: Assistant) => void;
  onLeave?: () => void;
}

function AssistantForm({ api, before, graphs, onDone, onLeave }: FormProps) {
  const texts = TEXTS.assistantsPage;
  const form = useId();
  const client = useQueryClient();
  const action = useAction();
  const [name, setName] = useState(before?.name ?? "");
  const [graph, setGraph] = useState(before?.graph_id ?? graphs[0] ?? "");
  const [description, setDescription] = useState(before?.description ?? "");
  const [settings, setSettings] = useState<Record<(typeof SETTINGS)[number], string>>(() => ({
    config: JSON.stringify(before?.config ?? {}, null, 2),
    context: JSON.stringify(before?.context ?? {}, null, 2),
    metadata: JSON.stringify(before?.metadata ?? {}, null, 2),
  }));
  const isWhole = name.trim() !== "" && graph !== "" && SETTINGS.every((each) => objectIn(settings[each]) !== null);

  async function save(): Promise<void> {
    const fields: AssistantFields = {
      name: name.trim(),
      graph_id: graph,
      description,
      config: objectIn(settings.config) ?? {},
      context: objectIn(settings.context) ?? {},
      metadata: objectIn(settings.metadata) ?? {},
    };
    // Only what is new is sent: config and context stand for the same, and both at once are refused.
    const changed = changedFields(before === null ? { config: {}, context: {}, metadata: {}, description: "" } : settingsOf(before), fields);
    const saved = before === null ? await createAssistant(api, changed) : await changeAssistant(api, before.assistant_id, changed);
    await client.invalidateQueries({ queryKey: ["assistants"] });
    onDone(saved);
  }

  return (
    <form className="details" aria-label={before === null ? texts.make : before.name} onSubmit={(event) => { event.preventDefault(); void action.run(save); }}>
      <h2>{before === null ? texts.make : before.name}</h2>
      <div className="field">
        <label htmlFor={`${form}-name`}>{texts.name}</label>
        <input id={`${form}-name`} required value={name} onChange={(event) => setName(event.target.value)} />
      </div>
      <div className="field">
        <label htmlFor={`${form}-graph`}>{TEXTS.graph}</label>
        <select id={`${form}-graph`} value={graph} onChange={(event) => setGraph(event.target.value)}>
          {graphs.map((each) => <option key={each}>{each}</option>)}
        </select>
      </div>
      <div className="field">
        <label htmlFor={`${form}-description`}>{texts.description}</label>
        <textarea id={`${form}-description`} rows={2} value={description} onChange={(event) => setDescription(event.target.value)} />
      </div>
      {SETTINGS.map((each) => (
        <ObjectEditor key={each} label={texts[each]} text={settings[each]} onChange={(text) => setSettings((known) => ({ ...known, [each]: text }))} />
      ))}
      <Fault error={action.fault} />
      <div className="actions">
        <button type="submit" disabled={!isWhole || action.isBusy}>{TEXTS.save}</button>
        {onLeave !== undefined && <button type="button" onClick={onLeave}>{TEXTS.cancelEdit}</button>}
      </div>
    </form>
  );
}

function settingsOf(assistant: Assistant): JsonObject {
  const { name, graph_id, config, context, metadata } = assistant;
  return { name, graph_id, description: assistant.description ?? "", config, context: context ?? {}, metadata: metadata ?? {} };
}

function graphsOf(assistants: Assistant[]): string[] {
  return [...new Set(assistants.map((each) => each.graph_id))].sort();
}

async function makeThread(api: Api, assistant: Assistant): Promise<void> {
  const { thread_id: threadId } = await api.makeThread({ graph_id: assistant.graph_id, assistant_id: assistant.assistant_id });
  go({ page: "thread", threadId, panel: "graph" });
}
