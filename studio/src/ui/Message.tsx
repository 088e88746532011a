import { useState } from "react";

import type { Json, JsonObject } from "../api/types";
import { imageOf } from "../model/pictures";
import { object, text } from "../model/run";
import { TEXTS } from "../texts";
import { JsonTree } from "./JsonTree";
import { LongText } from "./LongText";
import { Markdown } from "./Markdown";

/** Who writes Markdown. */
const WRITERS = new Set(["ai", "AIMessageChunk"]);

/** A message of a conversation. Its content is somebody's: nothing of it runs or is loaded, whatever it says. */
export function Message({ message }: { message: JsonObject }) {
  const [isAsWritten, setAsWritten] = useState(false);
  const isWriter = WRITERS.has(text(message.type));
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls.map(object) : [];
  return (
    <article className={`message ${text(message.type)}`}>
      <header>
        {text(message.type)}
        {message.name ? ` · ${text(message.name)}` : ""}
        {isWriter && (
          <button type="button" className="link" aria-pressed={isAsWritten} onClick={() => setAsWritten(!isAsWritten)}>{TEXTS.asWritten}</button>
        )}
      </header>
      <Content content={message.content ?? null} isMarkdown={isWriter && !isAsWritten} />
      {calls.map((call, place) => (
        <details key={place} className="tool-call">
          <summary>{text(call.name)}</summary>
          <JsonTree value={call.args ?? null} />
        </details>
      ))}
    </article>
  );
}

function Content({ content, isMarkdown }: { content: Json; isMarkdown: boolean }) {
  if (typeof content === "string") return <Text said={content} isMarkdown={isMarkdown} />;
  if (!Array.isArray(content)) return <JsonTree value={content} />;
  return (
    <>
      {content.map((block, place) => {
        const known = typeof block === "string" ? { type: "text", text: block } : object(block);
        if (known.type === "text") return <Text key={place} said={text(known.text)} isMarkdown={isMarkdown} />;
        const image = imageOf(known);
        if (image !== null) return <img key={place} alt={TEXTS.image} src={image} />;
        return <JsonTree key={place} value={known} />;
      })}
    </>
  );
}

function Text({ said, isMarkdown }: { said: string; isMarkdown: boolean }) {
  return isMarkdown ? <Markdown source={said} /> : <LongText className="said" text={said} />;
}
