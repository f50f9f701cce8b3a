/** The beginning of a file, kept while all of it goes by: so that it need not be fetched twice. */
import type { DataSource } from "./data-file.ts";

export type KeptHead = {
  /** The file itself, to be read once. */
  readonly source: DataSource;
  /** What was kept of what has gone by, whole lines alone; as often as wanted. */
  open(): Promise<DataSource>;
  /** Whether that is all of it. Known once the file has gone by. */
  readonly isWhole: boolean;
};

const lineEnd = 0x0a;

export function keepHead({ name, bytes }: DataSource, bytesMax: number): KeptHead {
  const kept: Uint8Array[] = [];
  let size = 0;
  let isWhole = true;
  async function* passing(): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      if (size + chunk.length > bytesMax) isWhole = false;
      const part = chunk.subarray(0, bytesMax - size);
      // A chunk may be a view of memory that is used again.
      if (part.length > 0) kept.push(Uint8Array.from(part));
      size += part.length;
      yield chunk;
    }
  }
  async function* again(): AsyncGenerator<Uint8Array> {
    const all = Buffer.concat(kept);
    yield isWhole ? all : all.subarray(0, all.lastIndexOf(lineEnd) + 1);
  }
  return {
    source: { name, bytes: passing() },
    open: () => Promise.resolve({ name, bytes: again() }),
    get isWhole() {
      return isWhole;
    },
  };
}
