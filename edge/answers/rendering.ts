/**
 * How the result of a job becomes a body: its API surface, and what the call asked of it. Kept with the job, so that a
 * job asked for later shows exactly the body of the synchronous call.
 */
import type { Task } from "#contract/tasks.ts";

export type Rendering =
  | { route: "openai.embeddings"; encodingFormat: "float" | "base64"; single: boolean }
  /**
   * `structureField`: by which the caller asked for a structure. `id` and `created` are the body's own, fixed with the
   * call, so that a job shows the same body each time.
   */
  | {
      route: "openai.chat";
      id: string;
      /** Seconds since the epoch. */
      created: number;
      /** The name that the caller used for `max_tokens`; null: that. */
      maxTokensField: string | null;
      /** Of a stream: its last chunk tells the usage. */
      includeUsage: boolean;
      /** A call is told in OpenAI's older words, as `function_call`. Absent: no. */
      functionCalls?: true;
      structureField?: string;
    }
  | {
      route: "openai.completions";
      id: string;
      /** Seconds since the epoch. */
      created: number;
      single: boolean;
      /** Choices of each prompt. */
      n: number;
      /** Of a stream, as is what follows. */
      includeUsage: boolean;
      /** Whether log probabilities that come with the tokens were asked for. */
      logprobs: boolean;
      /** Whether each token is told as TGI tells it, beside OpenAI's fields. */
      tgi: boolean;
      structureField?: string;
    }
  | {
      route: "openai.responses";
      /** `resp_` and 32 hex digits, fixed with the call. */
      id: string;
      /** Seconds since the epoch. */
      created: number;
      /** The model's own id. */
      model: string;
      /** The response goes on without its caller. */
      background: boolean;
      /** What its answers repeat of the request. */
      echo: Readonly<Record<string, unknown>>;
    }
  /** `topTokens`: with the details the likeliest tokens at each place are told. */
  | {
      route: "hugging-face.text-generation";
      details: boolean;
      topTokens: boolean;
      seed: number | null;
      structureField?: string;
    }
  /** What was written, by the name that the task has for it. */
  | {
      route: "hugging-face.written";
      field: "summary_text" | "translation_text";
      single: boolean;
    }
  | { route: "hugging-face"; task: Task; single: boolean }
  /** The report itself. */
  | { route: "prompt.evaluation" }
  | { route: "augmentation" }
  | { route: "tasks" }
  /** `id` is the body's own, fixed with the call that had it made, so that a job shows the same body each time. */
  | { route: "cohere.rerank"; topN: number | null; id: string }
  | { route: "tei.rerank"; topN: number | null }
  /** Ids of files, as the caller knows them. */
  | { route: "tuning-plan"; trainingFile: string; validationFile: string | null }
  /** Of the caller's one field, a list or not. */
  | { route: "tokens"; field: "input" | "tokens"; single: boolean };

export type RenderingOf<Route extends Rendering["route"]> = Extract<Rendering, { route: Route }>;
