// Asks a server for chat completions and responses as OpenAI's own client for JavaScript does: `node openai.mjs URL`.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/openai/v1`, apiKey: "none" });
const messages = [{ role: "user", content: "hi" }];
const told = {};

const whole = await client.chat.completions.create({ model: "chat", messages });
told.whole = whole.choices[0].message.content;

const stream = client.chat.completions.stream({
  model: "team",
  messages,
  stream_options: { include_usage: true },
});
told.team = await stream.finalContent();
told.usage = (await stream.totalUsage()).total_tokens;

const metadata = { thread_id: "a thread of the client's" };
const asked = await client.chat.completions.create({ model: "asking", messages, metadata });
const said = asked.choices[0].message;
const answer = { role: "tool", tool_call_id: said.tool_calls[0].id, content: "yes" };
const answered = await client.chat.completions.create({
  model: "asking",
  messages: [...messages, said, answer],
  metadata,
});
told.asked = [said.tool_calls[0].function.name, answered.choices[0].message.content];

const responding = client.responses.stream({ model: "team", input: "hi" });
told.response = (await responding.finalResponse()).output.map((item) => item.type);

told.errors = [];
for (const model of ["failing", "nobody"]) {
  try {
    const pieces = await client.chat.completions.create({ model, messages, stream: true });
    for await (const _ of pieces);
  } catch (error) {
    told.errors.push(error.message);
  }
}
process.stdout.write(JSON.stringify(told));
