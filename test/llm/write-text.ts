/** Drives an engine in tests: one request, and what came of it. */
import type { Engine, GenerateOptions } from "../../gpu-worker/llm/engine.ts";
import type {
  GeneratedToken,
  GenerationRequest,
  SamplingParameters,
} from "../../gpu-worker/model/generation.ts";

export const greedy: SamplingParameters = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
  seed: 1,
  topLogprobs: null,
};

export type Written = {
  cachedTokens: number;
  /** By choice. */
  tokens: number[][];
  scores: GeneratedToken[][];
  prompt: readonly (GeneratedToken | null)[] | null;
  /** Tokens that were told to be computed. */
  ran: number;
};

export type WriteOptions = Partial<Omit<GenerationRequest, "prompt" | "sampling">> & {
  sampling?: Partial<SamplingParameters>;
  tenant?: string;
  signal?: AbortSignal;
  onToken?: GenerateOptions["onToken"];
};

export async function writeText(
  engine: Engine,
  prompt: readonly number[],
  options: WriteOptions = {},
): Promise<Written> {
  const { sampling, tenant, signal = new AbortController().signal, onToken, ...request } = options;
  const written: Written = { cachedTokens: 0, tokens: [], scores: [], prompt: null, ran: 0 };
  const { cachedTokens } = await engine.generate(
    {
      prompt,
      choices: 1,
      maxTokens: 16,
      endTokens: new Set(),
      promptLogprobs: false,
      repeatable: true,
      ...request,
      sampling: { ...greedy, ...sampling },
    },
    {
      ...(tenant !== undefined && { tenant }),
      signal,
      onPrompt: (tokens) => {
        written.prompt = tokens;
      },
      onToken: (choice, token) => {
        (written.tokens[choice] ??= []).push(token.token);
        (written.scores[choice] ??= []).push(token);
        return onToken?.(choice, token) ?? true;
      },
      onRun: (tokens) => {
        written.ran += tokens;
      },
    },
  );
  return { ...written, cachedTokens };
}
