/** What a decoder is asked to write, token by token, and what it says of each token. */

import type { TokenConstraint } from "./token-constraint.ts";

export type SamplingParameters = {
  /** 0: the likeliest token, whatever the filters. */
  temperature: number;
  /** 1: off. */
  topP: number;
  /** 0: off. */
  topK: number;
  /** Of the likeliest token's probability; 0: off. */
  minP: number;
  /** Over prompt and output; 1: off. */
  repetitionPenalty: number;
  /** Over the output alone, once a token; 0: off. */
  presencePenalty: number;
  /** Over the output alone, for each time; 0: off. */
  frequencyPenalty: number;
  logitBias: ReadonlyMap<number, number>;
  /** A safe integer. */
  seed: number;
  /** How many alternatives are told with each token's log probability; null: no log probabilities. */
  topLogprobs: number | null;
};

export type TokenScore = { token: number; logprob: number };

export type GeneratedToken = {
  token: number;
  /** Null: not asked for. */
  logprob: number | null;
  topLogprobs: TokenScore[];
  /** Nothing else could come: the model was not asked. */
  forced?: true;
  /** One of those that close a text which would not fit otherwise: it was cut, and is whole all the same. */
  closing?: true;
};

/** One prompt, of which several choices may be made. */
export type GenerationRequest = {
  /** At least one. */
  readonly prompt: readonly number[];
  readonly choices: number;
  /**
   * Of each choice, forced ones and those that close it included; prompt and these fit the model. 0: the prompt is
   * read, and nothing is written.
   */
  readonly maxTokens: number;
  readonly endTokens: ReadonlySet<number>;
  readonly sampling: SamplingParameters;
  /** Log probabilities of the prompt's own tokens are wanted too. */
  readonly promptLogprobs: boolean;
  /** It is expected to be the same whenever it is asked for: nothing is left to chance, or chance is given. */
  readonly repeatable: boolean;
  /** What the text of a choice must look like; the engine disposes of it. Absent: anything. */
  readonly constraint?: (choice: number) => TokenConstraint;
};

export type GenerationHandlers = {
  readonly signal: AbortSignal;
  /** Of the prompt, where asked for, before the first token: null for its first. */
  onPrompt?(tokens: readonly (GeneratedToken | null)[]): void;
  /** In turn of the choice. Tokens of a step come in one turn of the event loop. @returns whether the choice goes on */
  onToken(choice: number, token: GeneratedToken): boolean;
  /** So many tokens are being computed: of the prompt, or generated. */
  onRun(tokens: number): void;
};

export type GenerationEnd = {
  /** Tokens of the prompt whose keys and values were there from another request. */
  readonly cachedTokens: number;
};
