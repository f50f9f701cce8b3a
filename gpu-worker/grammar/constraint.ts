/**
 * A text that is held to a structure, followed in a thread. What comes next is asked for as soon as tokens come, so
 * that it is worked out while the model computes its step. Where a thread ends over another's grammar, the text goes
 * on in another one, from its tokens.
 */
import type { NextTokens, TokenConstraint } from "../model/token-constraint.ts";
import type { ForcedTokens } from "./forced-tokens.ts";
import { type GrammarThread, ThreadEnded, ThreadStarved } from "./grammar-thread.ts";
import type { Lanes, Pace } from "./lanes.ts";
import { nextTokens } from "./next-tokens.ts";
import type { ProvenGrammar } from "./proven-grammar.ts";
import type { ThreadAnswer, ThreadRequest } from "./thread-protocol.ts";

/** Of one step. A slow grammar's may take as long as it took to compile. */
const millisecondsMax: Readonly<Record<Pace, number>> = { quick: 500, new: 2_000, slow: 2_000 };
/** Of the first, which compiles the grammar here. */
const openMillisecondsMax = 6_000;
/** Other threads that a text may go on in, when its own end over others. */
const movesMax = 8;

export type ConstraintOptions = {
  readonly lanes: Lanes;
  readonly grammar: ProvenGrammar;
  readonly forced: ForcedTokens;
  /** A thread that yielded got no time. */
  starved(): void;
  /** @returns what the caller is told where it cannot be followed */
  refuse(reason: string, path: string | null): Error;
};

let texts = 0;

export class ThreadConstraint implements TokenConstraint {
  readonly #options: ConstraintOptions;
  readonly #id = (texts += 1);
  readonly #tokens: number[] = [];
  #thread: GrammarThread | null = null;
  /** Of that thread. */
  #pace: Pace = "quick";
  #next: Promise<NextTokens> | null = null;
  #disposed = false;

  constructor(options: ConstraintOptions) {
    this.#options = options;
    options.grammar.begins();
  }

  /** What comes first is known since the grammar was tried, before a thread here or there has it. */
  next(): NextTokens | Promise<NextTokens> {
    if (this.#next === null) {
      this.#next = this.#begin();
      this.#next.catch(() => undefined);
    }
    return this.#tokens.length === 0 ? this.#options.grammar.first : this.#next;
  }

  accept(tokens: readonly number[]): void {
    if (tokens.length > 0) this.#go(tokens, 0);
  }

  takeBack(count: number): void {
    if (count > 0) this.#go([], count);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#leave();
  }

  #go(tokens: readonly number[], takeBack: number): void {
    if (this.#pace !== "slow" && this.#options.grammar.pace === "slow") this.#leave();
    const begun = this.#thread !== null;
    this.#tokens.length -= takeBack;
    for (const token of tokens) this.#tokens.push(token);
    const request = { kind: "go" as const, text: this.#id, takeBack, tokens };
    this.#next = begun ? this.#ask(request) : this.#begin();
    // Whoever asks is told; often nobody does.
    this.#next.catch(() => undefined);
  }

  /** @param moves threads that ended before */
  #begin(moves = 0): Promise<NextTokens> {
    const { lanes, grammar } = this.#options;
    this.#pace = grammar.pace;
    const thread = lanes.threadFor(this.#pace);
    thread.learn(grammar.vocabulary);
    thread.texts += 1;
    this.#thread = thread;
    const { key, structure, vocabulary } = grammar;
    const tokens = [...this.#tokens];
    return this.#ask(
      { kind: "open", text: this.#id, vocabulary: vocabulary.id, key, structure, tokens },
      moves,
    );
  }

  async #ask(request: ThreadRequest, moves = 0): Promise<NextTokens> {
    const { grammar, refuse, starved } = this.#options;
    const [thread, length] = [this.#thread, this.#tokens.length];
    if (thread === null) throw new Error("a text goes on after it was disposed of");
    const opens = request.kind === "open";
    try {
      const limit = opens ? openMillisecondsMax : millisecondsMax[this.#pace];
      const answer = await thread.ask(request, limit);
      if (!opens) grammar.told(answer.tookMs);
      return await this.#nextOf(answer);
    } catch (error) {
      if (!(error instanceof ThreadEnded) || this.#disposed) throw error;
      if (error.atFault && grammar.pace === "slow") {
        throw refuse("what may come next takes too long or too much memory to tell", null);
      }
      if (error.atFault) grammar.isSlow();
      if (error instanceof ThreadStarved) starved();
      if (moves >= movesMax)
        throw refuse("it could not be followed, because others' took too much", null);
      // A later request has begun it anew, or goes by itself.
      if (this.#tokens.length !== length) throw error;
      if (this.#thread === thread) this.#leave();
      return this.#begin(moves + 1);
    }
  }

  #nextOf(answer: ThreadAnswer): Promise<NextTokens> {
    if (answer.kind === "refused") throw this.#options.refuse(answer.message, answer.path);
    return nextTokens(answer, this.#options.forced);
  }

  #leave(): void {
    const thread = this.#thread;
    if (thread === null) return;
    this.#thread = null;
    thread.texts -= 1;
    if (!thread.ended)
      void thread
        .ask({ kind: "close", text: this.#id }, millisecondsMax.slow)
        .catch(() => undefined);
    this.#options.lanes.release();
  }
}
