/** What the API of an Agent Server says, as far as the studio reads it. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export type ThreadStatus = "idle" | "busy" | "interrupted" | "error";
export type RunStatus =
  | "pending"
  | "running"
  | "success"
  | "error"
  | "timeout"
  | "interrupted";

export interface Assistant {
  assistant_id: string;
  graph_id: string;
  name: string;
  description?: string | null;
  version: number;
  config: JsonObject;
  context: JsonObject;
  metadata: JsonObject;
  created_at: string;
  updated_at: string;
}

export interface Question {
  id: string;
  value: Json;
  response_schema?: JsonObject | null;
}

export interface Thread {
  thread_id: string;
  status: ThreadStatus;
  created_at: string;
  updated_at: string;
  metadata: JsonObject;
  values: Json;
  error?: Json;
  interrupts?: Record<string, Question[]>;
}

export interface Run {
  run_id: string;
  thread_id: string;
  assistant_id: string;
  status: RunStatus;
  created_at: string;
  updated_at: string;
  metadata: JsonObject;
  multitask_strategy: string;
}

export interface Checkpoint {
  thread_id: string;
  checkpoint_ns: string;
  checkpoint_id: string;
}

export interface StateTask {
  id: string;
  name: string;
  error: string | null;
  interrupts: Question[];
  result?: Json;
  checkpoint?: Checkpoint | null;
}

export interface ThreadState {
  values: Json;
  next: string[];
  tasks: StateTask[];
  metadata: JsonObject | null;
  created_at: string | null;
  checkpoint: Checkpoint | null;
  parent_checkpoint: Checkpoint | null;
  interrupts?: Question[];
}

export interface DrawnNode {
  id: string;
  type?: string;
  data?: { name?: string; id?: string[] } | string;
  metadata?: JsonObject;
}

export interface DrawnEdge {
  source: string;
  target: string;
  conditional?: boolean;
  data?: string;
}

export interface DrawnGraph {
  nodes: DrawnNode[];
  edges: DrawnEdge[];
}

export interface Schemas {
  input_schema?: JsonObject | null;
  output_schema?: JsonObject | null;
  state_schema?: JsonObject | null;
  config_schema?: JsonObject | null;
  context_schema?: JsonObject | null;
}

/** What a run is asked for with. */
export interface RunRequest {
  assistant_id: string;
  input?: Json;
  command?: { resume?: Json; update?: Json; goto?: Json };
  checkpoint?: { checkpoint_id: string; checkpoint_ns?: string };
  interrupt_before?: string[] | "*";
  interrupt_after?: string[] | "*";
  multitask_strategy?: "reject" | "enqueue" | "interrupt" | "rollback";
  metadata?: JsonObject;
}
