/** A chat with `useStream` of LangGraph's SDK. */

import { useStream } from "@langchain/langgraph-sdk/react";
import { useState } from "react";

import { decision, Messages } from "./messages.jsx";
import { Composer, nameThread, show, threadNamed } from "./parts.jsx";

function Chat() {
  const [threadId, setThreadId] = useState(threadNamed());
  const stream = useStream({
    apiUrl: location.origin,
    assistantId: "mill",
    threadId,
    onThreadId: (id) => {
      nameThread(id);
      setThreadId(id);
    },
    fetchStateHistory: true,
    // A run that was going on when the page was loaded is read on.
    reconnectOnMount: true,
  });
  const send = (content) => {
    const message = { type: "human", content };
    // The page shows it before the server does.
    const optimisticValues = ({ messages = [] }) => ({ messages: [...messages, { ...message, id: "sent" }] });
    stream.submit({ messages: [message] }, { optimisticValues });
  };
  return (
    <>
      <h1>useStream of @langchain/langgraph-sdk</h1>
      <Messages
        messages={stream.messages}
        question={stream.interrupt?.value}
        decide={(isApproved) => stream.submit(undefined, { command: { resume: decision(isApproved) } })}
      />
      {stream.error && <p role="alert">{stream.error.message}</p>}
      <Composer isBusy={stream.isLoading} onSend={send} onStop={() => stream.stop()} />
    </>
  );
}

show(<Chat />);
