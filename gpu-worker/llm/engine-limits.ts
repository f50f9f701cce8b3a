/** How much an engine does at a time, and what it refuses. */
import { CodedError } from "#contract/errors.ts";
import type { DecoderModel } from "../model/decoder-model.ts";
import type { LoadedSession } from "../runtime/session.ts";
import type { GenerationRequest } from "../model/generation.ts";
import { isVirtual } from "../model/virtual-tokens.ts";
import { bytesPerToken } from "./key-value-slots.ts";

export type EngineLimits = {
  /** Texts that are written side by side. */
  slots: number;
  /** Of keys and values: of texts that run, and of those kept for others that begin the same. */
  memoryBytes: number;
  /** Tokens of prompts in a step while no text is written: others wait for so many. */
  stepTokensMax: number;
  /**
   * Tokens of prompts that take of a tenant's fair share what a quantum of an encoder's takes (see QueuePolicy): a
   * token of a decoder is computed in the time of some eight.
   */
  shareTokens: number;
  /** Tokens of a text that are guessed and computed at a time, at most `scoredTokensMax - 1`; 0: none ever is. */
  draftTokensMax: number;
  /**
   * Guesses are for texts too that must be the same whenever they are asked for. They are where all is computed in
   * f32; where products are rounded to 8 bits, a token that is computed with others comes out a little differently,
   * and two of three texts part somewhere at two tokens that are nearly as likely.
   */
  guessesRepeatable: boolean;
  /** Milliseconds: a step is held up no longer by what may come next in one of its texts. */
  stallMsMax: number;
  /** A tenant of which nothing got a slot for so long is overdue. */
  waitMsMax: number;
  /** With nothing to do for so long, the engine gives its memory back, on a CPU. */
  idleMsMax: number;
};

export const defaultEngineLimits: EngineLimits = {
  slots: 16,
  memoryBytes: 2 ** 30,
  stepTokensMax: 256,
  shareTokens: 128,
  draftTokensMax: 15,
  guessesRepeatable: false,
  stallMsMax: 3,
  waitMsMax: 1_000,
  idleMsMax: 120_000,
};

/**
 * Bytes of attention's scores in one step: f32 [heads, new tokens, tokens of a slot], all at once (see
 * runtime/c-api/attention-kernel.ts). Steps of fewer tokens of prompts read them hardly slower.
 */
const scoreBytesMax = 128 * 2 ** 20;

type Attending = Pick<DecoderModel, "queryHeads" | "limits"> & {
  readonly session: Pick<LoadedSession, "provider">;
};

/** Tokens of prompts in a step of the model: as many as usual or, on a CPU, as scores have memory for. */
export function stepTokensOf({ queryHeads, limits, session }: Attending): number {
  const { slots, stepTokensMax } = defaultEngineLimits;
  if (session.provider !== "cpu") return stepTokensMax;
  const bytes = queryHeads * limits.maxTokens * Float32Array.BYTES_PER_ELEMENT;
  return Math.max(slots, Math.min(stepTokensMax, Math.floor(scoreBytesMax / bytes)));
}

/** Memory is taken from the machine in pages, each of so many tokens of a head of 64. */
export const blockTokens = 16;

/** What an engine of these limits has room for. */
export type EngineRoom = {
  slots: number;
  /** Of one text. */
  textTokensMax: number;
  /** Of all slots together. */
  memoryTokens: number;
  /** See DecoderModel. */
  rowsMin: number;
};

export type EngineModel = Pick<
  DecoderModel,
  "id" | "session" | "logitBlocks" | "steps" | "limits" | "rowsMin"
>;

export function engineRoom(model: EngineModel, limits: EngineLimits): EngineRoom {
  const { session, rowsMin } = model;
  const blocks = Math.floor(limits.memoryBytes / bytesPerToken(session) / blockTokens);
  const memoryTokens = blocks * blockTokens;
  const textTokensMax = Math.min(model.limits.maxTokens, memoryTokens);
  // Elsewhere than on the CPU, memory is taken for whole slots at once.
  const fitting = session.provider === "cpu" ? Infinity : Math.floor(memoryTokens / textTokensMax);
  return { slots: Math.min(limits.slots, fitting), textTokensMax, memoryTokens, rowsMin };
}

/** @throws CodedError for what can never be written here */
export function checkRequest(
  { prompt, maxTokens, choices, constraint }: GenerationRequest,
  { id, limits }: EngineModel,
  { textTokensMax }: EngineRoom,
): void {
  if (prompt.length === 0) throw refusal("invalid_value", "The prompt has no tokens");
  const counts = [maxTokens, choices].every((count) => Number.isSafeInteger(count) && count >= 0);
  if (!counts || choices === 0) throw refusal("invalid_value", "At least one choice is to be made");
  if (maxTokens === 0 && constraint !== undefined) {
    const words =
      "max_tokens is 0, in which no text has a structure. Send at least 1, or no structure.";
    throw new CodedError("invalid_value", words, { param: "max_tokens" });
  }
  const isOwn = (token: number) => token >= 0 && token < limits.vocabularySize;
  const foreign = prompt.find((token) => !isOwn(token) && !isVirtual(token));
  if (foreign !== undefined || !prompt.every(Number.isInteger)) {
    const words = `The prompt has a token that ${id} has not: its ids are 0 to ${limits.vocabularySize - 1}`;
    throw refusal("invalid_value", words);
  }
  const asked = prompt.length + maxTokens;
  if (asked <= textTokensMax) return;
  const bound = textTokensMax < limits.maxTokens ? "This worker has memory for" : `${id} takes`;
  throw refusal(
    "context_length_exceeded",
    `${bound} at most ${textTokensMax} tokens of prompt and answer; ${prompt.length} of the prompt and ` +
      `${maxTokens} of the answer are ${asked}.`,
  );
}

function refusal(code: "invalid_value" | "context_length_exceeded", message: string): CodedError {
  return new CodedError(code, message);
}
