/** What is said to the thread that grammars are compiled and followed in, and what it says. */
import type { Structure } from "#contract/tasks/structure.ts";
import type { Next } from "./matcher.ts";
import type { Vocabulary } from "./vocabulary.ts";

export type ThreadLimits = {
  /** All memory of WebAssembly, in bytes. */
  readonly bytesMax: number;
  /** Compiled grammars that are kept while nothing follows them. */
  readonly grammarsMax: number;
  /**
   * From when on it computes only while no other thread wants its core, where the system can do that: once it has its
   * first vocabulary, so that the first caller waits no longer than for that.
   */
  readonly yields: "at once" | "when ready" | "never";
};

/** Said by a thread when it yields: its number in the system. */
export type ThreadYields = { readonly kind: "yields"; readonly thread: number };

export type ThreadRequest =
  /** Before anything else is said of a vocabulary. */
  | { readonly kind: "vocabulary"; readonly vocabulary: Vocabulary }
  /** Follows a text from its first tokens on, under a number of the caller's own. */
  | {
      readonly kind: "open";
      readonly text: number;
      readonly vocabulary: number;
      readonly key: string;
      readonly structure: Structure;
      readonly tokens: readonly number[];
    }
  | {
      readonly kind: "go";
      readonly text: number;
      readonly takeBack: number;
      readonly tokens: readonly number[];
    }
  | { readonly kind: "close"; readonly text: number };

/** `cpuMs`: of the thread, since it began. */
export type ThreadAnswer = ThreadWords & { readonly cpuMs: number };
export type ThreadWords =
  | { readonly kind: "next"; readonly next: Next; readonly heapBytes: number }
  | { readonly kind: "refused"; readonly message: string; readonly path: string | null }
  | { readonly kind: "done" };
