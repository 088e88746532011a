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

async function tell(agent, parameters = {}) {
  const wrong = [];
  const custom = [];
  let error = null;
  await agent
    .runAgent(parameters, {
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
    types: Object.values(EventType),
  };
}

const url = process.argv[2];
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
  const hi = { id: "u1", role: "user", content: "hi" };
  const agent = (name) =>
    new HttpAgent({ url: `${url}/ag-ui/${name}`, threadId: `${name} of a page`, initialMessages: [hi] });
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
    told.push(asked, await tell(asking, { resume }));
  }
}
process.stdout.write(JSON.stringify(told));
