/**
 * What it costs to hold texts to a JSON schema: tokens a second of eight streams of SmolLM2-135M-Instruct with it and
 * without, and how long a text of a schema that is known waits for its first mask, beside llama.cpp's own grammar of
 * the same schema on the same file; and how long free streams wait for a token beside structures out to take time.
 */
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import type { Structure } from "#contract/tasks/structure.ts";
import { SlotScheduler } from "../gpu-worker/batching/slot-scheduler.ts";
import { Grammars } from "../gpu-worker/grammar/grammars.ts";
import { defaultEngineLimits } from "../gpu-worker/llm/engine-limits.ts";
import { Engine } from "../gpu-worker/llm/engine.ts";
import type { DecoderModel } from "../gpu-worker/model/decoder-model.ts";
import type { TokenConstraint } from "../gpu-worker/model/token-constraint.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import { anySchema, largest, schemaOf } from "../test/grammar/hostile-structures.ts";
import { greedy } from "../test/llm/write-text.ts";
import { type Bench, comparedRow, plainRow } from "./bench.ts";
import { sharedFolder } from "./harness/corpus.ts";
import { median, quantile } from "./harness/http-load.ts";
import { installLlama } from "./harness/llama-cpp.ts";
import { peerScript, runPeer } from "./harness/peer-process.ts";
import { ServedModels, threads } from "./harness/served-models.ts";

const stateFolder = path.resolve(import.meta.dirname, "..", ".bench", "structure");
const id = "SmolLM2-135M-Instruct";
const gguf = path.join(sharedFolder, "models", id, `${id}.Q4_1.gguf`);
const streams = 8;
/** Of each stream, at most; texts are made so long by the number of people. */
const tokens = 160;
const rounds = 3;
const texts = 100;
/** From a refusal to the caller's next request. */
const refusedMilliseconds = 5;
const prompt = "Write a list of people with their ages and their favourite colours, number";

const person = {
  type: "object",
  properties: {
    name: { type: "string" },
    age: { type: "integer", minimum: 0, maximum: 130 },
    colours: { type: "array", items: { enum: ["red", "green", "blue"] }, maxItems: 2 },
    married: { type: "boolean" },
  },
  required: ["name", "age", "colours", "married"],
  additionalProperties: false,
} as const;
const schema = { type: "array", items: person, minItems: 4, maxItems: 12 } as const;
/** Of a text beside free streams: room for a person, however many of its tokens a structure takes. */
const besideTokens = 48;

type Held = (() => TokenConstraint) | null;

class Writers {
  readonly #model: DecoderModel;
  readonly #signal: AbortSignal;
  readonly #prompts: readonly number[][];

  constructor(model: DecoderModel, prompts: readonly number[][], signal: AbortSignal) {
    this.#model = model;
    this.#prompts = prompts;
    this.#signal = signal;
  }

  /** @returns tokens a second of all streams together, and the part of them that was forced */
  async rate(constraint: Held, seed: number): Promise<{ rate: number; forced: number }> {
    const engine = this.#engine();
    let [made, forced] = [0, 0];
    const began = performance.now();
    await Promise.all(
      this.#prompts.map((ids, at) =>
        this.#write(engine, ids, { constraint, seed: seed + at }, (isForced) => {
          made += 1;
          if (isForced) forced += 1;
        }),
      ),
    );
    const rate = (made * 1_000) / (performance.now() - began);
    await engine.release(new Error("the round is over"));
    return { rate, forced: forced / made };
  }

  /**
   * Milliseconds between tokens of free streams, sorted, while `beside` goes on.
   * @param beside writes a short text under a constraint, until its signal
   */
  async gaps(
    beside: (
      write: (held: () => TokenConstraint) => Promise<void>,
      over: AbortSignal,
    ) => Promise<void>,
  ): Promise<number[]> {
    const engine = this.#engine();
    const over = new AbortController();
    const [short = []] = this.#prompts;
    const others = beside(
      (constraint) =>
        this.#write(engine, short, { constraint, seed: 1, length: besideTokens }, () => {}),
      over.signal,
    );
    const gaps: number[] = [];
    await Promise.all(
      this.#prompts.map((ids, at) => {
        let last: number | null = null;
        return this.#write(engine, ids, { constraint: null, seed: at }, () => {
          const now = performance.now();
          if (last !== null) gaps.push(now - last);
          last = now;
        });
      }),
    );
    over.abort();
    await others;
    await engine.release(new Error("the round is over"));
    return gaps.toSorted((a, b) => a - b);
  }

  #engine(): Engine {
    const limits = { slots: defaultEngineLimits.slots };
    const scheduler = new SlotScheduler();
    return new Engine(this.#model, { scheduler, now: () => performance.now(), limits });
  }

  async #write(
    engine: Engine,
    ids: number[],
    { constraint, seed, length = tokens }: { constraint: Held; seed: number; length?: number },
    onToken: (forced: boolean) => void,
  ): Promise<void> {
    const { endTokens } = this.#model;
    await engine.generate(
      {
        prompt: ids,
        choices: 1,
        maxTokens: length,
        // Free text goes on as long.
        endTokens: constraint === null ? new Set<number>() : endTokens,
        sampling: { ...greedy, temperature: 1, seed },
        promptLogprobs: false,
        repeatable: true,
        ...(constraint && { constraint }),
      },
      {
        tenant: constraint === null ? "free" : "held",
        signal: this.#signal,
        onRun: () => undefined,
        onToken: (_, { token, forced = false }) => {
          onToken(forced);
          return constraint === null || !endTokens.has(token);
        },
      },
    );
  }
}

const nothing = async (): Promise<void> => {};

/** One after the other, each compiled, and written by if it can be. */
function oneAfterAnother(
  structureAt: (at: number) => Structure,
  compile: (structure: Structure) => Promise<() => TokenConstraint>,
) {
  return async (write: (held: () => TokenConstraint) => Promise<void>, over: AbortSignal) => {
    for (let at = 0; !over.aborted; at += 1) {
      const structure = structureAt(at);
      try {
        await write(await compile(structure));
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        // A caller whose request is refused has to send another.
        await pause(refusedMilliseconds, undefined, { signal: over }).catch(() => undefined);
      }
    }
  };
}

/** Milliseconds from asking for a schema that is known to the first mask. */
async function firstMasks(constrain: () => Promise<() => TokenConstraint>): Promise<number[]> {
  const times: number[] = [];
  for (let text = 0; text < texts; text += 1) {
    const began = performance.now();
    using constraint = (await constrain())();
    await constraint.next();
    times.push(performance.now() - began);
  }
  return times.toSorted((a, b) => a - b);
}

const Peer = z.object({ free: z.number(), held: z.number() });

export const bench: Bench = {
  summary: "tokens a second held to a JSON schema and free, beside llama.cpp's grammar",
  run: async (context) => {
    const { print, signal } = context;
    if (!existsSync(gguf)) throw new Error(`needs ${path.relative(process.cwd(), gguf)}`);
    const modelsFolder = path.join(stateFolder, "models");
    rmSync(modelsFolder, { recursive: true, force: true });
    mkdirSync(modelsFolder, { recursive: true });
    symlinkSync(path.dirname(gguf), path.join(modelsFolder, id));
    const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
    const served = await ServedModels.open({ runtime, stateFolder, modelsFolder, form: "auto" });
    const model = await served.loadDecoder(id, signal);
    const grammars = new Grammars();
    const structure = { type: "json_schema" as const, schema: JSON.stringify(schema) };
    const asked = { structure, param: "structure" };
    const constrain = () => grammars.constrain(model, asked, { signal, tenant: "bench" });
    const began = performance.now();
    const constraint = await constrain();
    const compiled = performance.now() - began;
    await firstMasks(constrain);
    const masks = await firstMasks(constrain);
    const encoded = await model.tokenizer.encode(
      Array.from({ length: streams }, (_, at) => `${prompt} ${at}.\n`),
    );
    const writers = new Writers(
      model,
      encoded.map(({ ids }) => ids),
      signal,
    );
    await writers.rate(null, 0);
    const [free, held, forced]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < rounds; round += 1) {
      free.push((await writers.rate(null, 100 * round)).rate);
      const own = await writers.rate(constraint, 100 * round);
      held.push(own.rate);
      forced.push(own.forced);
      print(`free ${free.at(-1)?.toFixed(0)}, held ${own.rate.toFixed(0)} tokens/s`);
    }
    const alone = await writers.gaps(nothing);
    const compile = (other: Structure) =>
      grammars.constrain(
        model,
        { structure: other, param: "structure" },
        { signal, tenant: "hostile" },
      );
    const one = { type: "json_schema" as const, schema: JSON.stringify(person) };
    const harmless = await writers.gaps(oneAfterAnother(() => one, compile));
    const hostile = await writers.gaps(
      oneAfterAnother((at) => largest[at] ?? schemaOf(anySchema(3)), compile),
    );
    grammars.close();
    await served.close();
    await installLlama(context);
    const input = { file: gguf, threads, streams, prompt, schema, tokens };
    const args = [peerScript("llama-cpp-grammar.mjs")];
    const peer = await runPeer({ program: process.execPath, args, input }, Peer, signal);
    const name = "llama.cpp Q4_1";
    return [
      plainRow("a schema is compiled, threads started", "ms", compiled),
      plainRow("first mask of a known schema p50", "ms", quantile(masks, 0.5)),
      plainRow("first mask of a known schema p99", "ms", quantile(masks, 0.99)),
      comparedRow(`${streams} streams, free`, "tokens/s", median(free), { name, value: peer.free }),
      comparedRow(`${streams} streams, held`, "tokens/s", median(held), { name, value: peer.held }),
      plainRow("held / free", "×", median(held) / median(free)),
      plainRow("of the tokens forced", "×", median(forced)),
      comparedRow("between two tokens beside a known schema p99", "ms", quantile(harmless, 0.99), {
        name: "alone",
        value: quantile(alone, 0.99),
      }),
      comparedRow(
        "between two tokens beside hostile structures p99",
        "ms",
        quantile(hostile, 0.99),
        {
          name: "beside a known schema",
          value: quantile(harmless, 0.99),
        },
      ),
    ];
  },
};
