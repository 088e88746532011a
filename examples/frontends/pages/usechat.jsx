/** A chat with `useChat` of the AI SDK. */

import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport, getToolName, isToolUIPart, lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";

import { Composer, show, threadOfAddress, ToolCall } from "./parts.jsx";

const id = threadOfAddress();
const api = "/ai-sdk/mill";
const transport = new DefaultChatTransport({ api });

function Chat({ known }) {
  const { messages, sendMessage, addToolApprovalResponse, status, stop, error } = useChat({
    id,
    messages: known,
    transport,
    // A message that was being said when the page was loaded is read from its beginning.
    resume: true,
    // When all calls of a message are decided about, it goes on.
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  });
  const stopRun = async () => {
    await stop();
    // Otherwise the run goes on without a reader.
    await fetch(`${api}/${id}/stream`, { method: "DELETE" });
  };
  return (
    <>
      <h1>useChat</h1>
      <div role="log">
        {messages.map((message) => (
          <div key={message.id} className="message" data-role={message.role}>
            {message.parts.map((part, at) => (
              <Part key={at} part={part} decide={addToolApprovalResponse} />
            ))}
          </div>
        ))}
      </div>
      {error && <p role="alert">{error.message}</p>}
      <Composer
        isBusy={status === "submitted" || status === "streaming"}
        onSend={(text) => sendMessage({ text })}
        onStop={stopRun}
      />
    </>
  );
}

function Part({ part, decide }) {
  if (part.type === "text") return <span>{part.text}</span>;
  if (!isToolUIPart(part)) return null;
  const isAsked = part.state === "approval-requested";
  return (
    <ToolCall
      name={getToolName(part)}
      input={part.input}
      output={part.output}
      error={part.errorText}
      onDecide={isAsked ? (approved) => decide({ id: part.approval.id, approved }) : undefined}
    />
  );
}

const answer = await fetch(`${api}/${id}/messages`);
show(<Chat known={await answer.json()} />);
