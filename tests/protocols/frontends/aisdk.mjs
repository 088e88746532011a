// Reads UI message streams as the AI SDK does: `node aisdk.mjs ai-6`, cases as JSON on stdin.
// A case has the text of a stream, and the message that it goes on with, if any. What is printed of
// each: the types of its chunks, what is wrong with them, the errors it tells, and the last message.
import { text } from "node:stream/consumers";

const ai = await import(process.argv[2]);

// The types of chunks that the schema knows: what it says of one that it does not.
async function known() {
  const unknown = new Blob(['data: {"type":"?"}\n\n']).stream();
  const parsed = ai.parseJsonEventStream({ stream: unknown, schema: ai.uiMessageChunkSchema });
  const { value } = await parsed.getReader().read();
  const [problem] = (value.error.cause ?? value.error).issues;
  const wrong = problem.errors.map((each) => each.find(({ path }) => path.join() === "type"));
  return wrong.map(({ values }) => values?.[0] ?? "data-*");
}

const cases = JSON.parse(await text(process.stdin));
const told = [];
for (const { lines, message } of cases) {
  const types = [];
  const wrong = [];
  const errors = [];
  const checked = ai
    .parseJsonEventStream({
      stream: new Blob([lines]).stream(),
      schema: ai.uiMessageChunkSchema,
    })
    .pipeThrough(
      new TransformStream({
        transform(result, controller) {
          if (!result.success) {
            wrong.push(String(result.error));
            return;
          }
          types.push(result.value.type);
          controller.enqueue(result.value);
        },
      }),
    );
  const read = ai.readUIMessageStream({
    message,
    stream: checked,
    onError: (error) => errors.push(String(error?.message ?? error)),
  });
  let last = null;
  try {
    for await (const each of read) last = each;
  } catch (error) {
    wrong.push(String(error));
  }
  told.push({ types, wrong, errors, message: last });
}
process.stdout.write(JSON.stringify(cases.length > 0 ? told : await known()));
