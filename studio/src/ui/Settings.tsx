import { useCallback, useEffect, useId, useRef } from "react";

import { TEXTS } from "../texts";
import { keySheet, useKeys } from "./keys";
import { useKept } from "./useKept";

const THEMES = ["system", "light", "dark"] as const;

/** How the page looks and listens: its colours, and its keys with a sheet of them. */
export function Settings() {
  const id = useId();
  const sheet = useRef<HTMLDialogElement>(null);
  const show = useCallback(() => sheet.current?.showModal(), []);
  useKeys(show);
  const [keys, keepKeys] = useKept("keys");
  const [theme, keepTheme] = useKept("theme");
  useEffect(() => {
    document.documentElement.style.colorScheme = theme ?? "";
  }, [theme]);
  return (
    <div className="settings">
      <button type="button" onClick={show}>
        {TEXTS.keys} <kbd>?</kbd>
      </button>
      <dialog ref={sheet} aria-labelledby={id}>
        <h2 id={id}>{TEXTS.keys}</h2>
        <dl className="facts">
          {keySheet().map(([pressed, does]) => (
            <div key={pressed}>
              <dt><kbd>{pressed}</kbd></dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
        <div className="field">
          <label>
            <input type="checkbox" checked={keys !== "off"} onChange={(event) => keepKeys(event.target.checked ? null : "off")} /> {TEXTS.singleKeys}
          </label>
        </div>
        <div className="field">
          <label htmlFor={`${id}-theme`}>{TEXTS.theme}</label>
          <select id={`${id}-theme`} value={theme ?? "system"} onChange={(event) => keepTheme(event.target.value === "system" ? null : event.target.value)}>
            {THEMES.map((each) => <option key={each} value={each}>{TEXTS.themes[each]}</option>)}
          </select>
        </div>
        <button type="button" onClick={() => sheet.current?.close()}>{TEXTS.close}</button>
      </dialog>
    </div>
  );
}
