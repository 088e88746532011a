// Talks with a server as a page with `useChat` does: `node chat.mjs ai-6 URL`. Prints as JSON what
// its messages have come to: after two turns, an answer that is made again, approved calls, and in
// a page that is loaded anew while a message is being said.
const ai = await import(process.argv[2]);
const url = process.argv[3];
const version = Number(process.argv[2].split("-")[1]);

class Chat extends ai.AbstractChat {
  constructor(api, more = {}) {
    const state = {
      status: "ready",
      error: undefined,
      messages: [],
      pushMessage(message) {
        this.messages = [...this.messages, message];
      },
      popMessage() {
        this.messages = this.messages.slice(0, -1);
      },
      replaceMessage(index, message) {
        this.messages = this.messages.map((known, n) => (n === index ? message : known));
      },
      snapshot: (value) => structuredClone(value),
    };
    const transport = new ai.DefaultChatTransport({
      api: `${url}/ai-sdk/${api}`,
      body: { version },
    });
    super({ state, transport, onError: (error) => (this.wrong = String(error)), ...more });
  }
  said() {
    return this.messages.map(({ role, parts }) => [
      role,
      parts.map((part) => part.text ?? part.state ?? part.type).filter((text) => text !== "step-start"),
    ]);
  }
}

const told = {};
const talk = new Chat("chat");
await talk.sendMessage({ text: "hi" });
await talk.sendMessage({ text: "again" });
told.turns = talk.said();
const before = talk.lastMessage.id;
await talk.regenerate();
told.again = [talk.said(), before !== talk.lastMessage.id];

const reviewed = new Chat("reviewed", {
  sendAutomaticallyWhen: ai.lastAssistantMessageIsCompleteWithApprovalResponses,
});
await reviewed.sendMessage({ text: "weigh" });
for (const part of [...reviewed.lastMessage.parts]) {
  if (part.state === "approval-requested") {
    const approved = part.type === "tool-weigh";
    await reviewed.addToolApprovalResponse({ id: part.approval.id, approved });
  }
}
while (reviewed.status !== "ready" && reviewed.status !== "error") {
  await new Promise((go) => setTimeout(go, 20));
}
told.reviewed = reviewed.said();

const first = new Chat("slow-words", { id: "a chat that is read twice" });
const sending = first.sendMessage({ text: "hi" });
while (!JSON.stringify(first.messages).includes("one")) await new Promise((go) => setTimeout(go, 5));
const second = new Chat("slow-words", { id: "a chat that is read twice" });
await Promise.all([second.resumeStream(), sending]);
told.read = [first.lastMessage, second.lastMessage].map(({ id, parts }) => [id, parts.at(-1).text]);

told.wrong = [talk, reviewed, first, second].map((chat) => chat.wrong ?? null);
process.stdout.write(JSON.stringify(told));
process.exit(0);
