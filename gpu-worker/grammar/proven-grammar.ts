/**
 * A grammar that compiled within its bounds: what its first texts are told at once, and where they are followed. What
 * is compiled or followed beside the runs has a core that they want, so that it may take some milliseconds for each
 * text at most.
 */
import type { Structure } from "#contract/tasks/structure.ts";
import type { NextTokens } from "../model/token-constraint.ts";
import type { Pace } from "./lanes.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Of a processor, for each text of it so far: what takes no more to compile is followed beside the runs. */
const ofTextMilliseconds = 15;
/** What takes more to compile is followed apart from the others, however often it is asked for. */
const slowMilliseconds = 100;
/** What takes more to say what comes next is, from then on. */
const slowNextMilliseconds = 25;

export type WantedGrammar = {
  readonly key: string;
  readonly structure: Structure;
  readonly vocabulary: Vocabulary;
  /** Of the structure, in characters of JSON. */
  readonly length: number;
};

export class ProvenGrammar implements WantedGrammar {
  readonly key: string;
  readonly structure: Structure;
  readonly vocabulary: Vocabulary;
  readonly length: number;
  /** What comes first in a text of it. */
  readonly first: NextTokens;
  readonly #compiledMs: number;
  #texts = 0;
  #slow: boolean;

  /** @param compiledMs what compiling it took of a processor */
  constructor(wanted: WantedGrammar, first: NextTokens, compiledMs: number) {
    this.key = wanted.key;
    this.structure = wanted.structure;
    this.vocabulary = wanted.vocabulary;
    this.length = wanted.length;
    this.first = first;
    this.#compiledMs = compiledMs;
    this.#slow = compiledMs > slowMilliseconds;
  }

  /** Of memory, about. */
  get bytes(): number {
    const { allowed, closing, forced } = this.first;
    return this.length + (allowed?.byteLength ?? 0) + 8 * (closing.length + forced.length);
  }

  get pace(): Pace {
    if (this.#slow) return "slow";
    return this.#compiledMs <= this.#texts * ofTextMilliseconds ? "quick" : "new";
  }

  /** One more text of it is begun. */
  begins(): void {
    this.#texts += 1;
  }

  /** Saying what comes next took so much of a processor. */
  told(milliseconds: number): void {
    if (milliseconds > slowNextMilliseconds) this.#slow = true;
  }

  /** It ended the thread that followed it. */
  isSlow(): void {
    this.#slow = true;
  }
}
