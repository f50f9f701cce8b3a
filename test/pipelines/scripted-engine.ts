/**
 * Tokens that a test writes down itself, a step of every choice in each round of the event loop, with what an engine
 * says of them: so that pipelines are tested without a model.
 */
import { setImmediate as nextRound } from "node:timers/promises";
import type { GenerationEngine } from "../../gpu-worker/jobs/generations.ts";
import type { GeneratedToken, GenerationRequest } from "../../gpu-worker/model/generation.ts";

type Scripted = Pick<GeneratedToken, "token" | "forced" | "closing">;
export type Script = (
  request: GenerationRequest,
  choice: number,
  position: number,
) => number | Scripted;

/** Log probabilities fall by the rank; the alternatives are the ids that follow. */
export function told(token: number, { sampling }: GenerationRequest): GeneratedToken {
  const { topLogprobs } = sampling;
  if (topLogprobs === null) return { token, logprob: null, topLogprobs: [] };
  const alternatives = Array.from({ length: topLogprobs }, (_, rank) => ({
    token: token + rank,
    logprob: -0.5 - rank,
  }));
  return { token, logprob: -0.5, topLogprobs: alternatives };
}

export type ScriptedEngine = GenerationEngine & { readonly requests: GenerationRequest[] };

export function scriptedEngine(script: Script, cachedTokens = 0): ScriptedEngine {
  const requests: GenerationRequest[] = [];
  return {
    requests,
    backlog: () => new Map(),
    async generate(request, { signal, onPrompt, onToken, onRun }) {
      requests.push(request);
      await nextRound();
      signal.throwIfAborted();
      onRun(request.prompt.length);
      if (request.promptLogprobs) {
        onPrompt?.(request.prompt.map((id, at) => (at === 0 ? null : told(id, request))));
      }
      const live = new Set(Array.from({ length: request.choices }, (_, choice) => choice));
      for (let position = 0; position < request.maxTokens && live.size > 0; position += 1) {
        await nextRound();
        signal.throwIfAborted();
        for (const choice of live) {
          const said = script(request, choice, position);
          const scripted = typeof said === "number" ? { token: said } : said;
          onRun(1);
          const ends = request.endTokens.has(scripted.token);
          const goesOn = onToken(choice, { ...told(scripted.token, request), ...scripted });
          if (!goesOn || ends) live.delete(choice);
        }
      }
      return { cachedTokens };
    },
  };
}
