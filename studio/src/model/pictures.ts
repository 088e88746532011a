/** Images that are shown: those that have their bytes in them, of kinds that run nothing. */

import type { JsonObject } from "../api/types";
import { isObject, text } from "./json";

const KIND = /^image\/(png|jpeg|gif|webp)$/;
const ADDRESS = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*$/;

/** Says whether an address is an image by itself: nothing is asked of other hosts. */
export function isPicture(address: string): boolean {
  return ADDRESS.test(address);
}

/** Returns the address of an image that a block of a message has in it, null if it has none. */
export function imageOf(block: JsonObject): string | null {
  const given = isObject(block.image_url) ? block.image_url.url : block.image_url;
  if (typeof given === "string") return isPicture(given) ? given : null;
  if (block.type !== "image") return null;
  // As OpenAI, LangChain and Anthropic write it.
  const source = isObject(block.source) ? block.source : block;
  const kind = text(source.mime_type ?? source.media_type);
  const address = `data:${kind};base64,${text(source.base64 ?? source.data)}`;
  return KIND.test(kind) && isPicture(address) ? address : null;
}
