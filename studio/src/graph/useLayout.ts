import { useEffect, useRef, useState } from "react";

import type { Picture } from "../model/drawing";
import type { LayoutAnswer, LayoutRequest } from "./layout";

export const HEIGHT = 44;

export function widthOf(label: string): number {
  return Math.min(260, Math.max(96, 44 + 8 * label.length));
}

/** A picture, and where its nodes are. */
export interface Laid {
  picture: Picture;
  places: LayoutAnswer["places"];
}

/** Returns a picture with the places of its nodes: the one before while those of the newest are worked out. */
export function useLayout(picture: Picture): Laid | null {
  const worker = useRef<Worker | null>(null);
  const newest = useRef({ request: 0, picture });
  const [laid, setLaid] = useState<Laid | null>(null);

  useEffect(() => {
    const made = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    made.onmessage = ({ data }: MessageEvent<LayoutAnswer>) => {
      // An older one is of another picture.
      if (data.request === newest.current.request) setLaid({ picture: newest.current.picture, places: data.places });
    };
    worker.current = made;
    return () => made.terminate();
  }, []);

  useEffect(() => {
    newest.current = { request: newest.current.request + 1, picture };
    const asked: LayoutRequest = {
      request: newest.current.request,
      nodes: picture.nodes.map(({ id, label }) => ({ id, width: widthOf(label), height: HEIGHT })),
      edges: picture.edges.map(({ source, target }) => ({ source, target })),
    };
    worker.current?.postMessage(asked);
  }, [picture]);

  return laid;
}
