/**
 * The worker's memory as its computations share it. A computation acquires up to three semaphores, always in this order
 * and each once at a time, so that no two wait for each other: for its inputs, for its rows' outputs, for its result.
 * Small computations never wait behind large ones.
 */
import { estimateCl100k } from "#contract/cl100k-estimate.ts";
import type { JobMessage } from "#contract/job-message.ts";
import { limits } from "#contract/limits.ts";
import { MemorySemaphore } from "./memory-semaphore.ts";

/**
 * Computations of up to this many characters are small. A character makes about one token at most, and a token takes
 * some 500 bytes while its text is encoded and some 200 until its computation ends.
 */
const smallCharactersMax = 16_384;
const smallCharactersAtOnce = 2 ** 20;
/** One of the largest, and half as much beside it. */
const largeCharactersAtOnce = 1.5 * limits.tokensPerRequestMax;

/** Results and outputs below this are not counted: a computation's inputs take as much. */
const uncountedBytes = 256 * 1024;
/** As JSON; as objects they take some three times as much. */
const resultBytesAtOnce = 2 * limits.resultBytesMax;
const outputBytesAtOnce = 96 * 1024 * 1024;

export type MemoryReservation = {
  /** For a result of so many bytes, until `release`. */
  reserveResult(bytes: number): Promise<void>;
  /** For so many bytes of rows' outputs. @returns releases them */
  reserveOutputs(bytes: number): Promise<() => void>;
  /** The computation has ended. */
  release(): void;
};

const nothing = () => undefined;

export class ComputationMemory {
  readonly #small = new MemorySemaphore(smallCharactersAtOnce);
  readonly #large = new MemorySemaphore(largeCharactersAtOnce);
  readonly #results = new MemorySemaphore(resultBytesAtOnce);
  readonly #outputs = new MemorySemaphore(outputBytesAtOnce);

  /** @param characters of the inputs, about @throws the signal's reason, as do the reservation's own methods */
  async reserve(characters: number, signal: AbortSignal): Promise<MemoryReservation> {
    const small = characters <= smallCharactersMax;
    const held = [await (small ? this.#small : this.#large).acquire(characters, signal)];
    return {
      reserveResult: async (bytes) => {
        if (bytes > uncountedBytes) held.push(await this.#results.acquire(bytes, signal));
      },
      reserveOutputs: async (bytes) =>
        bytes > uncountedBytes ? this.#outputs.acquire(bytes, signal) : nothing,
      release: () => {
        for (const release of held) release();
      },
    };
  }
}

/** Characters of a message's inputs, about; where ids stand for texts, the tokens that these may come to. */
export function charactersOf(message: JobMessage): number {
  if (!Array.isArray(message.inputs)) return message.inputs.bytes;
  if (
    message.task !== "feature-extraction" ||
    (message.parameters.token_ids ?? "model") === "model"
  ) {
    return sizeOf(message.inputs);
  }
  const sizes = message.inputs.map((input) =>
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
