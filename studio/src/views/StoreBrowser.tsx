import { useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useDeferredValue, useId, useMemo, useRef, useState } from "react";

import type { Api } from "../api/client";
import { deleteItem, item, items, namespaces, putItem, type Item } from "../api/library";
import { labelsIn, treeOf, type Branch } from "../model/namespaces";
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

const PAGE = 50;

/** What is kept across threads: namespaces, the items in them, and one of these. */
export function StoreBrowser({ api, route }: { api: Api; route: Route }) {
  const texts = TEXTS.storePage;
  const tree = useRef<HTMLDivElement>(null);
  useRoving(tree);
  const { data: known = [], error, isPending } = useQuery({ queryKey: ["namespaces"], queryFn: () => namespaces(api) });
  const branches = useMemo(() => treeOf(known), [known]);
  const [isMaking, setMaking] = useState(false);
  return (
    <main className="pair store">
      <section className="list" aria-label={texts.namespaces}>
        <div className="find">
          <button type="button" aria-pressed={isMaking} onClick={() => setMaking(!isMaking)}>{texts.make}</button>
        </div>
        <Fault error={error} />
        {branches.length === 0 && error === null && !isPending && <p className="empty">{texts.none}</p>}
        <div ref={tree}>
          <a href={hrefOf({ page: "store" })} aria-current={route.parts.length === 0 ? "page" : undefined}>{texts.all}</a>
          <Branches branches={branches} current={route.parts} />
        </div>
      </section>
      <div className="details">
        {isMaking && <ItemForm api={api} namespace={route.parts} onDone={() => setMaking(false)} />}
        {route.key === null ? (
          <Items key={route.parts.join(".")} api={api} namespace={route.parts} />
        ) : (
          <ItemDetails key={`${route.parts.join(".")} ${route.key}`} api={api} namespace={route.parts} itemKey={route.key} />
        )}
      </div>
    </main>
  );
}

function Branches({ branches, current }: { branches: Branch[]; current: readonly string[] }) {
  if (branches.length === 0) return null;
  return (
    <ul className="branches">
      {branches.map((branch) => (
        <li key={branch.label}>
          <a href={hrefOf({ page: "store", parts: branch.namespace })} aria-current={isSame(branch.namespace, current) ? "page" : undefined}>{branch.label}</a>
          <Branches branches={branch.branches} current={current} />
        </li>
      ))}
    </ul>
  );
}

/** The items of a namespace and of those in it, all of them or what a search finds. */
function Items({ api, namespace }: { api: Api; namespace: readonly string[] }) {
  const texts = TEXTS.storePage;
  const [text, setText] = useState("");
  const [filter, setFilter] = useState("");
  const [limit, setLimit] = useState(PAGE);
  const query = useDeferredValue(text.trim());
  const given = filter.trim() === "" ? null : objectIn(filter);
  const isUnclear = filter.trim() !== "" && given === null;
  const list = useRef<HTMLUListElement>(null);
  useRoving(list);
  const { data: found = [], error, isPending } = useQuery({
    queryKey: ["items", namespace, query, given, limit],
    queryFn: () => items(api, namespace, { query, filter: given, limit }),
    placeholderData: (before) => before,
    retry: false,
  });
  return (
    <section aria-label={texts.items}>
      <h2>{namespace.length === 0 ? texts.all : namespace.join(" / ")}</h2>
      <div className="find">
        <input type="search" aria-label={texts.search} placeholder={texts.search} value={text} onChange={(event) => setText(event.target.value)} />
        <input aria-label={texts.filter} placeholder={texts.filter} value={filter} aria-invalid={isUnclear} onChange={(event) => setFilter(event.target.value)} />
      </div>
      {isUnclear && <p role="status" className="trouble">{TEXTS.notObject}</p>}
      <Fault error={error} />
      {found.length === 0 && error === null && !isPending && <p className="empty">{texts.noItems}</p>}
      <ul ref={list} className="items">
        {found.map((each) => (
          <li key={`${each.namespace.join(".")} ${each.key}`}>
            <a href={hrefOf({ page: "store", parts: each.namespace, key: each.key })}>
              <span>{[...each.namespace.slice(namespace.length), each.key].join(" / ")}</span>
              <span className="faint">{scoreText(each)}</span>
            </a>
          </li>
        ))}
      </ul>
      {found.length === limit && <button type="button" className="link" onClick={() => setLimit(limit + 4 * PAGE)}>{TEXTS.more}</button>}
    </section>
  );
}

function ItemDetails({ api, namespace, itemKey }: { api: Api; namespace: readonly string[]; itemKey: string }) {
  const texts = TEXTS.storePage;
  const client = useQueryClient();
  const action = useAction();
  const [edited, setEdited] = useState<string | null>(null);
  const { data: found, error, isPending } = useQuery({
    queryKey: ["item", namespace, itemKey],
    queryFn: () => item(api, namespace, itemKey),
  });
  const up = { page: "store", parts: namespace } as const;
  const value = edited === null ? null : objectIn(edited);
  return (
    <article aria-label={itemKey}>
      <h2>
        <a href={hrefOf(up)}>{namespace.join(" / ")}</a> / {itemKey}
      </h2>
      <Fault error={error} />
      {found == null && error === null && !isPending && <p className="empty">{texts.gone}</p>}
      {found != null && (
        <>
          <div className="actions">
            {edited === null ? (
              <button type="button" onClick={() => setEdited(JSON.stringify(found.value, null, 2))}>{TEXTS.edit}</button>
            ) : (
              <>
                <button
                  type="button"
                  disabled={action.isBusy || value === null}
                  onClick={() => void action.run(async () => { await putItem(api, namespace, itemKey, value); await refresh(client); setEdited(null); })}
                >
                  {TEXTS.save}
                </button>
                <button type="button" onClick={() => setEdited(null)}>{TEXTS.cancelEdit}</button>
              </>
            )}
            <ConfirmButton
              label={TEXTS.remove}
              question={`${texts.removeQuestion} ${itemKey}`}
              isBusy={action.isBusy}
              onConfirm={() => void action.run(async () => { await deleteItem(api, namespace, itemKey); await refresh(client); go(up); })}
            />
          </div>
          <Fault error={action.fault} />
          {edited === null ? <JsonTree value={found.value} /> : <ObjectEditor label={texts.value} text={edited} onChange={setEdited} rows={16} />}
          <Facts rows={[[TEXTS.created, timeText(found.created_at)], [TEXTS.updated, timeText(found.updated_at)]]} />
        </>
      )}
    </article>
  );
}

function ItemForm({ api, namespace, onDone }: { api: Api; namespace: readonly string[]; onDone: () => void }) {
  const texts = TEXTS.storePage;
  const form = useId();
  const client = useQueryClient();
  const action = useAction();
  const [place, setPlace] = useState(namespace.join("."));
  const [key, setKey] = useState("");
  const [value, setValue] = useState("{}");
  const labels = labelsIn(place);
  const given = objectIn(value);

  async function make(): Promise<void> {
    await putItem(api, labels, key, given);
    await refresh(client);
    onDone();
    go({ page: "store", parts: labels, key });
  }

  return (
    <form aria-label={texts.make} onSubmit={(event) => { event.preventDefault(); void action.run(make); }}>
      <div className="field">
        <label htmlFor={`${form}-namespace`}>{texts.namespace}</label>
        <input id={`${form}-namespace`} required value={place} aria-describedby={`${form}-help`} onChange={(event) => setPlace(event.target.value)} />
        <small id={`${form}-help`}>{texts.namespaceHelp}</small>
      </div>
      <div className="field">
        <label htmlFor={`${form}-key`}>{texts.key}</label>
        <input id={`${form}-key`} required value={key} onChange={(event) => setKey(event.target.value)} />
      </div>
      <ObjectEditor label={texts.value} text={value} onChange={setValue} rows={6} />
      <Fault error={action.fault} />
      <div className="actions">
        <button type="submit" disabled={action.isBusy || labels.length === 0 || key === "" || given === null}>{TEXTS.save}</button>
      </div>
    </form>
  );
}

async function refresh(client: QueryClient): Promise<void> {
  await Promise.all(["item", "items", "namespaces"].map((name) => client.invalidateQueries({ queryKey: [name] })));
}

function scoreText(found: Item): string {
  return found.score == null ? timeText(found.updated_at) : `${TEXTS.storePage.score} ${found.score.toFixed(3)}`;
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((label, place) => label === other[place]);
}
