/**
 * How a text grows: by a token that is sampled from a row of logits, or by those that its constraint leaves no choice
 * of. Those are its caller's at once, and computed with what follows. Where log probabilities are wanted, each waits
 * for the row that has its own: what is told of a token is always the model's.
 */
import { CodedError } from "#contract/errors.ts";
import type { GeneratedToken, GenerationHandlers } from "../model/generation.ts";
import { Guide } from "./guide.ts";
import type { LogitRows } from "./logit-rows.ts";
import type { LogitsRow, Sampled, Sampler } from "./sampler.ts";
import { append, generatedTokens, isScored, takeBack } from "./text.ts";
import type { CertainToken, Generation, Text } from "./text.ts";

export type WriterHooks = {
  /** Calls a handler of its caller's; whatever it throws ends what it was for. */
  tell(text: Text, call: (handlers: GenerationHandlers) => void): void;
  fail(generation: Generation, reason: unknown): void;
  /** Its prompt's keys and values are there now, for its other choices to copy. */
  spread(generation: Generation): void;
  end(text: Text): void;
  /** It had to wait, and need not any more. */
  wake(): void;
};

export class TextWriter {
  readonly #sampler: Sampler;
  readonly #hooks: WriterHooks;

  constructor(sampler: Sampler, hooks: WriterHooks) {
    this.#sampler = sampler;
    this.#hooks = hooks;
  }

  /** Asks its constraint for one, if it has any. @throws what the constraint throws */
  begin(text: Text): void {
    const { constraint: make, maxTokens, endTokens } = text.generation.request;
    if (make === undefined) return;
    const listener = {
      chosen: (stands: boolean) => this.#chosen(text, stands),
      certain: (tokens: readonly number[], closing: boolean) =>
        this.#certain(text, tokens, closing),
      known: () => this.#goOn(text),
      failed: (error: unknown) => this.#hooks.fail(text.generation, error),
    };
    text.guide = new Guide({ constraint: make(text.choice), maxTokens, endTokens, listener });
    text.guide.begin();
  }

  /** @param row about what comes behind its last token @returns whether it has one more; else the row is lost */
  next(text: Text, { logits, blocks }: LogitRows): boolean {
    if (text.generation.request.maxTokens === 0) {
      this.#hasReadPrompt(text);
      if (!text.ended) this.#hooks.end(text);
      return false;
    }
    const certain = text.certain.shift();
    if (certain === undefined && text.guide?.pending) {
      text.stalled = true;
      return false;
    }
    const next =
      certain === undefined
        ? this.#sampler.sample(logits, logitsRow(text), blocks)
        : this.#scored(text, certain, logits);
    if (next.kind === "unusable") {
      const words = `The model's computation gave no usable probabilities: ${next.reason}.`;
      this.#hooks.fail(text.generation, new CodedError("internal_error", words));
      return false;
    }
    this.#hasReadPrompt(text);
    if (text.ended) return false;
    text.writes = true;
    const { kind: _, ...token } = next;
    text.lookup?.came(token.token, text.tokens);
    append(text, token.token);
    if (certain !== undefined || text.guide === null) this.#give(text, token);
    else {
      text.held = token;
      text.guide.choose(token.token);
    }
    if (certain?.closing && text.certain.length === 0 && !text.ended) this.#hooks.end(text);
    return true;
  }

  #scored(text: Text, { token, closing }: CertainToken, logits: Float32Array): Sampled {
    const { topLogprobs } = text.generation.request.sampling;
    const forced = { forced: true, ...(closing && { closing }) } as const;
    if (topLogprobs === null) return { kind: "token", ...unscored(token), ...forced };
    const score = this.#sampler.score(logits, token, topLogprobs);
    if (Number.isNaN(score.logprob)) return { kind: "unusable", reason: "a logit is NaN" };
    return { kind: "token", ...score, ...forced };
  }

  /** Its prompt is told before its first token. */
  #hasReadPrompt(text: Text): void {
    const { generation, choice } = text;
    const { promptScores } = generation;
    if (choice > 0) return;
    if (promptScores !== null) {
      generation.promptScores = null;
      this.#hooks.tell(text, ({ onPrompt }) => onPrompt?.(promptScores));
    }
    if (!generation.spread) this.#hooks.spread(generation);
  }

  #chosen(text: Text, stands: boolean): void {
    const { held } = text;
    text.held = null;
    if (!stands) takeBack(text);
    else if (held !== null) this.#give(text, held);
  }

  #certain(text: Text, tokens: readonly number[], closing: boolean): void {
    if (isScored(text.generation.request)) {
      for (const token of tokens) text.certain.push({ token, closing });
      return;
    }
    for (const token of tokens) {
      if (text.ended) return;
      append(text, token);
      this.#give(text, { ...unscored(token), forced: true, ...(closing && { closing }) });
    }
    if (closing && !text.ended) this.#hooks.end(text);
  }

  #goOn(text: Text): void {
    if (!text.stalled) return;
    text.stalled = false;
    this.#hooks.wake();
  }

  /** Its last token is its caller's. */
  #give(text: Text, token: GeneratedToken): void {
    const { maxTokens, endTokens } = text.generation.request;
    let goesOn = false;
    this.#hooks.tell(text, (handlers) => {
      handlers.onRun(1);
      goesOn = handlers.onToken(text.choice, token);
    });
    const whole = generatedTokens(text) === maxTokens;
    if (goesOn && !whole && !endTokens.has(token.token)) return;
    if (!text.ended) this.#hooks.end(text);
  }
}

function unscored(token: number): GeneratedToken {
  return { token, logprob: null, topLogprobs: [] };
}

function logitsRow(text: Text): LogitsRow {
  const { generation, choice, counts: outputCounts, guide } = text;
  const { promptTokens, request } = generation;
  return {
    parameters: request.sampling,
    promptTokens,
    outputCounts,
    choice,
    position: generatedTokens(text),
    allowed: guide === null ? null : guide.allowed,
  };
}
