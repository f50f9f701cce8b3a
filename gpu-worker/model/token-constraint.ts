/**
 * What may come next in one text that must have a structure. Made for one choice by whoever asks for it, and advanced
 * by the engine alone, token by token; another thread may compute what is next while the model computes its step.
 */

export type NextTokens = {
  /** Token t is allowed where bit t % 32 of word ⌊t / 32⌋ is set. Null: every token is. */
  readonly allowed: Int32Array | null;
  /** Tokens that come next one after the other because nothing else can: committed without a step of the model. */
  readonly forced: readonly number[];
  /**
   * A way to the end of the text from here, its end token included: what is kept back of the tokens that it may have.
   * Not always the shortest there is.
   */
  readonly closing: readonly number[];
};

export type TokenConstraint = {
  /** After what was accepted so far. The same until `accept`. Rejects where it cannot be told. */
  next(): NextTokens | Promise<NextTokens>;
  /** These come next: each was allowed where it stands. */
  accept(tokens: readonly number[]): void;
  /** Takes back the last `count` tokens that were accepted. */
  takeBack(count: number): void;
  [Symbol.dispose](): void;
};
