/**
 * How the result of a job becomes a body: its API surface, and what the call asked of it. Kept with the job, so that a
 * job asked for later shows exactly the body of the synchronous call.
 */
import type { Task } from "#contract/tasks.ts";

export type Rendering =
  | { route: "openai.embeddings"; encodingFormat: "float" | "base64"; single: boolean }
  | { route: "hugging-face"; task: Task; single: boolean }
  | { route: "tasks" }
  /** `id` is the body's own, fixed with the call that had it made, so that a job shows the same body each time. */
  | { route: "cohere.rerank"; topN: number | null; id: string }
  | { route: "tei.rerank"; topN: number | null }
  /** Of the caller's one field, a list or not. */
  | { route: "tokens"; field: "input" | "tokens"; single: boolean };

export type RenderingOf<Route extends Rendering["route"]> = Extract<Rendering, { route: Route }>;
