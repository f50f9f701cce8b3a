/** Which candidates are kept: new texts, near their source but no copies of it, and still of its label. Pure. */
import type { AugmentationMethod } from "#contract/augmentation/augmentation-plan.ts";
import {
  type KeptCandidate,
  type Rejected,
  type Rejection,
  rejections,
} from "#contract/augmentation/augmentation-report.ts";
import { dot } from "../tensor/vectors.ts";

export type Candidate = {
  /** Index of the example it was made of. */
  readonly source: number;
  readonly method: AugmentationMethod;
  /** Null: nothing came of it. */
  readonly text: string | null;
};
export type NewText = Candidate & { readonly text: string };

/** Tells texts apart by all but the white space at their ends and how much of it stands between words. */
function keyOf(text: string): string {
  return text.trim().replaceAll(/\s+/g, " ");
}

/** Which texts there are already. */
export class KnownTexts {
  readonly #known: Set<string>;
  readonly #charactersMax: number;

  constructor(texts: readonly string[], charactersMax: number) {
    this.#known = new Set(texts.map(keyOf));
    this.#charactersMax = charactersMax;
  }

  /** @returns why it is none to look at; else it is known from now on */
  take({ text }: Candidate): Rejection | null {
    if (text === null || text.trim() === "") return "not_made";
    if (text.length > this.#charactersMax) return "too_long";
    const key = keyOf(text);
    if (this.#known.has(key)) return "duplicate";
    this.#known.add(key);
    return null;
  }
}

export type Band = { readonly similarity_min: number; readonly similarity_max: number };

export function outsideBand(similarity: number, band: Band): Rejection | null {
  if (similarity > band.similarity_max) return "near_copy";
  return similarity < band.similarity_min ? "too_far" : null;
}

/** What the judge says of a text. */
export type Judgement = {
  /** The label it gives. */
  readonly best: string;
  /** The score of the label that the text is to have. */
  readonly score: number;
};

/**
 * A candidate keeps its label where the judge gives it; where the judge does not even know its source by that label, it
 * may at least not drift away from it.
 */
export function labelFault(
  label: string,
  { source, candidate }: { source: Judgement; candidate: Judgement },
  scoreMin: number,
): Rejection | null {
  const drifts = source.best === label || candidate.score < source.score;
  if (candidate.best !== label && drifts) return "label_changed";
  return candidate.score < scoreMin ? "label_score" : null;
}

/** Unit vectors of what was kept of one source. */
export class KeptVectors {
  readonly #vectors: Float32Array[] = [];

  /** @returns whether it is a near copy of one before; else it is kept */
  take(vector: Float32Array, similarityMax: number): Rejection | null {
    if (this.#vectors.some((other) => dot(vector, other) > similarityMax)) return "near_copy";
    this.#vectors.push(vector);
    return null;
  }
}

/** Counts what became of the candidates, in all and by method. */
export class Screening {
  readonly kept: KeptCandidate[] = [];
  readonly #tried = new Map<AugmentationMethod, number>();
  readonly #rejected = new Map<Rejection, number>();

  reject({ method }: Candidate, reason: Rejection): void {
    this.#count(method);
    this.#rejected.set(reason, (this.#rejected.get(reason) ?? 0) + 1);
  }

  keep(candidate: KeptCandidate): void {
    this.#count(candidate.method);
    this.kept.push(candidate);
  }

  get tried(): number {
    return [...this.#tried.values()].reduce((sum, count) => sum + count, 0);
  }

  rejected(): Rejected {
    const counts = rejections.map((reason) => [reason, this.#rejected.get(reason) ?? 0]);
    return Object.fromEntries(counts) as Rejected;
  }

  methods(): { method: AugmentationMethod; tried: number; kept: number }[] {
    return [...this.#tried].map(([method, tried]) => ({
      method,
      tried,
      kept: this.kept.filter((each) => each.method === method).length,
    }));
  }

  #count(method: AugmentationMethod): void {
    this.#tried.set(method, (this.#tried.get(method) ?? 0) + 1);
  }
}
