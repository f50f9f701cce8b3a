/**
 * How large a request's result becomes as JSON, held to the bound of the contract: by an estimate before anything is
 * computed, and again as outputs are formed. A request that expects a large one waits until there is memory for it.
 */
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import type { TaskContext } from "./pipeline.ts";

export type ResultRules = {
  /** The field that makes the result large. */
  param: string;
  /** What to do about it: a sentence. */
  fix: string;
};

export class ResultSize {
  readonly #context: Pick<TaskContext, "reserveResult">;
  readonly #rules: ResultRules;
  #bytes = 0;

  constructor(context: Pick<TaskContext, "reserveResult">, rules: ResultRules) {
    this.#context = context;
    this.#rules = rules;
  }

  /**
   * The result will have about so many bytes.
   * @throws CodedError invalid_value where that is too many; the signal's reason
   */
  async expect(bytes: number): Promise<void> {
    this.#check(bytes);
    await this.#context.reserveResult(bytes);
  }

  /** So many bytes more were formed. @throws CodedError invalid_value where that has become too many */
  add(bytes: number): void {
    this.#bytes += bytes;
    this.#check(this.#bytes);
  }

  #check(bytes: number): void {
    if (bytes <= limits.resultBytesMax) return;
    const { param, fix } = this.#rules;
    throw new CodedError(
      "invalid_value",
      `The result would be larger than ${limits.resultBytesMax} bytes of JSON, ` +
        `the most that one request is answered with. ${fix}`,
      { param },
    );
  }
}

/** Bytes of a text as JSON, its quotes included. */
export function jsonBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text));
}

/** Of `{"label":"","score":0.5}` and a comma. */
const labelBytes = 26;

/** Bytes of the `kept` shortest of the labels, each with its score: the least that any choice of them has. */
export function labelsBytes(labels: readonly string[], kept = labels.length): number {
  const lengths = labels.map(jsonBytes).toSorted((a, b) => a - b);
  return lengths.slice(0, kept).reduce((sum, length) => sum + length + labelBytes, 0);
}
