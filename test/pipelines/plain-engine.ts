/** One choice after the other on a decoder's session, without batches and without anything kept: slow, and plain. */
import { emptyCache } from "../../gpu-worker/cli/whole-texts.ts";
import type { GenerationEngine } from "../../gpu-worker/jobs/generations.ts";
import { Sampler } from "../../gpu-worker/llm/sampler.ts";
import type { DecoderModel } from "../../gpu-worker/model/decoder-model.ts";
import type { GeneratedToken, GenerationRequest } from "../../gpu-worker/model/generation.ts";
import { int64, type Tensor, tensor } from "../../gpu-worker/tensor/tensor.ts";

type Cache = Record<string, Tensor>;

function counted(tokens: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  return counts;
}

export function plainEngine({ session, limits }: DecoderModel): GenerationEngine {
  const sampler = new Sampler(limits.vocabularySize);
  /** @returns logits of every new token, and the cache with them */
  async function step(ids: readonly number[], length: number, cache: Cache) {
    const { logits, ...present } = await session.run({
      input_ids: int64([1, ids.length], ids),
      lengths: tensor("int32", [1], Int32Array.of(length)),
      total_length: tensor("int32", [], Int32Array.of(length)),
      positions: int64([ids.length], ids.keys()),
      ...cache,
    });
    if (logits?.dtype !== "float32") throw new Error("no logits");
    const states = Object.entries(present).map(([name, value]) => {
      return [name.replace("present", "past_key_values"), value] as const;
    });
    return { logits: logits.data, cache: Object.fromEntries(states) };
  }

  function sample(
    logits: Float32Array,
    request: GenerationRequest,
    choice: number,
    made: number[],
  ) {
    const [sampled] = sampler.sample(logits.subarray(-limits.vocabularySize), [
      {
        parameters: request.sampling,
        promptTokens: new Set(request.prompt),
        outputCounts: counted(made),
        choice,
        position: made.length,
      },
    ]);
    if (sampled?.kind !== "token") throw new Error("no token");
    return sampled;
  }

  /** Of the prompt: each token's place in the row of the one before it. */
  function readPrompt(logits: Float32Array, request: GenerationRequest): (GeneratedToken | null)[] {
    const { vocabularySize: size } = limits;
    return request.prompt.map((token, at) => {
      if (at === 0) return null;
      const row = logits.subarray((at - 1) * size, at * size);
      const forced = { ...request.sampling, temperature: 0, logitBias: new Map([[token, 1e9]]) };
      const [told] = sampler.sample(row, [
        {
          parameters: forced,
          promptTokens: new Set(),
          outputCounts: new Map(),
          choice: 0,
          position: 0,
        },
      ]);
      if (told?.kind !== "token") throw new Error("no token");
      return told;
    });
  }

  return {
    async generate(request, { signal, onPrompt, onToken, onRun }) {
      for (let choice = 0; choice < request.choices; choice += 1) {
        const made: number[] = [];
        onRun(choice === 0 ? request.prompt.length : 0);
        let { logits, cache } = await step(
          request.prompt,
          request.prompt.length,
          emptyCache(session, 1, request.prompt.length + request.maxTokens),
        );
        if (choice === 0 && request.promptLogprobs) onPrompt?.(readPrompt(logits, request));
        for (;;) {
          signal.throwIfAborted();
          const told = sample(logits, request, choice, made);
          onRun(1);
          made.push(told.token);
          if (!onToken(choice, told) || request.endTokens.has(told.token)) break;
          if (made.length === request.maxTokens) break;
          const length = request.prompt.length + made.length;
          ({ logits, cache } = await step([told.token], length, cache));
        }
      }
      return { cachedTokens: 0 };
    },
  };
}
