import { useEffect, useRef, useState } from "react";

import type { Picture } from "../model/drawing";
import type { LayoutAnswer, LayoutRequest } from "./layout";

export const HEIGHT = 44;

export function widthOf(label: string): number {
  return Math.min(260, Math.max(96, 44 + 8 * label.length));
}

/** Returns where the nodes of a picture are, null until that is known. */
export function useLayout(picture: Picture): LayoutAnswer["places"] | null {
  const worker = useRef<Worker | null>(null);
  const request = useRef(0);
  const [places, setPlaces] = useState<LayoutAnswer["places"] | null>(null);

  useEffect(() => {
    const made = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    made.onmessage = ({ data }: MessageEvent<LayoutAnswer>) => {
      // An older one is of another picture.
      if (data.request === request.current) setPlaces(data.places);
    };
    worker.current = made;
    return () => made.terminate();
  }, []);

  useEffect(() => {
    const asked: LayoutRequest = {
      request: ++request.current,
      nodes: picture.nodes.map(({ id, label }) => ({ id, width: widthOf(label), height: HEIGHT })),
      edges: picture.edges.map(({ source, target }) => ({ source, target })),
    };
    worker.current?.postMessage(asked);
  }, [picture]);

  return places;
}
