/**
 * Which text has several tokens computed in a step instead of one: those that are known to come, or a guess that is
 * checked by what is sampled from their rows. One text a step, in turn, as one piece shares the run of the others'
 * tokens. As many as are worth their time; beside others no longer than what they wait for a prompt.
 */
import { blockTokens, type EngineLimits, type EngineRoom } from "./engine-limits.ts";
import { draftOf } from "./prompt-lookup.ts";
import { scoredTokensMax } from "./decoder-runs.ts";
import type { StepCosts } from "./step-costs.ts";
import { generatedTokens, type Text } from "./text.ts";

export type Ahead = {
  readonly text: Text;
  /** Known ones, from the first that is not computed. */
  readonly tokens: number;
  /** Behind all that are known: no more than these may come of them. */
  readonly draft: readonly number[];
};

export type AheadState = {
  readonly room: EngineRoom;
  readonly limits: EngineLimits;
  readonly costs: StepCosts;
  /** A piece shares the run of other texts. */
  readonly mixes: boolean;
  /** Whose keys and values are in memory. */
  readonly running: Iterable<Text>;
  readonly now: number;
};

/** How long a draft may be: runs that differ in nothing else share what is bound for them. */
const draftLengths = [15, 11, 7, 5, 3, 2, 1];

type Found = {
  text: Text;
  /** Tokens beside the first, which would be computed in any case. */
  more: number;
  /** Where in the text the draft is; null: it is of those that are certain. */
  from: number | null;
};

/** @param writing texts with a token in the step @returns null: each has its one token */
export function planAhead(writing: readonly Text[], state: AheadState): Ahead | null {
  if (writing.length > 1 && !state.mixes) return null;
  let best: Found | null = null;
  for (const text of writing) {
    const found = lookAhead(text, writing.length, state);
    if (found === null) continue;
    if (best === null || text.aheadAt < best.text.aheadAt) best = found;
  }
  return best && take(best, state);
}

function lookAhead(text: Text, texts: number, state: AheadState): Found | null {
  const { costs, limits } = state;
  const { tokens, computed, certain, lookup } = text;
  const known = tokens.length - computed - 1 + certain.length;
  const guess = known === 0 ? (lookup?.guess(tokens) ?? null) : null;
  const chance = known > 0 ? 1 : (guess?.chance ?? 0);
  if (chance === 0) return null;
  const bound = texts === 1 ? limits.stepTokensMax : costs.tokensBeside(costs.quantumSeconds);
  const wanted = known > 0 ? known : Math.min(limits.draftTokensMax, left(text) - 1);
  const more = Math.min(wanted, bound, costs.worthwhile(texts, chance));
  return more > 0 ? { text, more, from: guess?.from ?? null } : null;
}

/** Tokens that it may yet have. */
function left(text: Text): number {
  return text.generation.request.maxTokens - generatedTokens(text);
}

function take({ text, more, from }: Found, state: AheadState): Ahead | null {
  const missing = text.tokens.length - text.computed;
  const tokens = Math.min(missing, more + 1);
  const most = Math.min(more + 1 - tokens, scoredTokensMax - 1, roomFor(text, state));
  const draftMax = draftLengths.find((length) => length <= most) ?? 0;
  const draft =
    from === null
      ? text.certain.slice(0, draftMax).map(({ token }) => token)
      : draftOf(text.tokens, from, draftMax);
  if (tokens + draft.length === 1) return null;
  text.aheadAt = state.now;
  return { text, tokens, draft };
}

/**
 * Tokens beyond those that it has, for which there is memory beside what all have. A run over slots on both sides of
 * its own writes one behind them.
 */
function roomFor({ tokens }: Text, { room, running }: AheadState): number {
  let free = room.memoryTokens;
  for (const each of running) free -= Math.ceil(each.tokens.length / blockTokens) * blockTokens;
  return Math.min(free, room.textTokensMax - tokens.length) - 1;
}
