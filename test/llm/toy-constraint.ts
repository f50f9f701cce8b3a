/**
 * A constraint that a finite automaton over the toy's tokens makes, and what is written under it, token by token and
 * with no engine. Every use of it is watched: what is accepted must have been allowed, and nothing is asked of one that
 * was disposed of.
 */
import { expect } from "vitest";
import { Sampler } from "../../gpu-worker/llm/sampler.ts";
import type { GeneratedToken, SamplingParameters } from "../../gpu-worker/model/generation.ts";
import type { NextTokens, TokenConstraint } from "../../gpu-worker/model/token-constraint.ts";
import { type ToyDecoder, toyLogits, toyVocabulary } from "./toy-decoder.ts";
import { greedy } from "./write-text.ts";

export const endToken = toyVocabulary - 1;

/** Of each state, where its tokens lead; an end token leads nowhere. */
export type Automaton = readonly ReadonlyMap<number, number>[];

/** @param random from 0 to 1 */
export function randomAutomaton(random: () => number, states = 12): Automaton {
  const below = (bound: number) => Math.floor(random() * bound);
  return Array.from({ length: states }, (_, state) => {
    // Most have one token or two; the next state is among them, so that each leads to the end.
    const tokens = Array.from({ length: [1, 1, 2, 8][below(4)] ?? 1 }, () => below(endToken));
    const ways = tokens.map((token): [number, number] => [token, below(states)]);
    const onwards: [number, number] =
      state === states - 1 ? [endToken, -1] : [below(endToken), state + 1];
    return new Map([...ways.filter(([token]) => token !== onwards[0]), onwards].slice(-8));
  });
}

/** Breadth first. @param detour what is known of a way is longer than it need be */
function closingOf(automaton: Automaton, from: number, detour: boolean): number[] {
  const ways: { state: number; tokens: number[] }[] = [{ state: from, tokens: [] }];
  const seen = new Set([from]);
  for (const { state, tokens } of ways) {
    const next = [...(automaton[state] ?? [])].toSorted(([a], [b]) => (detour ? a - b : b - a));
    const end = next.find(([token]) => token === endToken);
    if (end !== undefined) return [...tokens, endToken];
    for (const [token, to] of next) {
      if (seen.has(to)) continue;
      seen.add(to);
      ways.push({ state: to, tokens: [...tokens, token] });
    }
  }
  throw new Error("no way leads to the end");
}

function nextOf(automaton: Automaton, from: number): NextTokens {
  const allowed = new Int32Array(Math.ceil(toyVocabulary / 32));
  for (const token of automaton[from]?.keys() ?? []) {
    allowed[token >>> 5] = (allowed[token >>> 5] ?? 0) | (1 << (token & 31));
  }
  const forced: number[] = [];
  let state = from;
  while (forced.length < 5) {
    const [only, another] = automaton[state] ?? [];
    if (only === undefined || another !== undefined) break;
    forced.push(only[0]);
    state = only[1];
    if (state === -1) break;
  }
  return { allowed, forced, closing: closingOf(automaton, from, from % 2 === 0) };
}

export type ToyConstraintOptions = {
  automaton: Automaton;
  /** Answers `next` when this says so. Default: at once. */
  delay?: () => Promise<void> | null;
};

export class ToyConstraint implements TokenConstraint {
  /** Made and not disposed of. */
  static open = 0;
  readonly #options: ToyConstraintOptions;
  readonly #states: number[] = [0];
  #asked = false;
  #disposed = false;

  constructor(options: ToyConstraintOptions) {
    this.#options = options;
    ToyConstraint.open += 1;
  }

  next(): NextTokens | Promise<NextTokens> {
    expect([this.#disposed, this.#asked]).toEqual([false, false]);
    const next = nextOf(this.#options.automaton, this.#states.at(-1) ?? -1);
    const delay = this.#options.delay?.() ?? null;
    if (delay === null) return next;
    this.#asked = true;
    return delay.then(() => {
      this.#asked = false;
      return next;
    });
  }

  accept(tokens: readonly number[]): void {
    expect([this.#disposed, this.#asked]).toEqual([false, false]);
    for (const token of tokens) {
      const to = this.#options.automaton[this.#states.at(-1) ?? -1]?.get(token);
      expect(to).toBeGreaterThanOrEqual(0);
      this.#states.push(to ?? -1);
    }
  }

  takeBack(count: number): void {
    expect([this.#disposed, this.#asked]).toEqual([false, false]);
    expect(count).toBeLessThan(this.#states.length);
    this.#states.length -= count;
  }

  [Symbol.dispose](): void {
    expect(this.#disposed).toBe(false);
    this.#disposed = true;
    ToyConstraint.open -= 1;
  }
}

export type ConstrainedText = {
  prompt: readonly number[];
  maxTokens: number;
  automaton: Automaton;
  bend?: ToyDecoder["bend"];
};

/** Null: it does not fit. */
export function expectedUnder(
  { prompt, maxTokens, automaton, bend = (_, logits) => logits }: ConstrainedText,
  { choice = 0, ...parameters }: Partial<SamplingParameters> & { choice?: number } = {},
): GeneratedToken[] | null {
  const sampler = new Sampler(toyVocabulary);
  const sampling = { ...greedy, ...parameters };
  const made: GeneratedToken[] = [];
  const logits = () => {
    const known = [...prompt, ...made.map(({ token }) => token)];
    return bend(known, toyLogits(known));
  };
  const tell = (token: number, closing: boolean) => {
    const { topLogprobs } = sampling;
    const score =
      topLogprobs === null
        ? { token, logprob: null, topLogprobs: [] }
        : sampler.score(logits(), token, topLogprobs);
    made.push({ ...score, forced: true, ...(closing && { closing: true as const }) });
  };
  let state = 0;
  for (;;) {
    const { allowed, forced, closing } = nextOf(automaton, state);
    if (made.length + closing.length > maxTokens) return null;
    const counts = new Map<number, number>();
    for (const { token } of made) counts.set(token, (counts.get(token) ?? 0) + 1);
    const position = made.length;
    const promptTokens = new Set(prompt);
    const row = { parameters: sampling, promptTokens, outputCounts: counts, choice, position };
    const sampled = forced.length > 0 ? null : sampler.sample(logits(), { ...row, allowed });
    if (sampled?.kind === "unusable") throw new Error("no token");
    const tokens = sampled === null ? forced : [sampled.token];
    const after = tokens.reduce((at, token) => automaton[at]?.get(token) ?? -1, state);
    const needed = after === -1 ? 0 : nextOf(automaton, after).closing.length;
    const fits = made.length + tokens.length + needed <= maxTokens;
    if (fits && sampled !== null) {
      const { kind: _, ...token } = sampled;
      made.push(token);
    } else {
      for (const token of fits ? tokens : closing) tell(token, !fits);
    }
    if (!fits || after === -1) return made;
    state = after;
  }
}
