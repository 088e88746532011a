/** Shows messages as LangChain has them: those of tools as outputs of the calls that they answer. */

import { ToolCall } from "./parts.jsx";

export function Messages({ messages, question, decide }) {
  const answers = new Map(messages.filter(isOfTool).map((message) => [message.tool_call_id, message]));
  const asked = question?.action_requests[0];
  return (
    <div role="log">
      {messages.filter((message) => !isOfTool(message)).map((message) => (
        <div key={message.id} className="message" data-role={message.type === "human" ? "user" : "assistant"}>
          {textOf(message)}
          {(message.tool_calls ?? []).map((call) => {
            const answer = answers.get(call.id);
            const isFailed = answer?.status === "error";
            return (
              <ToolCall
                key={call.id}
                name={call.name}
                input={call.args}
                output={answer && !isFailed ? textOf(answer) : undefined}
                error={isFailed ? textOf(answer) : undefined}
              />
            );
          })}
        </div>
      ))}
      {asked && (
        <div className="message">
          {asked.description}
          <ToolCall name={asked.name} input={asked.args} onDecide={decide} />
        </div>
      )}
    </div>
  );
}

const isOfTool = (message) => message.type === "tool";

function textOf({ content }) {
  return typeof content === "string" ? content : content.map((block) => block.text ?? "").join("");
}

/** Returns the answer to a question of `HumanInTheLoopMiddleware` about one call. */
export function decision(isApproved) {
  return { decisions: [isApproved ? { type: "approve" } : { type: "reject" }] };
}
