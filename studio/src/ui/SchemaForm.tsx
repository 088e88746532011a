import { useId, useState } from "react";

import type { Json, JsonObject } from "../api/types";
import { isObject, text } from "../model/run";
import { faultOf } from "./JsonEditor";
import { TEXTS } from "../texts";

interface Props {
  schema: JsonObject;
  submit: string;
  isBusy: boolean;
  onSubmit: (value: Json) => Promise<void>;
}

/** A form for what a schema describes: a field for each property, JSON where it is no plain value. */
export function SchemaForm({ schema, submit, isBusy, onSubmit }: Props) {
  const fields = fieldsOf(schema);
  const [given, setGiven] = useState<Record<string, string>>({});
  const value = (name: string) => given[name] ?? fields.find((field) => field.name === name)?.start ?? "";
  const faults = fields.filter((field) => field.kind === "json" && value(field.name) !== "" && faultOf(value(field.name)) !== null);
  return (
    <form
      className="schema-form"
      onSubmit={(event) => {
        event.preventDefault();
        void onSubmit(valueOf(fields, value));
      }}
    >
      {fields.map((field) => (
        <FieldInput key={field.name} field={field} value={value(field.name)} onChange={(now) => setGiven({ ...given, [field.name]: now })} />
      ))}
      {faults.map((field) => (
        <p key={field.name} role="alert" className="fault">{`${field.label}: ${TEXTS.notJson}${faultOf(value(field.name))}`}</p>
      ))}
      <button type="submit" disabled={isBusy || faults.length > 0}>{submit}</button>
    </form>
  );
}

interface Field {
  /** Empty where the schema describes one value, and no object. */
  name: string;
  label: string;
  help: string;
  kind: "text" | "number" | "boolean" | "choice" | "json";
  choices: Json[];
  isRequired: boolean;
  start: string;
}

function FieldInput({ field, value, onChange }: { field: Field; value: string; onChange: (value: string) => void }) {
  const id = useId();
  const common = { id, "aria-describedby": field.help === "" ? undefined : `${id}-help`, required: field.isRequired && field.kind !== "boolean" };
  return (
    <div className="field">
      <label htmlFor={id}>{field.label}</label>
      {field.kind === "choice" ? (
        <select {...common} value={value} onChange={(event) => onChange(event.target.value)}>
          {!field.isRequired && <option value="" />}
          {field.choices.map((choice) => <option key={JSON.stringify(choice)} value={JSON.stringify(choice)}>{text(choice)}</option>)}
        </select>
      ) : field.kind === "boolean" ? (
        <input {...common} type="checkbox" checked={value === "true"} onChange={(event) => onChange(String(event.target.checked))} />
      ) : field.kind === "number" ? (
        <input {...common} type="number" step="any" value={value} onChange={(event) => onChange(event.target.value)} />
      ) : (
        <textarea {...common} rows={field.kind === "json" ? 4 : 2} value={value} onChange={(event) => onChange(event.target.value)} />
      )}
      {field.help !== "" && <small id={`${id}-help`}>{field.help}</small>}
    </div>
  );
}

/** Returns the fields of a form; one without a name where the schema describes no object. */
export function fieldsOf(schema: JsonObject): Field[] {
  const known = resolved(schema, schema);
  if (!isObject(known.properties)) return [fieldOf("", known, schema, true)];
  const required = Array.isArray(known.required) ? known.required : [];
  return Object.entries(known.properties).map(([name, given]) =>
    fieldOf(name, resolved(isObject(given) ? given : {}, schema), schema, required.includes(name)),
  );
}

function fieldOf(name: string, schema: JsonObject, root: JsonObject, isRequired: boolean): Field {
  const choices = Array.isArray(schema.enum) ? schema.enum : "const" in schema ? [schema.const ?? null] : [];
  const several = Array.isArray(schema.anyOf) ? schema.anyOf.filter(isObject) : [];
  const inner = several.map((each) => resolved(each, root)).filter((each) => each.type !== "null");
  // Something or nothing is what it is.
  if (choices.length === 0 && inner.length === 1 && inner[0] !== undefined) {
    return fieldOf(name, { ...inner[0], ...("title" in schema ? { title: schema.title ?? "" } : {}) }, root, false);
  }
  const type = text(schema.type);
  const kind: Field["kind"] =
    choices.length > 0
      ? "choice"
      : type === "string"
        ? "text"
        : type === "number" || type === "integer"
          ? "number"
          : type === "boolean"
            ? "boolean"
            : "json";
  const start = schema.default;
  return {
    name,
    label: text(schema.title) || name || TEXTS.answer,
    help: text(schema.description),
    kind,
    choices,
    isRequired: isRequired && start === undefined,
    start:
      start === undefined || start === null
        ? kind === "choice" && isRequired
          ? JSON.stringify(choices[0] ?? null)
          : ""
        : kind === "text"
          ? text(start)
          : JSON.stringify(start),
  };
}

/** Returns what a form says, as the schema has it; what was left empty is left out. */
export function valueOf(fields: Field[], value: (name: string) => string): Json {
  const found: JsonObject = {};
  for (const field of fields) {
    const given = value(field.name);
    const one: Json | undefined =
      field.kind === "boolean"
        ? given === "true"
        : given === "" && !(field.kind === "text" && field.isRequired)
          ? undefined
          : field.kind === "text"
            ? given
            : field.kind === "number"
              ? Number(given)
              : (JSON.parse(given) as Json);
    if (field.name === "") return one ?? null;
    if (one !== undefined) found[field.name] = one;
  }
  return found;
}

function resolved(schema: JsonObject, root: JsonObject): JsonObject {
  let known = schema;
  for (let depth = 0; typeof known.$ref === "string" && depth < 20; depth++) {
    const path = known.$ref.replace(/^#\//, "").split("/");
    let found: Json | undefined = root;
    for (const part of path) found = isObject(found) ? found[part] : undefined;
    if (!isObject(found)) return {};
    known = found;
  }
  return known;
}
