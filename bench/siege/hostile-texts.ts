/** Texts, token ids, labels and documents of random sizes and scripts, from a seed; no text comes twice. */
import type { Random } from "../../contract/random.ts";

const scripts = [
  "the rain in spain stays mainly ",
  "。、我们在北京吃饭。",
  "😀👩‍👩‍👧!?…",
  "- . , ; : ! ",
];
const words = ["the", "rain", "of", "spain", "falls", "mainly", "on", "plain", "stones", "and"];
const vocabularySize = 30_000;

export class HostileTexts {
  readonly #random: Random;
  #serial = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** At most so many characters, and some more that make it differ from all others. */
  text(characters: number): string {
    const script = this.pick(scripts);
    const length = Math.max(1, Math.floor(characters * (0.2 + 0.8 * this.#random())));
    const filled = script.repeat(Math.ceil(length / script.length)).slice(0, length);
    return `${this.unique()} ${filled.toWellFormed()}`;
  }

  /** At most `count` texts, at least one. */
  texts(count: number, characters: number): string[] {
    return Array.from({ length: this.upTo(count) }, () => this.text(characters));
  }

  labels(count: number, characters: number): string[] {
    return Array.from({ length: count }, () => this.text(characters));
  }

  ids(count: number): number[] {
    return Array.from({ length: this.upTo(count) }, () => this.upTo(vocabularySize));
  }

  /** Exactly so many. */
  idsOf(count: number): number[] {
    return Array.from({ length: count }, () => this.upTo(vocabularySize));
  }

  /** Of so many tokens, about. */
  words(count: number): string {
    return Array.from({ length: count }, () => this.pick(words)).join(" ");
  }

  documents(field: "documents" | "texts"): Record<string, unknown> {
    return { query: this.text(60), [field]: this.texts(100, 200) };
  }

  /** 1 … most. */
  upTo(most: number): number {
    return 1 + Math.floor(this.#random() * most);
  }

  unique(): string {
    this.#serial += 1;
    return this.#serial.toString(36);
  }

  pick<T>(from: readonly T[]): T {
    const found = from[Math.floor(this.#random() * from.length)];
    if (found === undefined) throw new Error("there is nothing to pick from");
    return found;
  }
}
