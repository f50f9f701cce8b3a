/**
 * Keeps one text to its constraint: what may be sampled, what comes without a choice, and how the text is closed while
 * it still fits. A batch of tokens, one that was sampled or those that are forced, stands only when it is known that
 * the text can be closed behind it: else it is taken back, and the text ends in the way that was known before it. So
 * a text is always whole, and what was shown is never taken back. Knows no model, no slots and no clock.
 */
import { CodedError } from "#contract/errors.ts";
import type { NextTokens, TokenConstraint } from "../model/token-constraint.ts";

export type GuideListener = {
  /** The token that was chosen last stands; or it does not, as the text could not be closed behind it. */
  chosen(stands: boolean): void;
  /** These come next. @param closing the text ends with them, because no more would fit */
  certain(tokens: readonly number[], closing: boolean): void;
  /** What comes next was waited for, and is known. */
  known(): void;
  failed(error: unknown): void;
};

export type GuideOptions = {
  constraint: TokenConstraint;
  /** Of the text, what closes it included. */
  maxTokens: number;
  endTokens: ReadonlySet<number>;
  listener: GuideListener;
};

type Batch = { tokens: readonly number[]; chosen: boolean };

export class Guide implements Disposable {
  readonly #options: GuideOptions;
  /** After the last batch that stands; null: it has not begun. */
  #state: NextTokens | null = null;
  /** Accepted by the constraint, and not known to stand. */
  #batch: Batch | null = null;
  /** Tokens that were accepted. */
  #made = 0;
  #pending: Promise<void> | null = null;
  /** Nothing more is asked of the constraint. */
  #over = false;
  #disposed = false;

  constructor(options: GuideOptions) {
    this.#options = options;
  }

  /** Until it resolves, it is not known what may come next. It never rejects. */
  get pending(): Promise<void> | null {
    return this.#pending;
  }

  /** What may be sampled now, see `NextTokens`. */
  get allowed(): Int32Array | null {
    return this.#state?.allowed ?? null;
  }

  /** Before the first token: what the text begins with may be certain. */
  begin(): void {
    this.#ask();
  }

  /** This one was sampled, of those that are allowed. */
  choose(token: number): void {
    const { endTokens, listener } = this.#options;
    if (endTokens.has(token)) {
      this.#over = true;
      return listener.chosen(true);
    }
    this.#accept({ tokens: [token], chosen: true });
    this.#ask();
  }

  /** Asks what comes next until there is a choice. */
  #ask(): void {
    const { constraint, listener } = this.#options;
    try {
      while (!this.#over) {
        const next = constraint.next();
        if (next instanceof Promise) return this.#wait(next);
        if (!this.#settle(next)) return;
      }
    } catch (error) {
      listener.failed(error);
    }
  }

  #wait(next: Promise<NextTokens>): void {
    this.#pending = next.then(
      (known) => {
        this.#pending = null;
        if (!this.#over) this.#goOn(known);
        if (this.#pending === null) this.#options.listener.known();
      },
      (error: unknown) => {
        this.#pending = null;
        if (!this.#over) this.#options.listener.failed(error);
      },
    );
  }

  #goOn(next: NextTokens): void {
    try {
      if (!this.#settle(next)) return;
    } catch (error) {
      return this.#options.listener.failed(error);
    }
    this.#ask();
  }

  #accept(batch: Batch): void {
    try {
      this.#options.constraint.accept(batch.tokens);
    } catch (error) {
      return this.#options.listener.failed(error);
    }
    this.#batch = batch;
    this.#made += batch.tokens.length;
  }

  #fits(tokens: number): boolean {
    return this.#made + tokens <= this.#options.maxTokens;
  }

  /** @returns whether what comes next is to be asked again */
  #settle(next: NextTokens): boolean {
    const { listener, endTokens } = this.#options;
    if (!this.#fits(next.closing.length)) {
      this.#close(next.closing.length);
      return false;
    }
    const batch = this.#batch;
    this.#batch = null;
    this.#state = next;
    if (batch?.chosen) listener.chosen(true);
    else if (batch !== null) listener.certain(batch.tokens, false);
    const { forced } = next;
    if (forced.length === 0 || this.#over) return false;
    const end = forced.findIndex((token) => endTokens.has(token));
    if (end === -1) {
      this.#accept({ tokens: forced, chosen: false });
      return !this.#over;
    }
    this.#over = true;
    const fits = this.#fits(end + 1);
    listener.certain(fits ? forced.slice(0, end + 1) : next.closing, !fits);
    return false;
  }

  /** Takes back what does not stand, and ends the text as it could be ended before. @param needed tokens to end it */
  #close(needed: number): void {
    const { constraint, listener, maxTokens } = this.#options;
    const [state, batch] = [this.#state, this.#batch];
    this.#over = true;
    if (state === null || batch === null) return listener.failed(tooShort(needed, maxTokens));
    this.#batch = null;
    this.#made -= batch.tokens.length;
    constraint.takeBack(batch.tokens.length);
    if (batch.chosen) listener.chosen(false);
    listener.certain(state.closing, true);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#over = true;
    this.#options.constraint[Symbol.dispose]();
  }
}

function tooShort(needed: number, maxTokens: number): CodedError {
  return new CodedError(
    "invalid_value",
    `What is asked for takes at least ${needed} tokens to be written whole, and max_tokens is ${maxTokens}. ` +
      `Set max_tokens to ${needed} or more, or ask for something shorter.`,
    { param: "max_tokens" },
  );
}
