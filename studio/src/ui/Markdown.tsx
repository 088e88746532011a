import { memo, useMemo, type ReactNode } from "react";

import { blocksOf, LONGEST, type Block, type Inline } from "../model/markdown";
import { LongText } from "./LongText";

/** A text in Markdown; one that is too long for that as it was written. */
export const Markdown = memo(function Markdown({ source }: { source: string }) {
  const blocks = useMemo(() => (source.length > LONGEST ? null : blocksOf(source)), [source]);
  if (blocks === null) return <LongText className="said" text={source} />;
  return <div className="said markdown">{blocks.map(shownBlock)}</div>;
});

function shownBlock(block: Block, key: number): ReactNode {
  switch (block.kind) {
    case "paragraph":
      return <p key={key}>{block.inner.map(shownInline)}</p>;
    case "heading":
      // Below the headings of the page.
      return <div key={key} role="heading" aria-level={Math.min(6, block.level + 3)} className={`heading-${block.level}`}>{block.inner.map(shownInline)}</div>;
    case "code":
      return <pre key={key} title={block.language}><code>{block.text}</code></pre>;
    case "quote":
      return <blockquote key={key}>{block.blocks.map(shownBlock)}</blockquote>;
    case "rule":
      return <hr key={key} />;
    case "list": {
      const items = block.items.map((item, place) => <li key={place}>{item.map(shownBlock)}</li>);
      return block.start === null ? <ul key={key}>{items}</ul> : <ol key={key} start={block.start}>{items}</ol>;
    }
    case "table":
      return (
        <table key={key}>
          <thead><tr>{block.head.map((cell, column) => <th key={column} scope="col">{cell.map(shownInline)}</th>)}</tr></thead>
          <tbody>
            {block.rows.map((row, place) => <tr key={place}>{row.map((cell, column) => <td key={column}>{cell.map(shownInline)}</td>)}</tr>)}
          </tbody>
        </table>
      );
  }
}

function shownInline(inline: Inline, key: number): ReactNode {
  switch (inline.kind) {
    case "text":
      return inline.text;
    case "code":
      return <code key={key}>{inline.text}</code>;
    case "strong":
      return <strong key={key}>{inline.inner.map(shownInline)}</strong>;
    case "em":
      return <em key={key}>{inline.inner.map(shownInline)}</em>;
    case "strike":
      return <s key={key}>{inline.inner.map(shownInline)}</s>;
    case "image":
      return <img key={key} alt={inline.text} src={inline.src} />;
    case "link":
      return <Link key={key} href={inline.href} inner={inline.inner} />;
  }
}

/** A link of somebody: where it leads is seen before it is followed. */
function Link({ href, inner }: { href: string; inner: Inline[] }) {
  const only = inner.length === 1 ? inner[0] : undefined;
  const isItself = only?.kind === "text" && (href === only.text || href === `${only.text}/`);
  return (
    <>
      <a href={href} target="_blank" rel="noopener noreferrer nofollow">{inner.map(shownInline)}</a>
      {!isItself && <span className="faint">{` (${href})`}</span>}
    </>
  );
}
