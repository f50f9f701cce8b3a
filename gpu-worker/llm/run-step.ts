/**
 * Computes a step: the tokens of all texts in one run with the first piece, of a prompt or of a text that has several
 * tokens computed, then further pieces, one run each. With adapters the first piece has a run of its own, too. What a
 * run gave is handed out while the next one computes, the last by whoever asked for the step.
 *
 * A text may change while a run computes it: it ends, what is next in it becomes known, or its last token is taken
 * back. So its row counts where its token is still the last, and as computed counts what is still the same; what is
 * not, the next run overwrites.
 */
import type { GenerationHandlers } from "../model/generation.ts";
import { isVirtual } from "../model/virtual-tokens.ts";
import { runDecode, runMixed, runPrompt, scoredTokensMax } from "./decoder-runs.ts";
import type { DecodeBatch, PromptPiece } from "./decoder-runs.ts";
import type { EngineSlots } from "./engine-slots.ts";
import type { EngineStep } from "./engine-step.ts";
import type { KeyValueSlots, SlotsRun } from "./key-value-slots.ts";
import { type LogitRows, rowsOf } from "./logit-rows.ts";
import type { Ahead } from "./look-ahead.ts";
import { settledWithin } from "./settled-within.ts";
import { drawsFromAll, type Sampler } from "./sampler.ts";
import type { StepCosts } from "./step-costs.ts";
import type { Text } from "./text.ts";

export type StepRunner = {
  slots: EngineSlots;
  costs: StepCosts;
  sampler: Sampler;
  now(): number;
  /** Milliseconds that a step waits for what may come next in its texts. */
  stallMsMax: number;
  /** A run for these begins. @returns stops it */
  begin(texts: readonly Text[]): AbortController;
  end(controller: AbortController): void;
  /** Calls a handler of its caller's; whatever it throws ends what it was for. */
  tell(text: Text, call: (handlers: GenerationHandlers) => void): void;
  /** The row about what comes behind its last token. @returns whether there is one more; else the row is lost */
  next(text: Text, row: LogitRows): boolean;
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
  let handOutLast = nothing;
  for (const each of plannedRuns(step, memory)) {
    const computing = compute(each, memory, runner);
    handOutLast();
    handOutLast = await computing;
  }
  return handOutLast;
}

const nothing = (): void => {};

/** A run: one token of each text, several of one, or both. */
type Planned = { texts: readonly Text[]; piece: Piece | null };

function plannedRuns(step: EngineStep, { takesAdapters }: KeyValueSlots): Planned[] {
  const pieces = [
    ...(step.ahead === null ? [] : [aheadOf(step.ahead)]),
    ...step.prompts.flatMap(piecesOf),
  ];
  const first = takesAdapters ? null : (pieces.shift() ?? null);
  return [
    { texts: step.decode, piece: first },
    ...pieces.map((piece): Planned => ({ texts: [], piece })),
  ];
}

type Piece = {
  text: Text;
  /** Known ones, from the first that is not computed. */
  tokens: number;
  /** What may come behind them. */
  draft: readonly number[];
  /** Of a text that is written: one of its tokens would be computed in any case. */
  ahead: boolean;
  /** The prompt's log probabilities are wanted. */
  scored: boolean;
};

function aheadOf({ text, tokens, draft }: Ahead): Piece {
  return { text, tokens, draft, ahead: true, scored: false };
}

/** The next tokens of a prompt, the last known one perhaps among them. */
function piecesOf({ text, tokens }: EngineStep["prompts"][number]): Piece[] {
  const scored = text.generation.promptScores !== null && text.choice === 0;
  const most = scored ? scoredTokensMax : tokens;
  return Array.from({ length: Math.ceil(tokens / most) }, (_, at) => ({
    text,
    tokens: Math.min(most, tokens - at * most),
    draft: [],
    ahead: false,
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
  const prepared = piece === null ? null : preparedPiece(piece, runner);
  const rowsMin = prepared === null ? runner.slots.rowsMin : 1;
  const decode = written.length === 0 ? null : decodeBatch(written, rowsMin, runner);
  const run = runOf(memory, decode?.batch ?? null, prepared?.batch ?? null);
  if (run === null) return nothing;
  const live = [...written, ...(prepared === null ? [] : [prepared.text])];
  for (const text of written) tellPrompt(text, 1, runner);
  if (prepared !== null) tellPrompt(prepared.text, prepared.tokens, runner);
  const inverseTemperatures = drawn(decode, prepared, runner);
  const outcome = await timed(live, runner, (signal) => run({ signal, inverseTemperatures }));
  if ("error" in outcome) return () => runner.failed(live, outcome.error);
  const { rows, seconds } = outcome;
  const alone = prepared?.ahead ? 1 : 0;
  const promptTokens = prepared === null ? 0 : prepared.tokens + prepared.draft.length - alone;
  runner.costs.ran({ texts: written.length + alone, promptTokens, seconds });
  const asked = decode?.batch.rows.filter((row) => row.asked).length ?? 0;
  const own = rowsOf(rows, runner.sampler.vocabulary, { from: asked });
  if (prepared !== null) readPiece(prepared, own.logits, runner);
  await nextKnown(askedIn(decode, prepared), runner);
  return () => {
    if (decode !== null) handOutRows(decode, rows, runner);
    if (prepared !== null) handOut(prepared.text, prepared.computed, own, runner);
  };
}

/** 1 / temperature of each row asked for, where one is of a text that draws from all tokens; else null. */
function drawn(
  decode: DecodedTexts | null,
  piece: PreparedPiece | null,
  { sampler }: StepRunner,
): Float32Array<ArrayBuffer> | null {
  const texts = [
    ...(decode?.ordered.filter(({ asked }) => asked).map(({ text }) => text) ?? []),
    ...(piece?.batch.asked.map(() => piece.text) ?? []),
  ];
  const samplings = texts.map(({ generation }) => generation.request.sampling);
  const draws = samplings.map((sampling) => drawsFromAll(sampling, sampler.vocabulary));
  if (!draws.includes(true)) return null;
  return Float32Array.from(samplings, ({ temperature }, at) => (draws[at] ? 1 / temperature : 1));
}

/** Those texts whose next token follows from the run. */
function askedIn(decode: DecodedTexts | null, piece: PreparedPiece | null): Text[] {
  const rows = decode?.ordered.filter(({ asked }) => asked).map(({ text }) => text) ?? [];
  return piece !== null && piece.computed.asked > 0 ? [...rows, piece.text] : rows;
}

/** In so many steps a text is not waited for, once that was in vain: all others wait with it. */
const stepsUnawaited = 16;

/** Waits a little for what may come next in them. */
async function nextKnown(texts: readonly Text[], { stallMsMax }: StepRunner): Promise<void> {
  const awaited = texts.filter(({ unawaited }) => unawaited === 0);
  for (const text of texts) text.unawaited = Math.max(0, text.unawaited - 1);
  await settledWithin(
    stallMsMax,
    awaited.flatMap(({ guide }) => guide?.pending ?? []),
  );
  for (const text of awaited) if (text.guide?.pending) text.unawaited = stepsUnawaited;
}

/** Null: there is nothing to run. */
function runOf(memory: KeyValueSlots, batch: DecodeBatch | null, piece: PromptPiece | null) {
  if (batch === null) {
    return piece && ((how: SlotsRun) => runPrompt(memory, piece, how));
  }
  return (how: SlotsRun) =>
    piece === null ? runDecode(memory, batch, how) : runMixed(memory, batch, piece, how);
}

type DecodedTexts = {
  batch: DecodeBatch;
  /** By slot: those in whose rows its tokens are. */
  ordered: readonly { text: Text; from: number; token: number; asked: boolean }[];
};

/** @param texts at least one */
function decodeBatch(texts: readonly Text[], rowsMin: number, { slots }: StepRunner): DecodedTexts {
  const ordered = texts
    .toSorted((a, b) => (a.slot ?? 0) - (b.slot ?? 0))
    .map((text) => {
      const { tokens, computed: from } = text;
      return { text, from, token: tokens[from] ?? 0, asked: from + 1 === tokens.length };
    });
  const bySlot = new Map(ordered.map((each) => [each.text.slot, each]));
  const { first: firstSlot, held } = slots.table.window(
    ordered.flatMap(({ text }) => text.slot ?? []),
    rowsMin,
  );
  const rows = held.map((computed, at) => {
    const each = bySlot.get(firstSlot + at);
    const adapter = each?.text.generation.adapter ?? 0;
    const length = (each?.from ?? computed) + 1;
    return { token: each?.token ?? 0, length, adapter, asked: each?.asked ?? false };
  });
  return { ordered, batch: { firstSlot, rows } };
}

function handOutRows({ ordered }: DecodedTexts, rows: LogitRows, runner: StepRunner): void {
  const { vocabulary } = runner.sampler;
  let passed = 0;
  for (const { text, from, token, asked } of ordered) {
    const own = rowsOf(rows, vocabulary, { from: passed, to: passed + Number(asked) });
    passed += Number(asked);
    handOut(text, { from, fed: [token], asked: Number(asked) }, own, runner);
  }
}

/** What a run computed of a text: tokens from a position on, and the logits of the last ones. */
type Computed = { from: number; fed: readonly number[]; asked: number };

type PreparedPiece = Piece & { batch: PromptPiece; computed: Computed };

/** Null: nobody waits for it any more. */
function preparedPiece(piece: Piece, { slots }: StepRunner): PreparedPiece | null {
  const { text, tokens, draft, scored } = piece;
  const { computed, slot } = text;
  if (text.ended || slot === null) return null;
  // A token alone is read again with the one before it, which comes out as it was: see `decodes` of step-plan.ts.
  const from = tokens + draft.length === 1 ? Math.max(0, computed - 1) : computed;
  const known = text.tokens.slice(from, computed + tokens);
  const fed = [...known, ...draft];
  slots.table.touch(slot, from + fed.length);
  const last = computed + tokens === text.tokens.length;
  const first = scored ? 0 : known.length - 1;
  const asked = last || scored ? fed.map((_, at) => at).slice(first) : [];
  const { adapter } = text.generation;
  const batch = { slot, adapter, tokens: fed, from, asked };
  return { ...piece, batch, computed: { from, fed, asked: last ? draft.length + 1 : 0 } };
}

/** Before its rows are handed out: the next piece may be of the same text. */
function readPiece(
  { text, scored, batch, computed }: PreparedPiece,
  logits: Float32Array,
  runner: StepRunner,
) {
  const { sampler } = runner;
  if (!text.ended) advance(text, computed, text.tokens.length, runner);
  if (scored) scorePrompt(text, { logits, from: batch.from, sampler });
}

/** The text has so much computed, and goes on by its rows as far as they are about what it has become. */
function handOut(text: Text, computed: Computed, rows: LogitRows, runner: StepRunner): void {
  const { from, fed, asked } = computed;
  const { vocabulary } = runner.sampler;
  const before = rows.logits.length / vocabulary - asked;
  const first = from + fed.length - asked;
  for (let row = 0; row < asked && !text.ended; row += 1) {
    const at = first + row;
    if (text.tokens.length !== at + 1 || text.tokens[at] !== fed[at - from]) break;
    const own = rowsOf(rows, vocabulary, { from: before + row, to: before + row + 1 });
    if (!runner.next(text, own)) break;
  }
  // From the row of its last token the next one comes.
  if (!text.ended) advance(text, computed, text.tokens.length - 1, runner);
}

type Outcome = { rows: LogitRows; seconds: number } | { error: unknown };

async function timed(
  texts: readonly Text[],
  { begin, end, now }: StepRunner,
  run: (signal: AbortSignal) => Promise<LogitRows>,
): Promise<Outcome> {
  const controller = begin(texts);
  const startedAt = now();
  try {
    const rows = await run(controller.signal);
    return { rows, seconds: (now() - startedAt) / 1_000 };
  } catch (error) {
    return { error };
  } finally {
    end(controller);
  }
}

/** What was computed of it, and is still the same. */
function advance(text: Text, { from, fed }: Computed, most: number, { slots }: StepRunner): void {
  const { tokens, slot } = text;
  let end = from;
  while (end < most && tokens[end] === fed[end - from]) end += 1;
  text.computed = Math.min(end, most);
  if (slot !== null) slots.table.computed(slot, text.computed);
}

/** Tokens of the prompt are told once, however often they are computed. */
function tellPrompt(text: Text, tokens: number, { tell }: StepRunner): void {
  const { computed, promptTold, generation } = text;
  const to = Math.min(computed + tokens, generation.request.prompt.length);
  const fresh = Math.max(0, to - promptTold);
  text.promptTold = Math.max(promptTold, to);
  if (fresh > 0) tell(text, (handlers) => handlers.onRun(fresh));
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
