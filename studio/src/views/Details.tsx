import { nameOf } from "../model/drawing";
import type { RunView, Speech, Task } from "../model/run";
import { rateOf } from "../model/timeline";
import type { ToolUse } from "../model/tools";
import { Facts } from "../ui/Facts";
import { JsonTree } from "../ui/JsonTree";
import { LongText } from "../ui/LongText";
import { took } from "../ui/time";
import { TEXTS } from "../texts";

/** What is known of a line of the timeline: a task, or a call of a model or a tool. */
export function Details({ run, id }: { run: RunView; id: string }) {
  const task = run.tasks.get(id);
  if (task !== undefined) return <TaskDetails task={task} />;
  const speech = run.speeches.get(id);
  if (speech !== undefined) return <SpeechDetails speech={speech} />;
  const tool = run.tools.get(id);
  return tool === undefined ? null : <ToolDetails tool={tool} />;
}

function TaskDetails({ task }: { task: Task }) {
  return (
    <aside className="details" aria-label={task.name}>
      <h3>{placeOf(task.path, task.name)}</h3>
      <Facts
        rows={[
          [TEXTS.status, TEXTS.nodeStatuses[task.status]],
          [TEXTS.superstep, task.step],
          [TEXTS.took, task.endedAt === null ? null : took(task.endedAt - task.startedAt)],
        ]}
      />
      {task.error !== null && <pre className="fault">{task.error}</pre>}
      <h4>{TEXTS.input}</h4>
      <JsonTree value={task.input} />
      <h4>{TEXTS.result}</h4>
      <JsonTree value={task.result} />
    </aside>
  );
}

function SpeechDetails({ speech }: { speech: Speech }) {
  const { usage } = speech;
  const texts = TEXTS.usagePage;
  return (
    <aside className="details" aria-label={speech.model || speech.node}>
      <h3>{placeOf(speech.path, speech.node)}</h3>
      <Facts
        rows={[
          [texts.model, speech.model],
          [TEXTS.took, took(speech.lastAt - speech.startedAt)],
          [TEXTS.perSecond, rateOf(speech)],
          [texts.input, usage?.input],
          [texts.cached, usage?.cached],
          [texts.output, usage?.output],
          [texts.reasoning, usage?.reasoning],
        ]}
      />
      {speech.reasoning !== "" && <LongText className="reasoning" text={speech.reasoning} />}
      <LongText className="said" text={speech.text} />
      {speech.toolCalls.map((call, place) => <pre key={place} className="tool-call">{`${call.name}(${call.args})`}</pre>)}
      <details>
        <summary>{TEXTS.metadata}</summary>
        <JsonTree value={speech.metadata} />
      </details>
    </aside>
  );
}

function ToolDetails({ tool }: { tool: ToolUse }) {
  return (
    <aside className="details" aria-label={tool.name}>
      <h3>{placeOf(tool.path, `${tool.name}()`)}</h3>
      <Facts
        rows={[
          [TEXTS.status, TEXTS.nodeStatuses[tool.status]],
          [TEXTS.took, tool.endedAt === null ? null : took(tool.endedAt - tool.startedAt)],
          [TEXTS.id, <code key="id">{tool.id}</code>],
        ]}
      />
      <h4>{TEXTS.input}</h4>
      <JsonTree value={tool.input} />
      <h4>{TEXTS.result}</h4>
      <JsonTree value={tool.output} />
    </aside>
  );
}

function placeOf(path: readonly string[], name: string): string {
  return [...path.map(nameOf), name].join(" › ");
}
