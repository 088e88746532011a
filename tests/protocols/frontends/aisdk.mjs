// Reads UI message streams as the AI SDK does: `node aisdk.mjs ai-6`, cases as JSON on stdin.
// A case has the text of a stream, and the message that it goes on with, if any. What is printed of
// each: the types of its chunks, what is wrong with them, the errors it tells, and the last message.
import { text } from "node:stream/consumers";

const ai = await import(process.argv[2]);
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
process.stdout.write(JSON.stringify(told));
