import type { Json, JsonObject } from "../api/types";
import { isObject, object, text } from "../model/run";
import { TEXTS } from "../texts";
import { JsonTree } from "./JsonTree";

/** A message of a conversation. Its content is somebody's: it is shown as text, whatever it says. */
export function Message({ message }: { message: JsonObject }) {
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls.map(object) : [];
  return (
    <article className={`message ${text(message.type)}`}>
      <header>
        {text(message.type)}
        {message.name ? ` · ${text(message.name)}` : ""}
      </header>
      <Content content={message.content ?? null} />
      {calls.map((call, place) => (
        <details key={place} className="tool-call">
          <summary>{text(call.name)}</summary>
          <JsonTree value={call.args ?? null} />
        </details>
      ))}
    </article>
  );
}

function Content({ content }: { content: Json }) {
  if (typeof content === "string") return <p className="said">{content}</p>;
  if (!Array.isArray(content)) return <JsonTree value={content} />;
  return (
    <>
      {content.map((block, place) => {
        const known = typeof block === "string" ? { type: "text", text: block } : object(block);
        if (known.type === "text") return <p key={place} className="said">{text(known.text)}</p>;
        const image = imageOf(known);
        // From its own bytes only: nothing is asked of other hosts.
        if (image !== null) return <img key={place} alt={TEXTS.image} src={image} />;
        return <JsonTree key={place} value={known} />;
      })}
    </>
  );
}

const IMAGE = /^image\/(png|jpeg|gif|webp)$/;
const DATA = /^data:(image\/(?:png|jpeg|gif|webp));base64,[A-Za-z0-9+/=]+$/;

/** Returns the address of an image that a block has in it, null if it has none. */
export function imageOf(block: JsonObject): string | null {
  const given = isObject(block.image_url) ? block.image_url.url : block.image_url;
  if (typeof given === "string") return DATA.test(given) ? given : null;
  const mime = text(block.mime_type);
  const bytes = text(block.base64 ?? block.data);
  if (block.type !== "image" || !IMAGE.test(mime)) return null;
  const address = `data:${mime};base64,${bytes}`;
  return DATA.test(address) ? address : null;
}
