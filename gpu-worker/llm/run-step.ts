/**
 * Computes a step: the tokens of all texts in one run with the first piece of a prompt, then further pieces, one run
 * each. With adapters the first piece has a run of its own, too. What a run gave is handed out while the next one
 * computes, the last by whoever asked for the step.
 */
import type { GenerationHandlers } from "../model/generation.ts";
import { isVirtual } from "../model/virtual-tokens.ts";
import { runDecode, runMixed, runPrompt, scoredTokensMax } from "./decoder-runs.ts";
import type { DecodeBatch, PromptPiece } from "./decoder-runs.ts";
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

/** Never rejects. */
export async function runStep(step: EngineStep, runner: StepRunner): Promise<() => void> {
  let memory: KeyValueSlots;
  try {
    memory = await runner.slots.prepare(step.work);
  } catch (error) {
    return () => runner.broken(error);
  }
  let handOut = nothing;
  for (const each of plannedRuns(step, memory)) {
    const computing = compute(each, memory, runner);
    handOut();
    handOut = await computing;
  }
  return handOut;
}

const nothing = (): void => {};

/** A run: one token of each text, the next ones of a prompt, or both. */
type Planned = { texts: readonly Text[]; piece: Piece | null };

function plannedRuns(step: EngineStep, { takesAdapters }: KeyValueSlots): Planned[] {
  const pieces = step.prompts.flatMap(piecesOf);
  const first = takesAdapters ? null : (pieces.shift() ?? null);
  return [
    { texts: step.decode, piece: first },
    ...pieces.map((piece): Planned => ({ texts: [], piece })),
  ];
}

type Piece = { text: Text; tokens: number; scored: boolean };

/** The next tokens of a prompt, the last known one perhaps among them. */
function piecesOf({ text, tokens }: EngineStep["prompts"][number]): Piece[] {
  const scored = text.generation.promptScores !== null && text.choice === 0;
  const most = scored ? scoredTokensMax : tokens;
  return Array.from({ length: Math.ceil(tokens / most) }, (_, at) => ({
    text,
    tokens: Math.min(most, tokens - at * most),
    scored,
  }));
}

/** Never rejects. @returns hands out what it computed */
async function compute(
  { texts, piece }: Planned,
  memory: KeyValueSlots,
  runner: StepRunner,
): Promise<() => void> {
  const written = texts.filter(({ ended }) => !ended);
  const decode = written.length === 0 ? null : decodeBatch(written, runner);
  const prompt = piece === null ? null : promptPiece(piece);
  const run = runOf(memory, decode?.batch ?? null, prompt?.batch ?? null);
  if (run === null) return nothing;
  const live = [...written, ...(prompt === null ? [] : [prompt.text])];
  for (const text of written) tellRun(text, { tokens: 1, samples: true }, runner);
  if (prompt !== null)
    tellRun(prompt.text, { tokens: prompt.tokens, samples: prompt.last }, runner);
  const outcome = await timed(live, runner, run);
  if ("error" in outcome) return () => runner.failed(live, outcome.error);
  const { logits, seconds } = outcome;
  runner.costs.ran({ texts: written.length, promptTokens: prompt?.tokens ?? 0, seconds });
  const asked = written.length * runner.sampler.vocabulary;
  const handOutPiece =
    prompt === null ? nothing : committed(prompt, logits.subarray(asked), runner);
  return () => {
    if (decode !== null) giveTokens(decode.ordered, logits.subarray(0, asked), runner);
    handOutPiece();
  };
}

/** Null: there is nothing to run. */
function runOf(memory: KeyValueSlots, batch: DecodeBatch | null, piece: PromptPiece | null) {
  if (batch === null) {
    return piece && ((signal: AbortSignal) => runPrompt(memory, piece, signal));
  }
  return (signal: AbortSignal) =>
    piece === null ? runDecode(memory, batch, signal) : runMixed(memory, batch, piece, signal);
}

/** @param texts at least one */
function decodeBatch(texts: readonly Text[], { slots }: StepRunner) {
  const bySlot = new Map(texts.map((text) => [text.slot, text]));
  const ordered = texts.toSorted((a, b) => (a.slot ?? 0) - (b.slot ?? 0));
  const { first: firstSlot, held } = slots.table.window(ordered.flatMap(({ slot }) => slot ?? []));
  const rows = held.map((computed, at) => {
    const text = bySlot.get(firstSlot + at);
    const adapter = text?.generation.adapter ?? 0;
    const token = text?.tokens.at(-1) ?? 0;
    return { token, length: computed + 1, adapter, asked: text !== undefined };
  });
  return { ordered, batch: { firstSlot, rows } };
}

function giveTokens(ordered: readonly Text[], logits: Float32Array, runner: StepRunner): void {
  const sampled = runner.sampler.sample(logits, ordered.map(logitsRow));
  for (const text of ordered) advance(text, 1, runner);
  for (const [at, text] of ordered.entries()) give(text, sampled[at], runner);
}

type PreparedPiece = Piece & {
  /** The next token is sampled from its last one. */
  last: boolean;
  batch: PromptPiece;
};

/** Null: nobody waits for it any more. */
function promptPiece(piece: Piece): PreparedPiece | null {
  const { text, tokens, scored } = piece;
  const { computed, slot } = text;
  if (text.ended || slot === null) return null;
  // A token alone is read again with the one before it, which comes out as it was: see `decodes` of step-plan.ts.
  const from = tokens === 1 ? Math.max(0, computed - 1) : computed;
  const part = text.tokens.slice(from, computed + tokens);
  const last = computed + tokens === text.tokens.length;
  const every = scored ? part.map((_, at) => at) : [];
  const asked = last && !scored ? [part.length - 1] : every;
  const { adapter } = text.generation;
  return { ...piece, last, batch: { slot, adapter, tokens: part, from, asked } };
}

/** @param logits of the piece's tokens asked for @returns hands the next token out */
function committed(
  { text, tokens, scored, last, batch }: PreparedPiece,
  logits: Float32Array,
  runner: StepRunner,
): () => void {
  const { sampler } = runner;
  advance(text, tokens, runner);
  if (scored) scorePrompt(text, { logits, from: batch.from, sampler });
  return () => {
    if (!last || text.ended) return;
    const row = logits.subarray(-sampler.vocabulary);
    give(text, sampler.sample(row, [logitsRow(text)])[0], runner);
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
    if (isVirtual(token)) continue;
    const own = logits.subarray(row * sampler.vocabulary, (row + 1) * sampler.vocabulary);
    scores[from + row + 1] = sampler.score(own, token, sampling.topLogprobs ?? 0);
  }
}
