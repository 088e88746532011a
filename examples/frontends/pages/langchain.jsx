/** A chat with `useStream` of @langchain/react. */

import { useStream } from "@langchain/react";
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
  });
  const question = stream.interrupts[0];
  const stop = async () => {
    await stream.stop();
    // It knows no run that this page has not begun itself.
    const { runs } = stream.client;
    for (const { run_id } of await runs.list(threadId, { status: "running" })) await runs.cancel(threadId, run_id);
  };
  return (
    <>
      <h1>useStream of @langchain/react</h1>
      <Messages
        messages={stream.messages}
        question={question?.value}
        decide={(isApproved) => stream.respond(decision(isApproved), { interruptId: question.id })}
      />
      {stream.error && <p role="alert">{stream.error.message}</p>}
      <Composer
        isBusy={stream.isLoading}
        onSend={(content) => stream.submit({ messages: [{ type: "human", content }] })}
        onStop={stop}
      />
    </>
  );
}

show(<Chat />);
