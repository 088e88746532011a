import { describe, expect, it } from "vitest";

import { blocksOf, inlinesOf, safeHref, type Block } from "./markdown";
import { imageOf, isPicture } from "./pictures";

const text = (text: string) => ({ kind: "text", text });
const paragraph = (said: string) => ({ kind: "paragraph", inner: [text(said)] });

describe("markdown", () => {
  it("has headings, lists in lists, quotes, code and rules", () => {
    const source = ["# Title #", "", "one", "two", "- a", "  - b", "- c", "", "3. x", "> said", "```py", "# no title", "```", "---"].join("\n");
    expect(blocksOf(source)).toEqual([
      { kind: "heading", level: 1, inner: [text("Title")] },
      paragraph("one\ntwo"),
      { kind: "list", start: null, items: [[paragraph("a"), { kind: "list", start: null, items: [[paragraph("b")]] }], [paragraph("c")]] },
      { kind: "list", start: 3, items: [[paragraph("x")]] },
      { kind: "quote", blocks: [paragraph("said")] },
      { kind: "code", language: "py", text: "# no title" },
      { kind: "rule" },
    ]);
  });

  it("has tables whose rows are as long as their head", () => {
    expect(blocksOf("| a | b |\n|---|:-:|\n| 1 |\n| 2 | 3 | 4 |")).toEqual([
      { kind: "table", head: [[text("a")], [text("b")]], rows: [[[text("1")], []], [[text("2")], [text("3")]]] },
    ]);
  });

  it("shows code that has no end yet", () => {
    expect(blocksOf("~~~\nx\n\ny")).toEqual([{ kind: "code", language: "", text: "x\n\ny" }]);
  });

  it("emphasizes what is meant, and leaves names as they are", () => {
    expect(inlinesOf("**a *b*** `c * d` ~~e~~ snake_case_name 2 * 3 * 4 \\*f\\*")).toEqual([
      { kind: "strong", inner: [text("a "), { kind: "em", inner: [text("b")] }] },
      text(" "),
      { kind: "code", text: "c * d" },
      text(" "),
      { kind: "strike", inner: [text("e")] },
      text(" snake_case_name 2 * 3 * 4 *f*"),
    ]);
  });

  it("links to the web and to mail alone", () => {
    expect(inlinesOf("[a](https://x.org/b?c=1) see https://y.org/z_(q). <https://z.org>")).toEqual([
      { kind: "link", href: "https://x.org/b?c=1", inner: [text("a")] },
      text(" see "),
      { kind: "link", href: "https://y.org/z_(q)", inner: [text("https://y.org/z_(q)")] },
      text(". "),
      { kind: "link", href: "https://z.org/", inner: [text("https://z.org")] },
    ]);
    for (const bad of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "#/threads/x", "//x.org", " javascript:1", "vbscript:x", "file:///etc"]) {
      expect(safeHref(bad)).toBeNull();
      const source = `[a](${bad})`;
      expect(kindsIn(blocksOf(source))).not.toContain("link");
    }
    expect(inlinesOf("[link](javascript:alert(1))")).toEqual([text("[link](javascript:alert(1))")]);
  });

  it("shows images that have their bytes in them, and asks nobody for others", () => {
    const picture = "data:image/png;base64,iVBORw0KGgo=";
    expect(inlinesOf(`![a](${picture})`)).toEqual([{ kind: "image", src: picture, text: "a" }]);
    expect(inlinesOf("![a](https://x.org/a.png)")).toEqual([text("![a](https://x.org/a.png)")]);
    expect(isPicture("data:image/svg+xml;base64,AAAA")).toBe(false);
    expect(isPicture("data:image/png;base64,AA\" onerror=x")).toBe(false);
  });

  it("leaves HTML as the text that it is", () => {
    const source = "<script>alert(1)</script> <img src=x onerror=alert(1)>";
    expect(blocksOf(source)).toEqual([paragraph(source)]);
  });

  it.each(["[", "*", "**a ", "`", "![", "_a", "> ", "- ", "<http://", "|-", "(", "[a](", "~~x", "\\"])("ends for many of %j", (part) => {
    const source = part.repeat(Math.floor(20_000 / part.length));
    expect(blocksOf(source).length).toBeGreaterThan(0);
  });
});

describe("an image of a message", () => {
  it("is one by whichever custom it is written", () => {
    const data = "iVBORw0KGgo=";
    const address = `data:image/png;base64,${data}`;
    expect(imageOf({ type: "image_url", image_url: { url: address } })).toBe(address);
    expect(imageOf({ type: "image", mime_type: "image/png", base64: data })).toBe(address);
    expect(imageOf({ type: "image", source: { type: "base64", media_type: "image/png", data } })).toBe(address);
    expect(imageOf({ type: "image_url", image_url: { url: "https://x.org/a.png" } })).toBeNull();
    expect(imageOf({ type: "image", mime_type: "image/svg+xml", base64: data })).toBeNull();
  });
});

function kindsIn(blocks: Block[]): string[] {
  return [...JSON.stringify(blocks).matchAll(/"kind":"(\w+)"/g)].map((found) => found[1]!);
}
