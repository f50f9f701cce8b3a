/**
 * Structures as what holds a choice's tokens to them. Each is tried first, compiled in a thread that nothing else runs
 * in, apart from what serves, and that is ended where it takes too long; one that passes is known from then on, however
 * many ask.
 */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { CodedError } from "#contract/errors.ts";
import type { Structure } from "#contract/tasks/structure.ts";
import { FairTurns } from "../event-loop/fair-turns.ts";
import { orAborted } from "../event-loop/or-aborted.ts";
import { SharedTask } from "../event-loop/shared-task.ts";
import type { DecoderModel } from "../model/decoder-model.ts";
import type { TokenConstraint } from "../model/token-constraint.ts";
import { ThreadConstraint } from "./constraint.ts";
import { ForcedTokens } from "./forced-tokens.ts";
import { GrammarThread, ThreadEnded, ThreadStarved } from "./grammar-thread.ts";
import { Lanes } from "./lanes.ts";
import { nextTokens } from "./next-tokens.ts";
import { ProvenGrammar, type WantedGrammar } from "./proven-grammar.ts";
import { ThreadsApart } from "./threads-apart.ts";
import { readVocabulary, type Vocabulary } from "./vocabulary.ts";
import { YieldPolicy } from "./yield-policy.ts";

export type GrammarLimits = {
  /** Of compiling one. Default 3 seconds: on a slow processor two tools took 2 now and then. */
  readonly milliseconds: number;
  /** Of XGrammar's memory while it does, a vocabulary included. Default 192 MiB. */
  readonly bytesMax: number;
};

const defaults: GrammarLimits = { milliseconds: 3_000, bytesMax: 192 * 2 ** 20 };

/** Of those that are known to compile; most of what they hold of memory is in the threads. */
const knownMax = 512;
const bytesKnownMax = 32 * 2 ** 20;

export type Asked = { readonly structure: Structure; readonly param: string };
export type Asker = { readonly signal: AbortSignal; readonly tenant: string };

type Words = { readonly vocabulary: Vocabulary; readonly forced: ForcedTokens };
type Wanted = WantedGrammar & Words;
/** What became of a trial. */
type Proof = ProvenGrammar | { readonly message: string; readonly path: string | null };
/** Of one that was refused, about. */
const refusedBytes = 1_024;

export class Grammars {
  readonly #limits: GrammarLimits;
  readonly #yielding = new YieldPolicy();
  readonly #apart = new Map<"yields" | "lower", ThreadsApart>();
  readonly #lanes = new Lanes((...started) => this.#threadsApart().start(...started));
  readonly #turns = new FairTurns<string>();
  readonly #words = new WeakMap<DecoderModel["tokenizer"], Promise<Words>>();
  readonly #known = new LRUCache<string, Proof>({
    max: knownMax,
    maxSize: bytesKnownMax,
    sizeCalculation: (proof) => (proof instanceof ProvenGrammar ? proof.bytes : refusedBytes),
  });
  readonly #trials = new Map<string, SharedTask<Proof>>();
  #trialThread: GrammarThread | null = null;
  #closed = false;

  constructor(limits: Partial<GrammarLimits> = {}) {
    this.#limits = { ...defaults, ...limits };
  }

  /** What each choice is held to. @throws CodedError for a structure that cannot be kept to; the signal's reason */
  async constrain(
    model: DecoderModel,
    { structure, param }: Asked,
    { signal, tenant }: Asker,
  ): Promise<() => TokenConstraint> {
    const words = await orAborted(this.#wordsOf(model), signal);
    const text = JSON.stringify(structure);
    const key = createHash("sha256").update(text).digest("base64");
    const wanted = { key, structure, length: text.length, ...words };
    const proof = await this.#proofOf(wanted, { signal, tenant });
    const refuse = (message: string, path: string | null) =>
      refused({ structure, param }, message, path);
    if ("message" in proof) throw refuse(proof.message, proof.path);
    const starved = () => this.#yielding.pause();
    const { forced } = words;
    const options = { lanes: this.#lanes, grammar: proof, forced, starved, refuse };
    return () => new ThreadConstraint(options);
  }

  close(): void {
    this.#closed = true;
    this.#lanes.end();
    this.#trialThread?.end();
    for (const threads of this.#apart.values()) threads.end();
  }

  #wordsOf({ tokenizer, endTokens }: DecoderModel): Promise<Words> {
    const known = this.#words.get(tokenizer);
    if (known !== undefined) return known;
    const words = readVocabulary(tokenizer, endTokens).then((vocabulary) => ({
      vocabulary,
      forced: new ForcedTokens(tokenizer, vocabulary),
    }));
    this.#words.set(tokenizer, words);
    return words;
  }

  async #proofOf(wanted: Wanted, { signal, tenant }: Asker): Promise<Proof> {
    const key = `${wanted.vocabulary.id} ${wanted.key}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const running = this.#trials.get(key);
    const trial =
      running === undefined || running.givenUp
        ? new SharedTask((given) => this.#turns.run(tenant, () => this.#try(wanted, given)))
        : running;
    this.#trials.set(key, trial);
    try {
      const proof = await trial.join(signal);
      this.#known.set(key, proof);
      return proof;
    } finally {
      if (this.#trials.get(key) === trial) this.#trials.delete(key);
    }
  }

  async #try(wanted: Wanted, signal: AbortSignal): Promise<Proof> {
    try {
      return await this.#tryOnce(wanted, signal);
    } catch (error) {
      if (!(error instanceof ThreadStarved)) throw error;
      this.#yielding.pause();
      return this.#tryOnce(wanted, signal);
    }
  }

  async #tryOnce(wanted: Wanted, signal: AbortSignal): Promise<Proof> {
    signal.throwIfAborted();
    const thread = await this.#freshThread(wanted.vocabulary);
    const { milliseconds, bytesMax } = this.#limits;
    const { key, structure, vocabulary } = wanted;
    const text = {
      kind: "open",
      text: 0,
      vocabulary: vocabulary.id,
      key,
      structure,
      tokens: [],
    } as const;
    try {
      const answer = await thread.ask(text, milliseconds);
      if (answer.kind === "refused") return answer;
      const first = await nextTokens(answer, wanted.forced);
      await thread.ask({ kind: "close", text: 0 }, milliseconds);
      return new ProvenGrammar(wanted, first, answer.tookMs);
    } catch (error) {
      if (!(error instanceof ThreadEnded) || error instanceof ThreadStarved) throw error;
      // Of XGrammar, which aborts; anything else is a fault of ours.
      if (error.cause instanceof Error && !isAbort(error.cause)) throw error;
      const most = `${milliseconds / 1_000} s or ${Math.round(bytesMax / 2 ** 20)} MiB`;
      const message = `compiling it takes more than ${most}. Ask for less: fewer alternatives or repetitions`;
      const { compiles: path } = thread;
      // What is asked for next waits for no start.
      if (!this.#closed) this.#trialThreadFor(vocabulary);
      return { message, path };
    }
  }

  /** A process of its own for threads, for good. */
  #threadsApart(): ThreadsApart {
    const kind = this.#yielding.yields ? "yields" : "lower";
    const known = this.#apart.get(kind);
    if (known !== undefined && !known.ended) return known;
    const threads = new ThreadsApart(kind === "yields");
    this.#apart.set(kind, threads);
    return threads;
  }

  #trialThreadFor(vocabulary: Vocabulary): GrammarThread {
    const current = this.#trialThread;
    const { bytesMax } = this.#limits;
    const large = current !== null && current.heapBytes > bytesMax / 2;
    if (large) current.end();
    const thread =
      current === null || current.ended
        ? new GrammarThread({ bytesMax, grammarsMax: 1 }, this.#threadsApart().start)
        : current;
    this.#trialThread = thread;
    thread.learn(vocabulary);
    return thread;
  }

  /** Ready for a trial: its start and a vocabulary are on nobody's time. */
  async #freshThread(vocabulary: Vocabulary): Promise<GrammarThread> {
    const thread = this.#trialThreadFor(vocabulary);
    await thread.idle();
    return thread;
  }
}

function isAbort({ name, message }: Error): boolean {
  return name === "RuntimeError" || name === "RangeError" || /memory/i.test(message);
}

function refused({ structure, param }: Asked, message: string, path: string | null): CodedError {
  const words = `${param} cannot be kept to: ${path === null ? "" : `at ${path}, `}${message}.`;
  const code = structure.type === "json_schema" ? "invalid_json_schema" : "invalid_value";
  return new CodedError(code, words, { param });
}
