/**
 * Streams of generated tokens from a decoder in this process: the worker's engine without queue and HTTP. Prompts are
 * random tokens, different in each stream, so that no stream is given what another computed.
 */
import { Engine } from "../../gpu-worker/llm/engine.ts";
import { defaultEngineLimits } from "../../gpu-worker/llm/engine-limits.ts";
import { SlotScheduler } from "../../gpu-worker/batching/slot-scheduler.ts";
import type { DecoderModel } from "../../gpu-worker/model/decoder-model.ts";
import { greedy } from "../../test/llm/write-text.ts";
import { type Random, randomFrom } from "../../contract/random.ts";

/** That one stream may have before another begins. */
const startTokensMax = 600;

/** When each token of a stream came, ms. */
export type StreamTimes = { readonly startedAt: number; readonly tokensAt: readonly number[] };

/** What several streams did while all of them ran. */
export type Steady = {
  /** New tokens of all streams together. */
  readonly tokensPerSecond: number;
  /** Between two tokens of a stream, ascending. */
  readonly gapsMs: readonly number[];
};

type StreamOptions = {
  goesOn?: () => boolean;
  /** As the model's session counts them; 0: none. */
  adapter?: number;
};

/** As many streams as a worker writes side by side, and one slot for a prompt beside them. */
const slots = defaultEngineLimits.slots + 1;

function openEngine(model: DecoderModel): Engine {
  const scheduler = new SlotScheduler();
  return new Engine(model, { scheduler, now: () => performance.now(), limits: { slots } });
}

export class DecodeStreams {
  #engine: Engine;
  readonly #model: DecoderModel;
  readonly #vocabulary: number;
  readonly #random: Random;
  readonly #signal: AbortSignal;

  constructor(model: DecoderModel, signal: AbortSignal) {
    this.#model = model;
    this.#engine = openEngine(model);
    this.#vocabulary = model.limits.vocabularySize;
    this.#random = randomFrom(1);
    this.#signal = signal;
  }

  /** @returns when the tokens after a prompt of `context` came; it ends early where `until` is aborted */
  stream(context: number, newTokens: number, until?: AbortSignal): Promise<StreamTimes> {
    const goesOn = () => until?.aborted !== true;
    return this.#generate(this.#prompt(context), newTokens, { goesOn });
  }

  #prompt(tokens: number): number[] {
    return Array.from({ length: tokens }, () => Math.floor(this.#random() * this.#vocabulary));
  }

  async #generate(
    prompt: readonly number[],
    newTokens: number,
    { goesOn = () => true, adapter = 0 }: StreamOptions = {},
  ): Promise<StreamTimes> {
    const tokensAt: number[] = [];
    const startedAt = performance.now();
    const request = {
      prompt,
      choices: 1,
      maxTokens: newTokens,
      endTokens: new Set<number>(),
      sampling: greedy,
      promptLogprobs: false,
      repeatable: true,
    };
    await this.#engine.generate(request, {
      tenant: "bench",
      adapter,
      signal: this.#signal,
      onToken: () => {
        tokensAt.push(performance.now());
        return goesOn();
      },
      onRun: () => undefined,
    });
    return { startedAt, tokensAt };
  }

  /**
   * `streams` at a time, counted from when the last of them has its first token, for so many tokens of each. Their
   * prompts have been read before, by an engine with nothing else in its slots, so that they begin nearly together.
   * @param adapters of the streams, in turn
   */
  async steady(
    streams: number,
    context: number,
    newTokens: number,
    adapters: readonly number[] = [0],
  ): Promise<Steady> {
    await this.#engine.release(new Error("the engine begins anew"));
    this.#engine = openEngine(this.#model);
    const all = Array.from({ length: streams }, (_, at) => ({
      prompt: this.#prompt(context),
      adapter: adapters[at % adapters.length] ?? 0,
    }));
    for (const { prompt, adapter } of all) await this.#generate(prompt, 1, { adapter });
    let [begun, made] = [0, 0];
    const stream = ({ prompt, adapter }: { prompt: readonly number[]; adapter: number }) => {
      let isFirst = true;
      const goesOn = () => {
        if (isFirst) begun += 1;
        else if (begun === streams) made += 1;
        isFirst = false;
        return made < newTokens * streams;
      };
      return this.#generate(prompt, newTokens + startTokensMax, { goesOn, adapter });
    };
    return steadyOf(await Promise.all(all.map(stream)));
  }

  /** Milliseconds from a prompt of so many tokens to its first token. */
  async firstToken(context: number): Promise<number> {
    const { startedAt, tokensAt } = await this.stream(context, 1);
    return (tokensAt[0] ?? Number.NaN) - startedAt;
  }
}

export function steadyOf(times: readonly StreamTimes[]): Steady {
  const from = Math.max(...times.map(({ tokensAt }) => tokensAt[0] ?? Number.NaN));
  const to = Math.min(...times.map(({ tokensAt }) => tokensAt.at(-1) ?? Number.NaN));
  const counted = times.flatMap(({ tokensAt }) => tokensAt.filter((at) => at > from && at <= to));
  return {
    tokensPerSecond: (counted.length * 1_000) / (to - from),
    gapsMs: times
      .flatMap(({ tokensAt }) => gapsWithin(tokensAt, from, to))
      .toSorted((a, b) => a - b),
  };
}

/** Milliseconds between neighbours of which both lie within. */
export function gapsWithin(tokensAt: readonly number[], from: number, to: number): number[] {
  return tokensAt
    .map((at, index) => ({ at, before: tokensAt[index - 1] ?? Infinity }))
    .filter(({ at, before }) => before >= from && at <= to)
    .map(({ at, before }) => at - before);
}
