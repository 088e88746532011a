import { expect, it } from "vitest";

import type { Picture, Standing } from "../model/drawing";
import { Drawing } from "./drawing";

const node = (id: string) => ({ id, label: id, isGraph: false, isEnd: false });
const PICTURE: Picture = {
  nodes: [node("a"), node("b")],
  edges: [{ id: "a b", source: "a", target: "b", label: "", isConditional: true }],
};
const standing = (status: Standing["status"]): Standing => ({ status, count: 1, running: 0, since: null, lastTask: null });

it("draws anew only what has changed", () => {
  const drawing = new Drawing();
  const laid = { picture: PICTURE, places: { a: { x: 1, y: 2 }, b: { x: 3, y: 4 } } };
  const draw = (one: Standing["status"]) => {
    const standings = new Map([["a", standing("done")], ["b", standing(one)]]);
    return [drawing.nodes(laid, standings, new Map()), drawing.edges(laid, standings)] as const;
  };
  const [nodes, edges] = draw("waits");
  const [same, sameEdges] = draw("waits");
  expect(same[0]).toBe(nodes[0]);
  expect(same[1]).toBe(nodes[1]);
  expect(sameEdges[0]).toBe(edges[0]);

  const [changed, changedEdges] = draw("running");
  expect(changed[0]).toBe(nodes[0]);
  expect(changed[1]?.data.standing?.status).toBe("running");
  expect(changedEdges[0]).toMatchObject({ animated: true, className: "conditional" });
});
