/**
 * Computes a step: the tokens of all texts in one run, then pieces of prompts, one run each. What a run gave is handed
 * out while the next one computes, the last by whoever asked for the step.
 */
import type { GenerationHandlers } from "../model/generation.ts";
import { runDecode, runPrompt, scoredTokensMax } from "./decoder-runs.ts";
import type { EngineSlots } from "./engine-slots.ts";
import type { EngineStep } from "./engine-step.ts";
import type { KeyValueSlots } from "./key-value-slots.ts";
import type { LogitsRow, Sampled, Sampler } from "./sampler.ts";
import type { StepCosts } from "./step-costs.ts";
import { generatedTokens, type Text } from "./text.ts";

export type StepRunner = {
  slots: EngineSlots;
  costs: StepCosts;
  sampler: Sampler;
  now(): number;
  /** A run for these begins. @returns stops it */
  begin(texts: readonly Text[]): AbortController;
  end(controller: AbortController): void;
  /** Calls a handler of its caller's; whatever it throws ends what it was for. */
  tell(text: Text, call: (handlers: GenerationHandlers) => void): void;
  sampled(text: Text, sampled: Sampled): void;
  /** A run of theirs. */
  failed(texts: readonly Text[], error: unknown): void;
  /** What was to be copied or given back before the runs. */
  broken(error: unknown): void;
};

/** Never rejects. @returns hands out what it computed */
type Run = (memory: KeyValueSlots) => Promise<() => void>;

/** Never rejects. */
export async function runStep(step: EngineStep, runner: StepRunner): Promise<() => void> {
  const runs: Run[] = step.prompts.flatMap((piece) => promptRuns(piece, step, runner));
  if (step.decode.length > 0) runs.unshift((memory) => decode(step.decode, memory, runner));
  let memory: KeyValueSlots;
  try {
    memory = await runner.slots.prepare(step.work);
  } catch (error) {
    return () => runner.broken(error);
  }
  let handOut = nothing;
  for (const run of runs) {
    const computing = run(memory);
    handOut();
    handOut = await computing;
  }
  return handOut;
}

const nothing = (): void => {};

/** One token of each. */
async function decode(
  texts: readonly Text[],
  memory: KeyValueSlots,
  runner: StepRunner,
): Promise<() => void> {
  const { slots, costs, sampler } = runner;
  const live = texts.filter(({ ended }) => !ended);
  if (live.length === 0) return nothing;
  const bySlot = new Map(live.map((text) => [text.slot, text]));
  const ordered = live.toSorted((a, b) => (a.slot ?? 0) - (b.slot ?? 0));
  const { first: firstSlot, held } = slots.table.window(ordered.flatMap(({ slot }) => slot ?? []));
  const rows = held.map((computed, at) => {
    const text = bySlot.get(firstSlot + at);
    return { token: text?.tokens.at(-1) ?? 0, length: computed + 1, asked: text !== undefined };
  });
  for (const text of live) tellRun(text, { tokens: 1, samples: true }, runner);
  const outcome = await timed(live, runner, (signal) =>
    runDecode(memory, { firstSlot, rows }, signal),
  );
  if ("error" in outcome) return () => runner.failed(live, outcome.error);
  costs.decoded(outcome.seconds);
  return () => {
    const sampled = sampler.sample(outcome.logits, ordered.map(logitsRow));
    for (const text of live) advance(text, 1, runner);
    for (const [at, text] of ordered.entries()) give(text, sampled[at], runner);
  };
}

/** The next tokens of a prompt, the last known one perhaps among them. */
function promptRuns(
  { text, tokens }: EngineStep["prompts"][number],
  step: EngineStep,
  runner: StepRunner,
): Run[] {
  const { promptScores } = text.generation;
  const scored = promptScores !== null && text.choice === 0;
  const most = scored ? scoredTokensMax : tokens;
  const pieces = Array.from({ length: Math.ceil(tokens / most) }, (_, at) => ({
    tokens: Math.min(most, tokens - at * most),
    scored,
    between: step.decode.length > 0,
  }));
  return pieces.map((piece) => (memory) => readPiece(text, { memory, piece, runner }));
}

type PieceRun = {
  memory: KeyValueSlots;
  piece: { tokens: number; scored: boolean; between: boolean };
  runner: StepRunner;
};

async function readPiece(text: Text, { memory, piece, runner }: PieceRun): Promise<() => void> {
  const { tokens, scored, between } = piece;
  if (text.ended || text.slot === null) return nothing;
  const { computed } = text;
  // A token alone is read again with the one before it, which comes out as it was: see `decodes` of step-plan.ts.
  const from = tokens === 1 ? Math.max(0, computed - 1) : computed;
  const part = text.tokens.slice(from, computed + tokens);
  const last = computed + tokens === text.tokens.length;
  const every = scored ? part.map((_, at) => at) : [];
  const asked = last && !scored ? [part.length - 1] : every;
  const { slot } = text;
  tellRun(text, { tokens, samples: last }, runner);
  const outcome = await timed([text], runner, (signal) =>
    runPrompt(memory, { slot, tokens: part, from, asked }, signal),
  );
  if ("error" in outcome) return () => runner.failed([text], outcome.error);
  runner.costs.prefilled(tokens, outcome.seconds, between);
  advance(text, tokens, runner);
  if (scored) scorePrompt(text, { logits: outcome.logits, from, sampler: runner.sampler });
  return () => {
    if (!last || text.ended) return;
    const row = outcome.logits.subarray(-runner.sampler.vocabulary);
    give(text, runner.sampler.sample(row, [logitsRow(text)])[0], runner);
  };
}

type Outcome = { logits: Float32Array; seconds: number } | { error: unknown };

async function timed(
  texts: readonly Text[],
  { begin, end, now }: StepRunner,
  run: (signal: AbortSignal) => Promise<Float32Array>,
): Promise<Outcome> {
  const controller = begin(texts);
  const startedAt = now();
  try {
    const logits = await run(controller.signal);
    return { logits, seconds: (now() - startedAt) / 1_000 };
  } catch (error) {
    return { error };
  } finally {
    end(controller);
  }
}

/** So many more of its tokens are computed. */
function advance(text: Text, tokens: number, { slots }: StepRunner): void {
  text.computed += tokens;
  if (text.slot !== null) slots.table.computed(text.slot, text.computed);
}

function give(text: Text, sampled: Sampled | undefined, runner: StepRunner): void {
  if (sampled !== undefined && !text.ended) runner.sampled(text, sampled);
}

/** Tokens of the prompt once, however often they are computed, and those made. */
function tellRun(
  text: Text,
  { tokens, samples }: { tokens: number; samples: boolean },
  { tell }: StepRunner,
): void {
  const { computed, promptTold, generation } = text;
  const to = Math.min(computed + tokens, generation.request.prompt.length);
  const fresh = Math.max(0, to - promptTold) + (samples ? 1 : 0);
  text.promptTold = Math.max(promptTold, to);
  if (fresh > 0) tell(text, (handlers) => handlers.onRun(fresh));
}

function logitsRow(text: Text): LogitsRow {
  const { generation, choice, counts: outputCounts } = text;
  const { promptTokens, request } = generation;
  const position = generatedTokens(text);
  return { parameters: request.sampling, promptTokens, outputCounts, choice, position };
}

/** What the model thought of each token of the prompt behind `from`: each row is about the token after its own. */
function scorePrompt(
  { generation }: Text,
  { logits, from, sampler }: { logits: Float32Array; from: number; sampler: Sampler },
): void {
  const { promptScores: scores, request } = generation;
  const { prompt, sampling } = request;
  if (scores === null) return;
  const rows = logits.length / sampler.vocabulary;
  for (let row = 0; row < rows; row += 1) {
    const token = prompt[from + row + 1];
    if (token === undefined) return;
    const own = logits.subarray(row * sampler.vocabulary, (row + 1) * sampler.vocabulary);
    scores[from + row + 1] = sampler.score(own, token, sampling.topLogprobs ?? 0);
  }
}
