/** A chat with CopilotKit, whose agent the page asks by itself: no runtime of CopilotKit stands between. */

import { CopilotChat, CopilotKitProvider, HttpAgent, useDefaultRenderTool, useInterrupt } from "@copilotkit/react-core/v2";
import "@copilotkit/react-core/v2/styles.css";
import { useState } from "react";

import { show, threadOfAddress, ToolCall } from "../pages/parts.jsx";

const threadId = threadOfAddress();

class ThreadAgent extends HttpAgent {
  /** Comes back to the thread: its messages, what it asks, and the run that is under way. */
  connect(input) {
    return new HttpAgent({ url: `${this.url}/connect` }).run(input);
  }

  /** Stops the run, and not only its reading. */
  abortRun() {
    super.abortRun();
    fetch(`${this.url}/${this.threadId}/stream`, { method: "DELETE" });
  }
}

const agents = { mill: new ThreadAgent({ url: "/ag-ui/mill", threadId }) };

function Chat() {
  const [error, setError] = useState(null);
  useDefaultRenderTool({
    render: ({ name, parameters, result }) => <ToolCall name={name} input={parameters} output={result} />,
  });
  useInterrupt({
    render: ({ interrupt, resolve }) => (
      <div className="tool">
        {interrupt.message}
        <div>
          <button onClick={() => resolve({ approved: true })}>Approve</button>{" "}
          <button onClick={() => resolve({ approved: false })}>Reject</button>
        </div>
      </div>
    ),
  });
  return (
    <>
      {error && <p role="alert">{error.message}</p>}
      <CopilotChat threadId={threadId} onError={({ error }) => setError(error)} />
    </>
  );
}

show(
  <CopilotKitProvider selfManagedAgents={agents} agentId="mill" enableInspector={false}>
    <h1>CopilotKit</h1>
    <Chat />
  </CopilotKitProvider>,
);
