/** What a value has to be, by its JSON schema: as much of it as graphs describe their states with. */

import type { Json, JsonObject } from "../api/types";
import { isObject, text } from "./run";

export interface Finding {
  /** Where, as `messages[0].content`. */
  path: string;
  message: string;
}

const MOST_FINDINGS = 20;
const MOST_REFERENCES = 20;
/** A schema may be within itself without going into the value. */
const DEEPEST = 100;

/** Returns what of a value does not fit a schema, the first findings. */
export function check(value: Json, schema: JsonObject): Finding[] {
  const found: Finding[] = [];
  new Checker(schema, found).check(value, schema, "", 0);
  return found.slice(0, MOST_FINDINGS);
}

/** Returns what of a state does not fit: a key may be missing that nobody has written yet. */
export function checkState(values: Json, schema: JsonObject): Finding[] {
  const known = resolve(schema, schema);
  if (!isObject(values)) return [{ path: "", message: "has to be an object" }];
  const findings = check(values, { ...schema, ...known, required: [], $ref: null });
  const properties = known.properties;
  if (isObject(properties)) {
    for (const key of Object.keys(values)) {
      if (!(key in properties)) findings.push({ path: key, message: "is no key of the graph's state" });
    }
  }
  return findings;
}

/** Returns what a schema refers to within `root`, itself if it refers to nothing. */
export function resolve(schema: JsonObject, root: JsonObject): JsonObject {
  let known = schema;
  for (let count = 0; typeof known.$ref === "string" && count < MOST_REFERENCES; count++) {
    let found: Json | undefined = root;
    for (const part of known.$ref.replace(/^#\/?/, "").split("/")) {
      const name = part.replace(/~1/g, "/").replace(/~0/g, "~");
      found = name === "" ? found : isObject(found) ? found[name] : undefined;
    }
    if (!isObject(found)) return {};
    known = found;
  }
  return known;
}

class Checker {
  #root: JsonObject;
  #found: Finding[];

  constructor(root: JsonObject, found: Finding[]) {
    this.#root = root;
    this.#found = found;
  }

  check(value: Json, given: JsonObject, path: string, depth: number): void {
    if (depth > DEEPEST || this.#found.length >= MOST_FINDINGS) return;
    const schema = resolve(given, this.#root);
    const say = (message: string) => void this.#found.push({ path, message });
    if (!hasType(value, schema.type)) {
      say(`has to be ${typesOf(schema.type).join(" or ")}, and is ${typeOf(value)}`);
      return;
    }
    if (Array.isArray(schema.enum) && !schema.enum.some((each) => isEqual(each, value))) {
      say(`has to be one of ${schema.enum.map((each) => JSON.stringify(each)).join(", ")}`);
    }
    if (schema.const !== undefined && !isEqual(schema.const, value)) say(`has to be ${JSON.stringify(schema.const)}`);
    const limit = typeof value === "number" || typeof value === "string" || Array.isArray(value) ? limitOf(value, schema) : null;
    if (limit !== null) say(limit);
    this.#checkChoices(value, schema, path, depth);
    for (const each of schemasIn(schema.allOf)) this.check(value, each, path, depth + 1);
    if (Array.isArray(value)) this.#checkItems(value, schema, path, depth);
    else if (isObject(value)) this.#checkProperties(value, schema, path, depth);
  }

  #checkChoices(value: Json, schema: JsonObject, path: string, depth: number): void {
    const choices = [...schemasIn(schema.anyOf), ...schemasIn(schema.oneOf)].map((each) => resolve(each, this.#root));
    if (choices.length === 0) return;
    // By what an object calls itself it is known what it wants to be.
    const meant = choices.filter((each) => isMeant(value, each));
    for (const choice of meant.length > 0 ? meant : choices) {
      const found: Finding[] = [];
      new Checker(this.#root, found).check(value, choice, path, depth + 1);
      if (found.length === 0) return;
      if (meant.length === 1 || choices.length === 1) {
        this.#found.push(...found);
        return;
      }
    }
    const types = [...new Set(choices.flatMap((each) => typesOf(each.type)))];
    const message = hasType(value, types) || types.length === 0 ? `is none of the ${choices.length} things that it may be` : `has to be ${types.join(" or ")}, and is ${typeOf(value)}`;
    this.#found.push({ path, message });
  }

  #checkItems(value: Json[], schema: JsonObject, path: string, depth: number): void {
    const first = schemasIn(schema.prefixItems);
    for (const [place, each] of value.entries()) {
      const item = first[place] ?? schema.items;
      if (isObject(item)) this.check(each, item, `${path}[${place}]`, depth + 1);
    }
  }

  #checkProperties(value: JsonObject, schema: JsonObject, path: string, depth: number): void {
    const properties = isObject(schema.properties) ? schema.properties : {};
    const place = (key: string) => (path === "" ? key : `${path}.${key}`);
    for (const key of Array.isArray(schema.required) ? schema.required : []) {
      if (!(text(key) in value)) this.#found.push({ path: place(text(key)), message: "is missing" });
    }
    for (const [key, each] of Object.entries(value)) {
      const known = Object.hasOwn(properties, key) ? properties[key] : schema.additionalProperties;
      if (known === false) this.#found.push({ path: place(key), message: "must not be there" });
      else if (isObject(known)) this.check(each, known, place(key), depth + 1);
    }
  }
}

function schemasIn(given: Json | undefined): JsonObject[] {
  return Array.isArray(given) ? given.filter(isObject) : [];
}

function typesOf(given: Json | undefined): string[] {
  return typeof given === "string" ? [given] : Array.isArray(given) ? given.map(text) : [];
}

function typeOf(value: Json): string {
  return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
}

function hasType(value: Json, given: Json | undefined): boolean {
  const types = typesOf(given);
  const type = typeOf(value);
  return types.length === 0 || types.includes(type) || (type === "number" && Number.isInteger(value) && types.includes("integer"));
}

function isEqual(one: Json, other: Json): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/** Says whether an object has what a schema names it by: `type` of messages, say. */
function isMeant(value: Json, schema: JsonObject): boolean {
  if (!isObject(value) || !isObject(schema.properties)) return false;
  return Object.entries(schema.properties).some(
    ([key, each]) => isObject(each) && each.const !== undefined && value[key] === each.const,
  );
}

function limitOf(value: number | string | Json[], schema: JsonObject): string | null {
  if (typeof value === "number") {
    const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below } = schema;
    if (typeof minimum === "number" && value < minimum) return `has to be at least ${minimum}`;
    if (typeof maximum === "number" && value > maximum) return `has to be at most ${maximum}`;
    if (typeof above === "number" && value <= above) return `has to be above ${above}`;
    if (typeof below === "number" && value >= below) return `has to be below ${below}`;
    return null;
  }
  const [least, most, unit] = typeof value === "string" ? [schema.minLength, schema.maxLength, "characters"] : [schema.minItems, schema.maxItems, "items"];
  if (typeof least === "number" && value.length < least) return `has to have at least ${least} ${unit}`;
  if (typeof most === "number" && value.length > most) return `has to have at most ${most} ${unit}`;
  return null;
}
