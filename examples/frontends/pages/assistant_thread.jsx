/** What people see of a thread of assistant-ui, whatever its runtime: messages, calls of tools, a place to write. */

import { AuiIf, ComposerPrimitive, ErrorPrimitive, MessagePrimitive, ThreadPrimitive } from "@assistant-ui/react";

import { ToolCall } from "./parts.jsx";

/** A thread; `Call` shows a call of a tool. */
export function Thread({ Call }) {
  const Message = () => <AssistantMessage Call={Call} />;
  return (
    <ThreadPrimitive.Root>
      <div role="log">
        <ThreadPrimitive.Messages components={{ UserMessage, AssistantMessage: Message }} />
      </div>
      <ComposerPrimitive.Root>
        <ComposerPrimitive.Input aria-label="Message" placeholder="weigh 3 sacks" />
        <AuiIf condition={({ thread }) => !thread.isRunning}>
          <ComposerPrimitive.Send>Send</ComposerPrimitive.Send>
        </AuiIf>
        <AuiIf condition={({ thread }) => thread.isRunning}>
          <ComposerPrimitive.Cancel>Stop</ComposerPrimitive.Cancel>
        </AuiIf>
      </ComposerPrimitive.Root>
    </ThreadPrimitive.Root>
  );
}

function UserMessage() {
  return (
    <MessagePrimitive.Root className="message" data-role="user">
      <MessagePrimitive.Parts components={{ Text }} />
    </MessagePrimitive.Root>
  );
}

function AssistantMessage({ Call }) {
  return (
    <MessagePrimitive.Root className="message" data-role="assistant">
      <MessagePrimitive.Parts components={{ Text, tools: { Fallback: Call } }} />
      <MessagePrimitive.Error>
        <ErrorPrimitive.Root>
          <ErrorPrimitive.Message />
        </ErrorPrimitive.Root>
      </MessagePrimitive.Error>
    </MessagePrimitive.Root>
  );
}

const Text = ({ text }) => <span>{text}</span>;

/** A call of a tool, which asks for its approval if `onDecide` is given. */
export function Call({ toolName, args, result, isError, onDecide }) {
  return (
    <ToolCall
      name={toolName}
      input={args}
      output={isError ? undefined : result}
      error={isError ? JSON.stringify(result) : undefined}
      onDecide={onDecide}
    />
  );
}
