/**
 * The CPU's memory for values: zeros that take room from the machine page by page, as they are written. So a value may
 * be as large as it could ever be needed, and what is not used of it costs nothing.
 */
import process from "node:process";
import koffi from "koffi";
import { RuntimeError } from "../session.ts";
import { asyncFunction, pointerFunction, voidFunction } from "./native-function.ts";
import type { Pointer } from "./native-function.ts";

export type LazyMemory = {
  /** Zeros. @throws RuntimeError where there is no memory */
  readonly allocate: (bytes: number) => Pointer;
  /** Off the event loop: the pages of a gigabyte take some 100 ms. */
  readonly free: (address: Pointer) => Promise<void>;
  /** Whole pages in the range go back to the machine, where it can take them, and are zeros. */
  readonly discard: (address: Pointer, bytes: number) => Promise<void>;
};

/** Of Linux's sys/mman.h. */
const [dontNeed, noHugePage] = [4, 15];
/** Larger pages exist; the machine then refuses a range that begins inside one, and keeps it. */
const pageBytes = 4_096n;
/** Below it, memory is not mapped by itself, see return-memory.ts. */
const mappedBytes = 2 ** 20;

let opened: LazyMemory | undefined;

/** stdlib.h: large allocations of calloc are mapped, and not written to. */
export function openLazyMemory(): LazyMemory {
  if (opened !== undefined) return opened;
  const library = koffi.load(process.platform === "win32" ? "msvcrt.dll" : null);
  const calloc = pointerFunction(library.symbol("calloc", "void"), "size", "size");
  const free = asyncFunction(library.symbol("free", "void"), null, ["pointer"]);
  const advise =
    process.platform === "linux" ? openAdvice(library.symbol("madvise", "void")) : null;
  opened = {
    allocate: (bytes) => {
      const address = calloc(1, bytes);
      if (address === null) throw new RuntimeError(`there is no memory for ${bytes} bytes`);
      // Where huge pages are the default, the first byte of each would take two megabytes.
      if (bytes >= mappedBytes) advise?.now(...wholePages(address, bytes), noHugePage);
      return address;
    },
    free,
    discard: async (address, bytes) => {
      const [from, length] = wholePages(address, bytes);
      if (length > 0) await advise?.later(from, length, dontNeed);
    },
  };
  return opened;
}

function openAdvice(madvise: Pointer) {
  const kinds = ["pointer", "size", "int"] as const;
  return {
    now: voidFunction(madvise, ...kinds),
    later: asyncFunction(madvise, null, kinds),
  };
}

function wholePages(address: Pointer, bytes: number): [from: Pointer, bytes: number] {
  const from = ((address + pageBytes - 1n) / pageBytes) * pageBytes;
  const to = ((address + BigInt(bytes)) / pageBytes) * pageBytes;
  return [from, Math.max(0, Number(to - from))];
}
