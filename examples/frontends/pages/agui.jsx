/** A chat with the client of AG-UI alone. */

import { HttpAgent } from "@ag-ui/client";
import { useEffect, useState } from "react";

import { Composer, show, threadOfAddress, ToolCall } from "./parts.jsx";

class ThreadAgent extends HttpAgent {
  /** Comes back to the thread: its messages, what it asks, and the run that is under way. */
  connect(input) {
    return new HttpAgent({ url: `${this.url}/connect` }).run(input);
  }

  /** Stops the run, and not only its reading. */
  stop() {
    return fetch(`${this.url}/${this.threadId}/stream`, { method: "DELETE" });
  }
}

const agent = new ThreadAgent({ url: "/ag-ui/mill", threadId: threadOfAddress() });

function Chat() {
  const [messages, setMessages] = useState([]);
  const [questions, setQuestions] = useState([]);
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);

  const run = async (begin) => {
    setBusy(true);
    setError(null);
    setQuestions([]);
    try {
      await begin();
    } catch (failure) {
      setError(failure.message);
    } finally {
      setQuestions(agent.pendingInterrupts);
      setBusy(false);
    }
  };
  useEffect(() => {
    const { unsubscribe } = agent.subscribe({
      onMessagesChanged: ({ messages }) => setMessages([...messages]),
      onRunErrorEvent: ({ event }) => setError(event.message),
    });
    run(() => agent.connectAgent());
    return unsubscribe;
  }, []);

  const send = (content) => {
    agent.addMessage({ id: crypto.randomUUID(), role: "user", content });
    run(() => agent.runAgent());
  };
  const decide = (question) => (approved) => {
    const resume = [{ interruptId: question.id, status: "resolved", payload: { approved } }];
    run(() => agent.runAgent({ resume }));
  };
  const answers = new Map(messages.filter(({ role }) => role === "tool").map((each) => [each.toolCallId, each]));
  return (
    <>
      <h1>AG-UI</h1>
      <div role="log">
        {messages.filter(({ role }) => role === "user" || role === "assistant").map(({ id, role, content, toolCalls = [] }) => (
          <div key={id} className="message" data-role={role}>
            {content}
            {toolCalls.map((call) => {
              const question = questions.find(({ toolCallId }) => toolCallId === call.id);
              return <Call key={call.id} call={call} answer={answers.get(call.id)} onDecide={question && decide(question)} />;
            })}
          </div>
        ))}
      </div>
      {error && <p role="alert">{error}</p>}
      <Composer isBusy={isBusy} onSend={send} onStop={() => agent.stop()} />
    </>
  );
}

function Call({ call, answer, onDecide }) {
  let input = call.function.arguments;
  try {
    input = JSON.parse(input);
  } catch {
    // They are still coming.
  }
  return <ToolCall name={call.function.name} input={input} output={answer?.content} onDecide={onDecide} />;
}

show(<Chat />);
