/** A chat with assistant-ui, whose runtime speaks with the server as LangGraph's SDK does. */

import { AssistantRuntimeProvider } from "@assistant-ui/react";
import {
  unstable_createLangGraphStream as createLangGraphStream,
  useLangGraphInterruptState,
  useLangGraphRuntime,
  useLangGraphSendCommand,
} from "@assistant-ui/react-langgraph";
import { Client } from "@langchain/langgraph-sdk";

import { Call, Thread } from "./assistant_thread.jsx";
import { decision } from "./messages.jsx";
import { nameThread, show, threadNamed } from "./parts.jsx";

const client = new Client({ apiUrl: location.origin });
// A run is cancelled when the page stops reading it.
const stream = createLangGraphStream({ client, assistantId: "mill" });

/** Its list of threads knows only that of the address. */
const threads = {
  list: async () => ({ threads: [] }),
  fetch: async (id) => ({ status: "regular", remoteId: id, externalId: id }),
  async initialize() {
    const { thread_id: id } = await client.threads.create();
    nameThread(id);
    return { remoteId: id, externalId: id };
  },
  generateTitle: async () => new ReadableStream({ start: (controller) => controller.close() }),
};

async function load(externalId) {
  const { values, tasks } = await client.threads.getState(externalId);
  return { messages: values.messages ?? [], interrupts: tasks.flatMap((task) => task.interrupts) };
}

/** Finds where the thread had these messages and no more: there a message that was changed goes on. */
async function getCheckpointId(externalId, messages) {
  const history = await client.threads.getHistory(externalId, { limit: 1000 });
  const isThere = ({ values }) => {
    const known = values.messages ?? [];
    return known.length === messages.length && known.every(({ id }, at) => id === messages[at].id);
  };
  return history.find(isThere)?.checkpoint.checkpoint_id ?? null;
}

function Chat() {
  const runtime = useLangGraphRuntime({
    stream,
    load,
    getCheckpointId,
    unstable_threadListAdapter: threads,
    initialThreadId: threadNamed() ?? undefined,
    unstable_allowCancellation: true,
  });
  return (
    <AssistantRuntimeProvider runtime={runtime}>
      <h1>assistant-ui with LangGraph&apos;s runtime</h1>
      <Thread Call={CallToApprove} />
    </AssistantRuntimeProvider>
  );
}

function CallToApprove(call) {
  const question = useLangGraphInterruptState()?.value;
  const sendCommand = useLangGraphSendCommand();
  const isAsked = call.result === undefined && question?.action_requests.some(({ name }) => name === call.toolName);
  const decide = (isApproved) => sendCommand({ resume: decision(isApproved) });
  return <Call {...call} onDecide={isAsked ? decide : undefined} />;
}

show(<Chat />);
