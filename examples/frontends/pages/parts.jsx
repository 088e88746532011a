/** What the pages have in common: the thread of an address, a place to write, and a call of a tool. */

import { useState } from "react";
import { createRoot } from "react-dom/client";

import "./style.css";

/** Returns the thread that the address names: so a page that is loaded anew goes on. */
export function threadNamed() {
  return new URL(location.href).searchParams.get("thread");
}

/** Has the address name a thread. */
export function nameThread(id) {
  const address = new URL(location.href);
  address.searchParams.set("thread", id);
  history.replaceState(null, "", address);
}

/** Returns the thread that the address names, or a new one, for protocols in which the page names it. */
export function threadOfAddress() {
  const known = threadNamed();
  if (known !== null) return known;
  const id = crypto.randomUUID();
  nameThread(id);
  return id;
}

/** Shows an element as the page. */
export function show(element) {
  createRoot(document.getElementById("root")).render(element);
}

/** A line to write in, with a button to send it, or to stop while something is being said. */
export function Composer({ isBusy, onSend, onStop }) {
  const [text, setText] = useState("");
  const send = (event) => {
    event.preventDefault();
    if (isBusy || text.trim() === "") return;
    setText("");
    onSend(text);
  };
  return (
    <form onSubmit={send}>
      <input aria-label="Message" placeholder="weigh 3 sacks" value={text} onChange={(event) => setText(event.target.value)} />
      {isBusy ? (
        <button type="button" onClick={onStop}>Stop</button>
      ) : (
        <button type="submit">Send</button>
      )}
    </form>
  );
}

/** A call of a tool, with what it has returned, or with a question when it has to be approved. */
export function ToolCall({ name, input, output, error, onDecide }) {
  return (
    <div className="tool">
      {name}({JSON.stringify(input)})
      {output !== undefined && <output> → {typeof output === "string" ? output : JSON.stringify(output)}</output>}
      {error !== undefined && <output> ✗ {error}</output>}
      {onDecide && (
        <div>
          <button onClick={() => onDecide(true)}>Approve</button> <button onClick={() => onDecide(false)}>Reject</button>
        </div>
      )}
    </div>
  );
}
