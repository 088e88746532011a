/**
 * What people see of a thread of assistant-ui, whatever its runtime: messages, which they may change or have made
 * again, calls of tools, a place to write.
 */

import {
  ActionBarPrimitive,
  AuiIf,
  BranchPickerPrimitive,
  ComposerPrimitive,
  ErrorPrimitive,
  MessagePrimitive,
  ThreadPrimitive,
} from "@assistant-ui/react";

import { ToolCall } from "./parts.jsx";

/** A thread; `Call` shows a call of a tool. */
export function Thread({ Call }) {
  const Message = () => <AssistantMessage Call={Call} />;
  return (
    <ThreadPrimitive.Root>
      <div role="log">
        <ThreadPrimitive.Messages components={{ UserMessage, UserEditComposer, AssistantMessage: Message }} />
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
    <MessagePrimitive.Root>
      <div className="message" data-role="user">
        <MessagePrimitive.Parts components={{ Text }} />
      </div>
      <Branches />
      <ActionBarPrimitive.Root>
        <ActionBarPrimitive.Edit>Change</ActionBarPrimitive.Edit>
      </ActionBarPrimitive.Root>
    </MessagePrimitive.Root>
  );
}

function UserEditComposer() {
  return (
    <ComposerPrimitive.Root>
      <ComposerPrimitive.Input aria-label="Changed message" />
      <ComposerPrimitive.Send>Ask anew</ComposerPrimitive.Send>
      <ComposerPrimitive.Cancel>Leave it</ComposerPrimitive.Cancel>
    </ComposerPrimitive.Root>
  );
}

function AssistantMessage({ Call }) {
  return (
    <MessagePrimitive.Root>
      <div className="message" data-role="assistant">
        <MessagePrimitive.Parts components={{ Text, tools: { Fallback: Call } }} />
        <MessagePrimitive.Error>
          <ErrorPrimitive.Root>
            <ErrorPrimitive.Message />
          </ErrorPrimitive.Root>
        </MessagePrimitive.Error>
      </div>
      <Branches />
      <ActionBarPrimitive.Root hideWhenRunning>
        <ActionBarPrimitive.Reload>Say it again</ActionBarPrimitive.Reload>
      </ActionBarPrimitive.Root>
    </MessagePrimitive.Root>
  );
}

/** Goes from one version of a message to another. */
function Branches() {
  return (
    <BranchPickerPrimitive.Root hideWhenSingleBranch>
      <BranchPickerPrimitive.Previous>Before</BranchPickerPrimitive.Previous> <BranchPickerPrimitive.Number /> of{" "}
      <BranchPickerPrimitive.Count /> <BranchPickerPrimitive.Next>Next</BranchPickerPrimitive.Next>
    </BranchPickerPrimitive.Root>
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
