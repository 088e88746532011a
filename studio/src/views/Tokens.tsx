import type { RunView } from "../model/run";
import { TEXTS } from "../texts";
import { rateOf } from "./Timeline";

/** What models say in a run, as it comes. */
export function Tokens({ run }: { run: RunView | null }) {
  const speeches = [...(run?.speeches.values() ?? [])];
  if (speeches.length === 0) return <p className="empty">{TEXTS.noTokens}</p>;
  return (
    <section className="tokens" aria-label={TEXTS.tokens}>
      {speeches.map((speech) => (
        <article key={speech.id} className="speech">
          <header>
            <strong>{speech.node}</strong> {speech.model} · {rateOf(speech)} {TEXTS.perSecond}
            {speech.usage !== null && ` · ${speech.usage.input} → ${speech.usage.output}`}
          </header>
          {speech.reasoning !== "" && <p className="reasoning">{speech.reasoning}</p>}
          <p className="said">{speech.text}</p>
          {speech.toolCalls.map((call, place) => (
            <pre key={place} className="tool-call">{`${call.name}(${call.args})`}</pre>
          ))}
        </article>
      ))}
    </section>
  );
}
