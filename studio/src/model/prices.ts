/**
 * What tokens cost, as whoever looks at the page has written it down. There are no prices here:
 * they change, and depend on the contract.
 */

import type { Json } from "../api/types";
import { isObject } from "./json";
import type { Usage } from "./tokens";

/** What a million tokens of a model cost. */
export interface Price {
  input: number;
  output: number;
  /** Of input that was cached; as any other where it is null. */
  cached: number | null;
}

export interface Prices {
  currency: string;
  models: Record<string, Price>;
}

export const NO_PRICES: Prices = { currency: "USD", models: {} };
const MILLION = 1e6;

/** Returns what tokens have cost, null where the price is not known. */
export function costOf(usage: Usage, model: string, prices: Prices): number | null {
  const price = Object.hasOwn(prices.models, model) ? prices.models[model] : undefined;
  if (price === undefined) return null;
  const cached = Math.min(usage.cached, usage.input);
  return ((usage.input - cached) * price.input + cached * (price.cached ?? price.input) + usage.output * price.output) / MILLION;
}

/** Reads what was kept; whatever makes no sense in it is left out. */
export function pricesIn(text: string | null): Prices {
  let given: Json;
  try {
    given = JSON.parse(text ?? "null") as Json;
  } catch {
    return NO_PRICES;
  }
  if (!isObject(given)) return NO_PRICES;
  const models = Object.entries(isObject(given.models) ? given.models : {}).flatMap(([model, price]) => {
    if (!isObject(price) || !isPrice(price.input) || !isPrice(price.output)) return [];
    return [[model, { input: price.input, output: price.output, cached: isPrice(price.cached) ? price.cached : null }] as const];
  });
  const currency = typeof given.currency === "string" ? given.currency : NO_PRICES.currency;
  return { currency, models: Object.fromEntries(models) };
}

function isPrice(value: Json | undefined): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

/** Returns an amount with as many digits as it takes to tell it from nothing. */
export function amountText(amount: number, currency: string): string {
  const digits = amount === 0 || amount >= 1 ? 2 : Math.min(8, 3 - Math.floor(Math.log10(amount)));
  return `${amount.toFixed(digits)} ${currency}`.trim();
}
