/**
 * The worker's memory as its jobs share it. A job passes up to three gates, always in this order and each once at a time, so
 * that no two wait for each other: to be read, to have its rows' outputs read, to form its result. Small ones never wait behind
 * large ones.
 */
import { estimateCl100k } from "#contract/cl100k-estimate.ts";
import type { JobMessage } from "#contract/job-message.ts";
import { limits } from "#contract/limits.ts";
import { MemoryGate } from "./memory-semaphore.ts";

/**
 * Jobs of up to this many characters are small. A character makes a token at most, near enough, and a token takes some 500 bytes
 * while its text is encoded and some 200 until its job is answered.
 */
const smallCharactersMax = 16_384;
const smallCharactersAtOnce = 2 ** 20;
/** One of the largest, and half as much beside it. */
const largeCharactersAtOnce = 1.5 * limits.tokensPerRequestMax;

/** Results and outputs below this are not counted: a job's inputs take as much. */
const uncountedBytes = 256 * 1024;
/** As JSON; as objects they take some three times as much. */
const resultBytesAtOnce = 2 * limits.resultBytesMax;
const outputBytesAtOnce = 96 * 1024 * 1024;

export type JobRoom = {
  /** For a result of so many bytes, until `leave`. */
  reserve(bytes: number): Promise<void>;
  /** For so many bytes of rows' outputs. @returns gives it back */
  hold(bytes: number): Promise<() => void>;
  /** The job is answered. */
  leave(): void;
};

const nothing = () => undefined;

export class JobMemory {
  readonly #small = new MemoryGate(smallCharactersAtOnce);
  readonly #large = new MemoryGate(largeCharactersAtOnce);
  readonly #results = new MemoryGate(resultBytesAtOnce);
  readonly #outputs = new MemoryGate(outputBytesAtOnce);

  /** @param characters of the job's inputs, about @throws the signal's reason, as do the room's own gates */
  async enter(characters: number, signal: AbortSignal): Promise<JobRoom> {
    const small = characters <= smallCharactersMax;
    const held = [await (small ? this.#small : this.#large).enter(characters, signal)];
    return {
      reserve: async (bytes) => {
        if (bytes > uncountedBytes) held.push(await this.#results.enter(bytes, signal));
      },
      hold: async (bytes) =>
        bytes > uncountedBytes ? this.#outputs.enter(bytes, signal) : nothing,
      leave: () => {
        for (const release of held) release();
      },
    };
  }
}

/** Characters of a job's inputs, about; where ids stand for texts, the tokens that these may come to. */
export function charactersOf(job: JobMessage): number {
  if (!Array.isArray(job.inputs)) return job.inputs.bytes;
  if (job.task !== "feature-extraction" || (job.parameters.token_ids ?? "model") === "model") {
    return sizeOf(job.inputs);
  }
  const sizes = job.inputs.map((input) =>
    typeof input === "string" ? input.length : estimateCl100k(input),
  );
  return sizes.reduce((sum, size) => sum + 1 + size, 0);
}

/** Characters of texts, and numbers, in a document, about. */
function sizeOf(document: unknown): number {
  if (typeof document === "string") return document.length;
  if (Array.isArray(document)) {
    return document.reduce<number>((sum, each) => sum + 1 + sizeOf(each), 0);
  }
  if (typeof document !== "object" || document === null) return 0;
  return sizeOf(Object.values(document));
}
