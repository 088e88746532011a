/** A chat with assistant-ui, whose runtime is the AI SDK's. */

import { AssistantRuntimeProvider } from "@assistant-ui/react";
import { useAISDKRuntime } from "@assistant-ui/react-ai-sdk";
// assistant-ui is made for version 7; a project with one version has the names `ai` and `@ai-sdk/react` here.
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses } from "ai-7";
import { useChat } from "ai-sdk-react-7";

import { Call, Thread } from "./assistant_thread.jsx";
import { show, threadOfAddress } from "./parts.jsx";

const id = threadOfAddress();
const api = "/ai-sdk/mill";
// The server says parts that only version 7 knows, and keeps the branch of the conversation that is shown.
const transport = new DefaultChatTransport({ api, body: { version: 7, history: "page" } });

function Chat({ known }) {
  const chat = useChat({
    id,
    messages: known,
    transport,
    resume: true,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  });
  const stop = async () => {
    await chat.stop();
    // Otherwise the run goes on without a reader.
    await fetch(`${api}/${id}/stream`, { method: "DELETE" });
  };
  const runtime = useAISDKRuntime({ ...chat, stop });
  return (
    <AssistantRuntimeProvider runtime={runtime}>
      <h1>assistant-ui with the AI SDK</h1>
      <Thread Call={CallToApprove} />
    </AssistantRuntimeProvider>
  );
}

function CallToApprove({ approval, respondToApproval, ...call }) {
  const isAsked = approval !== undefined && approval.approved === undefined;
  return <Call {...call} onDecide={isAsked ? (approved) => respondToApproval({ approved }) : undefined} />;
}

const answer = await fetch(`${api}/${id}/messages`);
show(<Chat known={await answer.json()} />);
