import { memo, useState } from "react";

import type { Json } from "../api/types";
import { isPicture } from "../model/pictures";
import { isObject } from "../model/run";
import { TEXTS } from "../texts";

const SHORT = 160;
const PAGE = 50;

interface Props {
  value: Json;
  name?: string;
  depth?: number;
}

/** A value, of which only what is unfolded is drawn: however large it is. */
export const JsonTree = memo(function JsonTree({ value, name, depth = 0 }: Props) {
  const [isOpen, setOpen] = useState(depth < 1);
  const [shown, setShown] = useState(PAGE);
  const label = name === undefined ? null : <span className="json-key">{name}: </span>;
  if (!Array.isArray(value) && !isObject(value)) {
    return (
      <div className="json-line">
        {label}
        <Leaf value={value} />
      </div>
    );
  }
  const entries: [string, Json][] = Array.isArray(value)
    ? value.slice(0, isOpen ? shown : 0).map((each, place) => [String(place), each])
    : isOpen
      ? Object.entries(value).slice(0, shown)
      : [];
  const size = Array.isArray(value) ? value.length : Object.keys(value).length;
  return (
    <div className="json-line">
      <button type="button" className="json-fold" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {isOpen ? "▾" : "▸"} {label}
        <span className="json-size">{Array.isArray(value) ? `[${size}]` : `{${size}}`}</span>
      </button>
      {isOpen && (
        <div className="json-inner">
          {entries.map(([key, each]) => (
            <JsonTree key={key} name={key} value={each} depth={depth + 1} />
          ))}
          {size > shown && (
            <button type="button" className="link" onClick={() => setShown(shown + 10 * PAGE)}>
              {size - shown} {TEXTS.more}
            </button>
          )}
        </div>
      )}
    </div>
  );
});

function Leaf({ value }: { value: null | boolean | number | string }) {
  const [isWhole, setWhole] = useState(false);
  if (typeof value !== "string") return <span className={`json-${typeof value}`}>{String(value)}</span>;
  const isLong = value.length > SHORT;
  if (isWhole && isPicture(value)) {
    return (
      <span className="json-string">
        <img alt={TEXTS.image} src={value} />
        <button type="button" className="link" onClick={() => setWhole(false)}>{TEXTS.less}</button>
      </span>
    );
  }
  return (
    <span className="json-string">
      {JSON.stringify(isLong && !isWhole ? `${value.slice(0, SHORT)}…` : value)}
      {isLong && (
        <button type="button" className="link" onClick={() => setWhole(!isWhole)}>
          {isWhole ? TEXTS.less : `${value.length - SHORT} ${TEXTS.more}`}
        </button>
      )}
    </span>
  );
}
