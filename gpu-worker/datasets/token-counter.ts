/** Tokens of examples as a model reads them, counted some hundred texts at a time. */
import { tokensPerMessage } from "#contract/tasks/chat-completion.ts";
import type { FormName } from "#contract/training/forms.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { Lengths } from "./lengths.ts";

export type TokenRules = {
  readonly tokenizer: Pick<Tokenizer, "encode" | "specialTokens">;
  /** What the model reads at once. */
  readonly tokensMax: number;
  /** After so many characters no more are counted. Absent: all are. */
  readonly charactersMax?: number;
};

/** Forms whose texts may be longer than a model reads: they are read in windows. */
const readInWindows: readonly FormName[] = ["question-answering", "text"];

const textsAtOnce = 512;
const charactersAtOnce = 1_000_000;

export class TokenCounter {
  readonly #rules: TokenRules;
  readonly #form: FormName;
  readonly #lengths = new Lengths();
  #readings: (readonly string[])[] = [];
  #texts = 0;
  #characters = 0;
  #left: number;

  constructor(form: FormName, rules: TokenRules) {
    this.#form = form;
    this.#rules = rules;
    this.#left = rules.charactersMax ?? Infinity;
  }

  /** Whether so many texts wait that they should be counted. */
  get full(): boolean {
    return this.#texts >= textsAtOnce || this.#characters >= charactersAtOnce;
  }

  add(readings: readonly string[]): void {
    if (this.#left <= 0) return;
    this.#readings.push(readings);
    this.#texts += readings.length;
    const characters = readings.reduce((sum, { length }) => sum + length, 0);
    this.#characters += characters;
    this.#left -= characters;
  }

  async histogram(signal: AbortSignal) {
    await this.count(signal);
    const windows = readInWindows.includes(this.#form);
    return this.#lengths.histogram("tokens", windows ? null : this.#rules.tokensMax);
  }

  /** Counts all that waits. @throws the signal's reason */
  async count(signal: AbortSignal): Promise<void> {
    const readings = this.#readings;
    this.#readings = [];
    this.#texts = 0;
    this.#characters = 0;
    const encodings = await this.#rules.tokenizer.encode(readings.flat(), { signal });
    let at = 0;
    for (const { length } of readings) {
      const own = encodings.slice(at, (at += length));
      const tokens = own.reduce((sum, { ids }) => sum + ids.length, 0);
      this.#lengths.add(tokens + this.#besides(length));
    }
  }

  /** Special tokens, and what a chat template puts around messages, about. */
  #besides(readings: number): number {
    const { single, pair } = this.#rules.tokenizer.specialTokens;
    if (this.#form === "chat") return readings * tokensPerMessage;
    return readings > 1 ? pair : single;
  }
}
