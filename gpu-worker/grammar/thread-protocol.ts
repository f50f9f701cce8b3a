/**
 * What is said to the threads that grammars are compiled and followed in, and what they say: each by itself, and all of
 * a process that has several.
 */
import type { Structure } from "#contract/tasks/structure.ts";
import type { Next } from "./matcher.ts";
import type { Vocabulary } from "./vocabulary.ts";

export type ThreadLimits = {
  /** All memory of WebAssembly, in bytes. */
  readonly bytesMax: number;
  /** Compiled grammars that are kept while nothing follows them. */
  readonly grammarsMax: number;
};

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
  | { readonly kind: "done" }
  /** What is compiled from now on: where in a schema most of it comes from. No answer. */
  | { readonly kind: "compiles"; readonly path: string | null };

/** To a process of threads, of one of them. */
export type ProcessRequest = { readonly thread: number } & (
  | { readonly kind: "start"; readonly limits: ThreadLimits }
  /** Of a vocabulary that the process knows, or is told of now. */
  | { readonly kind: "learn"; readonly id: number; readonly vocabulary: Vocabulary | null }
  | { readonly kind: "ask"; readonly request: Exclude<ThreadRequest, { kind: "vocabulary" }> }
  | { readonly kind: "cpu" }
  | { readonly kind: "end" }
);

export type ProcessAnswer = { readonly thread: number } & (
  | { readonly kind: "runs"; readonly number: number }
  | { readonly kind: "said"; readonly answer: ThreadAnswer }
  | { readonly kind: "cpu"; readonly milliseconds: number }
  | { readonly kind: "ended"; readonly error: ThreadFault | null }
);

/** What went wrong in a thread. */
export type ThreadFault = Pick<Error, "name" | "message" | "stack">;
