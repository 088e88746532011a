import { placesOf, type LayoutAnswer, type LayoutRequest } from "./layout";

self.onmessage = ({ data }: MessageEvent<LayoutRequest>) => {
  const answer: LayoutAnswer = { request: data.request, places: placesOf(data) };
  self.postMessage(answer);
};
