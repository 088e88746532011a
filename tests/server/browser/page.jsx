// A page with a hook of LangChain's: what it shows is `window.shown`, what one can do is `window.act`.
import { useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { useStream as useClassic } from "@langchain/langgraph-sdk/react";
import { useMessageMetadata, useMessages, useStream, useSubmissionQueue } from "@langchain/react";

const asked = new URLSearchParams(location.search);
const apiUrl = asked.get("api");
const assistantId = asked.get("graph");
const say = (text) => ({ messages: [{ type: "human", content: text }] });

const textOf = (message) =>
  typeof message.content === "string"
    ? message.content
    : message.content.map((block) => block.text ?? "").join("");
const plain = (messages) =>
  messages.map((message) => ({
    id: message.id,
    type: message.type ?? message.getType(),
    text: textOf(message),
    calls: (message.tool_calls ?? []).map((call) => call.name),
  }));

/** Keep the thread over reloads, as an address would. */
function useThread() {
  const [threadId, setThread] = useState(sessionStorage.getItem("thread") ?? asked.get("thread"));
  const onThreadId = (id) => {
    sessionStorage.setItem("thread", id);
    setThread(id);
  };
  return { threadId, onThreadId };
}

window.seen = []; // each state of the last answer that was rendered
window.events = [];

/** Keep what is rendered, and reload the page where the scene wants it: after so many words. */
function show(shown) {
  window.shown = shown;
  const last = shown.messages.at(-1);
  if (last?.type === "ai" && last.text && window.seen.at(-1) !== last.text) {
    window.seen.push(last.text);
    const limit = Number(sessionStorage.getItem("reload") ?? Infinity);
    if (last.text.trim().split(" ").length >= limit) {
      sessionStorage.removeItem("reload");
      sessionStorage.setItem("reloaded", "yes");
      location.reload();
    }
  }
  return <pre>{JSON.stringify(shown, null, 1)}</pre>;
}

function Classic() {
  const errors = useRef([]);
  const stream = useClassic({
    apiUrl,
    assistantId,
    ...useThread(),
    reconnectOnMount: asked.get("reconnect") !== "no",
    fetchStateHistory: true,
    onError: (error) => errors.current.push(String(error)),
    onUpdateEvent: (data, { namespace }) => window.events.push(["updates", namespace, data]),
    onCustomEvent: (data, { namespace }) => window.events.push(["custom", namespace, data]),
  });
  const metadata = (index) => stream.getMessagesMetadata(stream.messages[index], index);
  const options = { streamSubgraphs: asked.get("subgraphs") === "yes" };
  window.act = {
    send: (text, more) => stream.submit(say(text), { ...options, ...more }),
    stop: () => stream.stop(),
    answer: (resume) => stream.submit(undefined, { ...options, command: { resume } }),
    answerAll: (resume) => stream.submit(undefined, { ...options, command: { resume } }),
    edit: (index, text) => {
      const checkpoint = metadata(index).firstSeenState.parent_checkpoint;
      return stream.submit(say(text), { ...options, checkpoint });
    },
    branch: (index, number) => stream.setBranch(metadata(index).branchOptions[number]),
  };
  return show({
    messages: plain(stream.messages),
    loading: stream.isLoading || stream.isThreadLoading,
    questions: stream.interrupts.map(({ id, value }) => ({ id, value })),
    error: stream.error == null ? null : String(stream.error),
    errors: errors.current,
    branches: stream.messages.map((_, index) => metadata(index)?.branchOptions?.length ?? 1),
    editable: stream.messages.map((_, index) => metadata(index)?.firstSeenState != null),
  });
}

function Modern() {
  const transport = asked.get("client") === "socket" ? "websocket" : "sse";
  const stream = useStream({ apiUrl, assistantId, transport, ...useThread() });
  const queue = useSubmissionQueue(stream);
  const forks = useRef([]);
  window.act = {
    send: (text, more) => stream.submit(say(text), more),
    stop: () => stream.stop(),
    // By its id: after a reload the state shows a question before the events that name it are there.
    answer: (value) => stream.respond(value, { interruptId: stream.interrupts[0].id }),
    answerAll: (values) => stream.respondAll(values),
    edit: (index, text) => stream.submit(say(text), { forkFrom: forks.current[index] }),
  };
  return (
    <>
      {stream.messages.map((message, index) => (
        <Fork key={index} stream={stream} message={message} index={index} forks={forks} />
      ))}
      {[...stream.subgraphs.values()].map((each) => (
        <Nested key={each.id} stream={stream} subgraph={each} />
      ))}
      {show({
        messages: plain(stream.messages),
        loading: stream.isLoading || stream.isThreadLoading,
        questions: stream.interrupts.map(({ id, value }) => ({ id, value })),
        error: stream.error == null ? null : String(stream.error),
        queued: queue.size,
        tools: stream.toolCalls.map(({ name, status, output }) => ({ name, status, output })),
        subgraphs: [...stream.subgraphs.values()].map(({ id, status, nodeName }) => ({
          id,
          status,
          nodeName,
        })),
      })}
    </>
  );
}

/** Learn from which checkpoint a message can be said otherwise. */
function Fork({ stream, message, index, forks }) {
  forks.current[index] = useMessageMetadata(stream, message.id)?.parentCheckpointId;
  return null;
}

/** Show what a nested graph says. */
function Nested({ stream, subgraph }) {
  const messages = plain(useMessages(stream, subgraph));
  const told = messages.map((message) => message.text).join("|");
  if (window.events.at(-1)?.[2] !== told) window.events.push(["nested", subgraph.namespace, told]);
  return null;
}

const Page = asked.get("client") === "classic" ? Classic : Modern;
createRoot(document.getElementById("page")).render(<Page />);
