/** A chat with the `openai` client: chat completions. */

import OpenAI from "openai";
import { useRef, useState } from "react";

import { decision } from "./messages.jsx";
import { Composer, show, threadOfAddress, ToolCall } from "./parts.jsx";

const threadId = threadOfAddress();
// A page of yours asks a server of yours, which has the key.
const client = new OpenAI({ baseURL: `${location.origin}/openai/v1`, apiKey: "none", dangerouslyAllowBrowser: true });

function Chat() {
  const [messages, setMessages] = useState([]);
  const [error, setError] = useState(null);
  const running = useRef(null);
  const [isBusy, setBusy] = useState(false);

  const ask = async (message) => {
    const asked = [...messages, message];
    let answer = { role: "assistant", content: "" };
    setMessages([...asked, answer]);
    setError(null);
    setBusy(true);
    try {
      const stream = await client.chat.completions.create({
        model: "mill",
        messages: asked,
        // The thread has what was said before: only what is new is read of the messages.
        metadata: { thread_id: threadId },
        stream: true,
        // Who stops reading stops the run.
        on_disconnect: "cancel",
      });
      running.current = stream.controller;
      for await (const { choices } of stream) {
        answer = grown(answer, choices[0]?.delta ?? {});
        setMessages([...asked, answer]);
      }
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  const decide = (call) => (isApproved) =>
    ask({ role: "tool", tool_call_id: call.id, content: JSON.stringify(decision(isApproved)) });

  const last = messages.at(-1);
  return (
    <>
      <h1>openai: chat completions</h1>
      <div role="log">
        {messages.filter(({ role }) => role !== "tool").map((message, at) => (
          <div key={at} className="message" data-role={message.role}>
            {message.content}
            {message === last && !isBusy && message.tool_calls?.map((call) => <Question key={call.id} call={call} onDecide={decide(call)} />)}
          </div>
        ))}
      </div>
      {error && <p role="alert">{error.message}</p>}
      <Composer
        isBusy={isBusy}
        onSend={(content) => ask({ role: "user", content })}
        onStop={() => running.current?.abort()}
      />
    </>
  );
}

/** A question of the graph comes as a call of the function `interrupt`. */
function Question({ call, onDecide }) {
  const [asked] = JSON.parse(call.function.arguments).action_requests;
  return <ToolCall name={asked.name} input={asked.args} onDecide={onDecide} />;
}

/** Returns a message with what has come of it. */
function grown(message, { content, tool_calls: pieces = [] }) {
  const calls = [...(message.tool_calls ?? [])];
  for (const { index, id, function: piece } of pieces) {
    const call = calls[index] ?? { id, type: "function", function: { name: piece.name, arguments: "" } };
    calls[index] = { ...call, function: { ...call.function, arguments: call.function.arguments + (piece.arguments ?? "") } };
  }
  return { ...message, content: message.content + (content ?? ""), ...(calls.length > 0 && { tool_calls: calls }) };
}

show(<Chat />);
