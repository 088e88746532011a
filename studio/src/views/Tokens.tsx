import { memo } from "react";

import type { RunView, Speech } from "../model/run";
import { rateOf } from "../model/timeline";
import { JsonTree } from "../ui/JsonTree";
import { LongText } from "../ui/LongText";
import { TEXTS } from "../texts";

/** What models say in a run, as it comes. */
export function Tokens({ run }: { run: RunView | null }) {
  const speeches = [...(run?.speeches.values() ?? [])];
  if (speeches.length === 0) return <p className="empty">{TEXTS.noTokens}</p>;
  return (
    <section className="tokens" aria-label={TEXTS.tokens}>
      {speeches.map((speech) => <Said key={speech.id} speech={speech} />)}
    </section>
  );
}

const Said = memo(function Said({ speech }: { speech: Speech }) {
  return (
    <article className="speech">
      <header>
        <strong>{speech.node}</strong> {speech.model} · {rateOf(speech)} {TEXTS.perSecond}
        {speech.usage !== null && ` · ${speech.usage.input} → ${speech.usage.output}`}
      </header>
      {speech.reasoning !== "" && <LongText className="reasoning" text={speech.reasoning} />}
      <LongText className="said" text={speech.text} />
      {speech.toolCalls.map((call, place) => (
        <pre key={place} className="tool-call">{`${call.name}(${call.args})`}</pre>
      ))}
      <details>
        <summary>{TEXTS.metadata}</summary>
        <JsonTree value={speech.metadata} />
      </details>
    </article>
  );
});
