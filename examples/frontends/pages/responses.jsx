/** A chat with the `openai` client: responses. */

import OpenAI from "openai";
import { useEffect, useRef, useState } from "react";

import { decision } from "./messages.jsx";
import { Composer, show, threadOfAddress, ToolCall } from "./parts.jsx";

const threadId = threadOfAddress();
// A page of yours asks a server of yours, which has the key.
const client = new OpenAI({ baseURL: `${location.origin}/openai/v1`, apiKey: "none", dangerouslyAllowBrowser: true });
/** What was asked, and the ids of the responses: what a page needs to show them again when it is loaded anew. */
const kept = JSON.parse(sessionStorage.getItem(threadId) ?? "[]");

function keep(turn) {
  kept.push(turn);
  sessionStorage.setItem(threadId, JSON.stringify(kept));
}

function Chat() {
  const [turns, setTurns] = useState([]);
  const [isBusy, setBusy] = useState(false);
  const running = useRef(null);

  /** Shows a response as it comes. */
  const read = async (asked, begin) => {
    let turn = { asked, items: [], error: null };
    const set = (next) => {
      turn = next;
      setTurns((known) => [...known.filter(({ asked: each }) => each !== asked), next]);
    };
    set(turn);
    setBusy(true);
    try {
      for await (const event of await begin()) {
        if (event.type === "response.created") {
          running.current = event.response.id;
          if (!kept.some(({ id }) => id === running.current)) keep({ asked, id: running.current });
        }
        set(grown(turn, event));
      }
    } catch (error) {
      set({ ...turn, error: error.message });
    } finally {
      setBusy(false);
    }
  };
  const ask = (input) =>
    read({ input }, () => client.responses.create({ model: "mill", input, conversation: threadId, stream: true }));
  const decide = ({ call_id }) => (isApproved) =>
    ask([{ type: "function_call_output", call_id, output: JSON.stringify(decision(isApproved)) }]);

  useEffect(() => {
    const readAgain = async () => {
      for (const { asked, id } of [...kept]) await read(asked, () => client.responses.retrieve(id, { stream: true }));
    };
    readAgain();
  }, []);

  return (
    <>
      <h1>openai: responses</h1>
      <div role="log">
        {turns.map(({ asked: { input }, items, error }, at) => (
          <Turn key={at} input={input} items={items} error={error} decide={!isBusy && at === turns.length - 1 ? decide : undefined} />
        ))}
      </div>
      <Composer isBusy={isBusy} onSend={ask} onStop={() => client.responses.cancel(running.current)} />
    </>
  );
}

function Turn({ input, items, error, decide }) {
  return (
    <>
      {typeof input === "string" && <div className="message" data-role="user">{input}</div>}
      <div className="message" data-role="assistant">
        {items.map((item) => <Item key={item.id} item={item} decide={decide} />)}
        {error && <p role="alert">{error}</p>}
      </div>
    </>
  );
}

function Item({ item, decide }) {
  if (item.type === "message") return <p>{item.text}</p>;
  const input = JSON.parse(item.arguments || "{}");
  if (item.type === "mcp_call") {
    return <ToolCall name={item.name} input={input} output={item.output ?? undefined} error={item.error ?? undefined} />;
  }
  if (item.name !== "interrupt" || decide === undefined) return null;
  // A question of the graph comes as a call of the function `interrupt`.
  const [asked] = input.action_requests;
  return <ToolCall name={asked.name} input={asked.args} onDecide={decide(item)} />;
}

/** Returns a turn with what an event tells of it. */
function grown(turn, event) {
  const change = (id, changed) => ({ ...turn, items: turn.items.map((item) => (item.id === id ? changed(item) : item)) });
  switch (event.type) {
    case "response.output_item.added":
      return { ...turn, items: [...turn.items, { ...event.item, text: "" }] };
    case "response.output_text.delta":
      return change(event.item_id, (item) => ({ ...item, text: item.text + event.delta }));
    case "response.output_item.done":
      return change(event.item.id, ({ text }) => ({ ...event.item, text }));
    case "response.failed":
      return event.response.status === "cancelled" ? turn : { ...turn, error: event.response.error.message };
    default:
      return turn;
  }
}

show(<Chat />);
