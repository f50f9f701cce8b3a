/** A prompt as it is kept: under a name, in numbered versions that never change. */
import * as z from "zod";
import type { PromptReport } from "#contract/prompts/prompt-report.ts";
import type { Prompt } from "#contract/prompts/prompt.ts";

export const promptStorage = {
  /** Of one key. */
  promptsMax: 200,
  /** Of one prompt. */
  versionsMax: 50,
  /** Of all versions of a key, as JSON. */
  bytesMax: 20_000_000,
  /** Evaluations of which it is remembered what became of them, of one key. */
  evaluationsMax: 200,
} as const;

/** 128 random bits: nobody guesses one. */
export const PromptId = z.string().regex(/^prompt_[0-9a-f]{32}$/);

/** @param random 32 hex digits */
export function formatPromptId(random: string): string {
  return `prompt_${random}`;
}

/** Fields of a call that the prompt has a value for; the call's own win. */
export type PromptDefaults = {
  model?: string | undefined;
  /** As a chat completion takes it. */
  response_format?: Record<string, unknown> | undefined;
  /** Sampling, as a chat completion takes it. */
  parameters: Readonly<Record<string, unknown>>;
};

export type PromptContent = Prompt & PromptDefaults;

/** What an optimisation found, which made the version. */
export type VersionReport = { job: string; report: PromptReport };

export type PromptHead = {
  id: string;
  name: string;
  /** The newest that is there. */
  version: number;
  /** Milliseconds since the epoch. */
  createdAt: number;
  /** Of the newest version. */
  changedAt: number;
};

export type VersionHead = { version: number; createdAt: number };

export type StoredVersion = Pick<PromptHead, "id" | "name" | "version"> & {
  /** Milliseconds since the epoch. */
  createdAt: number;
  content: PromptContent;
  report: VersionReport | null;
};

export type PromptRefusal = "prompts" | "versions" | "bytes";

export type EvaluationState = "running" | "stored" | "not_better" | "failed" | "no_room" | "gone";

/** An optimisation whose winner is to be stored. Times are milliseconds since the epoch. */
export type WatchedEvaluation = {
  job: string;
  prompt: string;
  /** That was evaluated. */
  version: number;
  createdAt: number;
  state: EvaluationState;
  /** The version that came of it. */
  stored: number | null;
};
