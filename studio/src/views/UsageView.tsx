import { useId, useMemo } from "react";

import { amountText, costOf, pricesIn, type Price, type Prices } from "../model/prices";
import type { RunView } from "../model/run";
import type { UsageRow } from "../model/tokens";
import { totalOf, usageOf, usageOfState } from "../model/usage";
import { TEXTS } from "../texts";
import { useKept } from "../ui/useKept";

/** What the models of a run have used, by node and model, and what that cost. */
export function UsageView({ run }: { run: RunView | null }) {
  const texts = TEXTS.usagePage;
  const [text, keep] = useKept("prices");
  const prices = useMemo(() => pricesIn(text), [text]);
  const rows = useMemo(() => (run === null ? [] : usageOf(run)), [run]);
  const values = run?.values ?? null;
  const ofState = useMemo(() => usageOfState(values), [values]);
  const models = [...new Set([...rows, ...ofState].map((row) => row.model))].filter((model) => model !== "").sort();
  return (
    <section className="usage" aria-label={TEXTS.usage}>
      <h3>{texts.ofRun}</h3>
      {rows.length === 0 ? <p className="empty">{TEXTS.noTokens}</p> : <UsageTable rows={rows} prices={prices} withNodes />}
      {ofState.length > 0 && (
        <>
          <h3>{texts.ofState}</h3>
          <UsageTable rows={ofState} prices={prices} withNodes={false} />
        </>
      )}
      <PriceTable models={[...new Set([...models, ...Object.keys(prices.models)])]} prices={prices} onChange={(changed) => keep(JSON.stringify(changed))} />
    </section>
  );
}

function UsageTable({ rows, prices, withNodes }: { rows: UsageRow[]; prices: Prices; withNodes: boolean }) {
  const texts = TEXTS.usagePage;
  const total = totalOf(rows);
  const costs = rows.map((row) => (row.usage === null ? null : costOf(row.usage, row.model, prices)));
  const known = costs.filter((cost) => cost !== null);
  const sum = known.reduce((one, other) => one + other, 0);
  const isPart = known.length < rows.length;
  return (
    <table>
      <thead>
        <tr>
          {withNodes && <th scope="col">{texts.node}</th>}
          <th scope="col">{texts.model}</th>
          <th scope="col" className="number">{texts.calls}</th>
          <th scope="col" className="number">{texts.input}</th>
          <th scope="col" className="number">{texts.cached}</th>
          <th scope="col" className="number">{texts.output}</th>
          <th scope="col" className="number">{texts.reasoning}</th>
          {withNodes && <th scope="col" className="number">{TEXTS.perSecond}</th>}
          <th scope="col" className="number">{texts.cost}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row, place) => (
          <tr key={`${row.node} ${row.model}`}>
            {withNodes && <th scope="row">{row.node}</th>}
            <td>{row.model || texts.unnamed}</td>
            <Counts row={row} />
            {withNodes && <td className="number">{rateText(row)}</td>}
            <td className="number">{costText(costs[place] ?? null, prices.currency)}</td>
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row" colSpan={withNodes ? 2 : 1}>{texts.total}</th>
          <Counts row={total} />
          {withNodes && <td />}
          <td className="number">{known.length === 0 ? "–" : `${isPart ? "≥ " : ""}${amountText(sum, prices.currency)}`}</td>
        </tr>
      </tfoot>
    </table>
  );
}

function Counts({ row }: { row: Pick<UsageRow, "calls" | "usage"> }) {
  const counts = row.usage === null ? null : [row.usage.input, row.usage.cached, row.usage.output, row.usage.reasoning];
  return (
    <>
      <td className="number">{row.calls}</td>
      {[0, 1, 2, 3].map((place) => <td key={place} className="number">{counts?.[place]?.toLocaleString() ?? "–"}</td>)}
    </>
  );
}

function rateText({ usage, seconds }: UsageRow): string {
  return usage === null || seconds <= 0 ? "–" : (usage.output / seconds).toFixed(0);
}

function costText(cost: number | null, currency: string): string {
  return cost === null ? "–" : amountText(cost, currency);
}

interface PriceTableProps {
  models: string[];
  prices: Prices;
  onChange: (prices: Prices) => void;
}

/** What a million tokens cost: written down here, and kept in the browser. */
function PriceTable({ models, prices, onChange }: PriceTableProps) {
  const texts = TEXTS.usagePage;
  const id = useId();
  return (
    <details>
      <summary>{texts.prices}</summary>
      <p className="faint">{texts.pricesHelp}</p>
      <div className="field">
        <label htmlFor={id}>{texts.currency}</label>
        <input id={id} value={prices.currency} maxLength={8} onChange={(event) => onChange({ ...prices, currency: event.target.value })} />
      </div>
      {models.length === 0 && <p className="empty">{TEXTS.noTokens}</p>}
      {models.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">{texts.model}</th>
              <th scope="col">{texts.input}</th>
              <th scope="col">{texts.cached}</th>
              <th scope="col">{texts.output}</th>
            </tr>
          </thead>
          <tbody>
            {models.map((model) => (
              <PriceRow
                key={model}
                model={model}
                price={Object.hasOwn(prices.models, model) ? prices.models[model] : undefined}
                onChange={(price) => onChange({ ...prices, models: withPrice(prices.models, model, price) })}
              />
            ))}
          </tbody>
        </table>
      )}
    </details>
  );
}

function PriceRow({ model, price, onChange }: { model: string; price: Price | undefined; onChange: (price: Price | null) => void }) {
  const texts = TEXTS.usagePage;
  const known = price ?? { input: 0, output: 0, cached: null };
  const field = (name: "input" | "cached" | "output", title: string) => (
    <td>
      <input
        type="number"
        min={0}
        step="any"
        aria-label={`${model}: ${title}`}
        value={price?.[name] ?? ""}
        onChange={(event) => onChange(changedPrice(known, name, event.target.value))}
      />
    </td>
  );
  return (
    <tr>
      <th scope="row">{model}</th>
      {field("input", texts.input)}
      {field("cached", texts.cached)}
      {field("output", texts.output)}
    </tr>
  );
}

/** Returns a price in which something else is written; null where nothing of it is left. */
function changedPrice(known: Price, name: "input" | "cached" | "output", text: string): Price | null {
  const amount = text === "" ? null : Number(text);
  const changed = { ...known, [name]: name === "cached" ? amount : (amount ?? 0) };
  return changed.input === 0 && changed.output === 0 && changed.cached === null ? null : changed;
}

function withPrice(models: Prices["models"], model: string, price: Price | null): Prices["models"] {
  const others = Object.entries(models).filter(([name]) => name !== model);
  return Object.fromEntries(price === null ? others : [...others, [model, price]]);
}
