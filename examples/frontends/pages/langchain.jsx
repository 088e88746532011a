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
    // Its own `stop` cancels only a run that this page has begun itself. What is sent next is not to be stopped.
    const { runs } = stream.client;
    const running = await runs.list(threadId, { status: "running" });
    await stream.disconnect();
    // One that cannot be cancelled has ended meanwhile.
    await Promise.allSettled(running.map(({ run_id }) => runs.cancel(threadId, run_id)));
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
