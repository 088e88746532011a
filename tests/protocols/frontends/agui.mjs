// Reads AG-UI events as its own client does: `node agui.mjs`, streams as JSON on stdin, or
// `node agui.mjs URL` to talk with a server. Prints what the client has come to, and what is wrong.
import { text } from "node:stream/consumers";
import { AbstractAgent, HttpAgent } from "@ag-ui/client";
import { EventType } from "@ag-ui/core";
import { EventSchemas } from "@ag-ui/core/schemas";
import { from } from "rxjs";

class Said extends AbstractAgent {
  constructor(events, more) {
    super(more);
    this.events = events;
  }
  run() {
    return from(this.events);
  }
}

// A client that comes back: what it is told first, the endpoint beside that of the runs says.
class Returning extends HttpAgent {
  connect(input) {
    return new HttpAgent({ url: `${this.url}/connect` }).run(input);
  }
}

async function tell(agent, parameters = {}, run = "runAgent") {
  const wrong = [];
  const custom = [];
  let error = null;
  let outcome = null;
  await agent[run](parameters, {
      onRunFinishedEvent: ({ event }) => (outcome = event.outcome),
      onRunErrorEvent: ({ event }) => (error = event.message),
      onCustomEvent: ({ event }) => custom.push([event.name, event.value]),
    })
    .catch((problem) => wrong.push(String(problem)));
  return {
    wrong: error === null ? wrong : [],
    error,
    custom,
    messages: agent.messages,
    state: agent.state,
    interrupts: agent.pendingInterrupts,
    outcome,
    types: Object.values(EventType),
  };
}

const url = process.argv[2];
const hi = { id: "u1", role: "user", content: "hi" };
const options = (name, thread) => ({
  url: `${url}/ag-ui/${name}`,
  threadId: `${thread ?? name} of a page`,
});
const agent = (name, thread) => new HttpAgent({ ...options(name, thread), initialMessages: [hi] });
const returning = (name) => new Returning(options(name));
const told = [];
if (url === undefined) {
  for (const { lines, messages } of JSON.parse(await text(process.stdin))) {
    const events = lines
      .split("\n\n")
      .filter((line) => line)
      .map((line) => EventSchemas.parse(JSON.parse(line.slice("data: ".length))));
    told.push(await tell(new Said(events, { threadId: "t", initialMessages: messages ?? [] })));
  }
} else {
  const chat = agent("chat");
  await tell(chat);
  chat.addMessage({ id: "u2", role: "user", content: "again" });
  told.push(await tell(chat));
  told.push(await tell(agent("failing")));
  for (const [name, payloads] of [["asking", ["yes"]], ["reviewed", [{ approved: true }, { approved: false }]]]) {
    const asking = agent(name);
    const asked = await tell(asking);
    const resume = asked.interrupts.map(({ id }, n) => ({
      interruptId: id,
      status: "resolved",
      payload: payloads[n],
    }));
    if (name === "asking") told.push(asked, await tell(returning(name), {}, "connectAgent"));
    else told.push(asked);
    told.push(await tell(asking, { resume }));
  }
  told.push(await stopped("gated"), await answered("routing"), await both("chat"), await shown());
}

// Two clients follow the same run, one of which has come back in its midst, and one stops it.
async function stopped(name) {
  const first = agent(name);
  const second = returning(name);
  const said = (agent) =>
    new Promise((resolve) => agent.subscribe({ onTextMessageContentEvent: () => resolve() }));
  const begun = said(first);
  const running = tell(first);
  await begun;
  const known = said(second);
  const following = tell(second, {}, "connectAgent");
  await known;
  await fetch(`${url}/ag-ui/${name}/${encodeURIComponent(first.threadId)}/stream`, {
    method: "DELETE",
  });
  return [await running, await following];
}

// The graph calls a tool of the client, which answers it, with a picture.
async function answered(name) {
  const caller = agent(name);
  const tools = [{ name: "locate", description: "Find it.", parameters: { type: "object" } }];
  const called = await tell(caller, { tools });
  const source = { type: "data", value: "iVBORw0KGgo=", mimeType: "image/png" };
  for (const id of called.outcome.pendingToolCallIds) {
    const content = [{ type: "text", text: "here" }, { type: "image", source }];
    caller.addMessage({ id: `answer to ${id}`, role: "tool", toolCallId: id, content });
  }
  return [called, await tell(caller, { tools })];
}

// Nested graphs and reasoning, changes of the state, a state that the client changes, a picture.
async function shown() {
  const counting = agent("counting");
  counting.setState({ mill: "wind" });
  const counted = await tell(counting);
  counting.setState({ ...counting.state, mill: "water" });
  const source = { type: "data", value: "iVBORw0KGgo=", mimeType: "image/png" };
  const seeing = agent("chat", "picture");
  seeing.messages = [{ ...hi, content: [{ type: "text", text: "See:" }, { type: "image", source }] }];
  return [await tell(agent("team")), await tell(agent("planning")), counted, await tell(counting), await tell(seeing)];
}

// Two clients send something at the same time.
async function both(name) {
  const [one, other] = [agent(name, "twice"), agent(name, "twice")];
  other.messages = [{ ...other.messages[0], id: "u2" }];
  return Promise.all([tell(one), tell(other)]);
}
process.stdout.write(JSON.stringify(told));
