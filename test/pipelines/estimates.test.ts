/**
 * What the edge reserves for a request, beside what the pipelines then really read; and what a tenant can read at most,
 * however its requests come, with the settlements that follow from that.
 */
import { DatabaseSync } from "node:sqlite";
import { Tiktoken } from "js-tiktoken/lite";
import ranks from "js-tiktoken/ranks/cl100k_base";
import { afterAll, describe, expect, it } from "vitest";
import { estimateCl100k } from "../../contract/cl100k-estimate.ts";
import { limits } from "../../contract/limits.ts";
import { taskNames } from "../../contract/task-table.ts";
import type { Task } from "../../contract/tasks.ts";
import { QuotaLedger, type Sql } from "../../edge/accounts/quota-ledger.ts";
import { estimateTokens } from "../../edge/tasks/estimate-units.ts";
import { estimateUnits } from "../../edge/tasks/estimate-units.ts";
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import type { Pipeline } from "../../gpu-worker/pipelines/pipeline.ts";
import { pipelines } from "../../gpu-worker/pipelines/pipelines.ts";
import { madeUpDecoder, randomEngine } from "../jobs/random-model.ts";
import { loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import {
  countingContext,
  modelFor,
  type RandomRequest,
  type Random,
  randomRequest,
  randomText,
} from "./random-requests.ts";
import { seededRandom, textsInManyScripts, tokenizerFolders } from "./texts-in-many-scripts.ts";

const served = taskNames.filter((task) => task !== "noop");
const cl100k = new Tiktoken(ranks);
const minilm = await loadTokenizer(tokenizerFolders[0]?.[1] ?? "");
/** Entities are found by a model of its own, in cased words. */
const finder = modelFor("token-classification", minilm, { maxTokens: 512, vectors: false });

describe("the estimate of a text", () => {
  const prose =
    "The committee decided on Monday that every railway station between Paris and Warsaw gets a new roof before the " +
    "winter comes, while engineers still argue about its price. Nobody had expected so much rain in early spring.";

  it("is at most twice what a model reads of prose, and no less than it", async () => {
    const [read] = await minilm.encode([prose]);
    const tokens = read?.ids.length ?? 0;
    const estimated = estimateTokens(prose, Infinity);
    expect(estimated).toBeGreaterThanOrEqual(tokens);
    expect(estimated).toBeLessThanOrEqual(2 * tokens);
  });

  it.each(tokenizerFolders)(
    "is near what is read in any script, by the tokenizer of %s",
    async (name, folder) => {
      const tokenizer = await loadTokenizer(folder);
      const random = seededRandom(11);
      const texts = [
        ...textsInManyScripts(300, 60),
        ...Array.from({ length: 300 }, () => randomText(random, 300)),
        ..."bcdfghjklmnpqrstvwxz".split("").map((letter) => `${letter}qjx`.repeat(50)),
        ...["٩", "ﷺ", "㌀", ".", "\n", "\u0001", "한", "ß", "é", "k ", "7"].map((c) =>
          c.repeat(200),
        ),
      ];
      // The tokenizers that tests make know hardly any words: each letter of most is a token.
      const least = name === "minilm" ? 1 / 2 : 1 / 3;
      for (const [at, { ids }] of (await tokenizer.encode(texts)).entries()) {
        const text = texts[at] ?? "";
        const share = (estimateTokens(text, Infinity) + 2) / (ids.length + 2);
        expect.soft(share, JSON.stringify(text.slice(0, 80))).toBeGreaterThanOrEqual(least);
      }
    },
  );

  it.each(tokenizerFolders)(
    "given as cl100k_base ids is what is read or more, half where hardly a word is known: tokenizer of %s",
    async (name, folder) => {
      const tokenizer = await loadTokenizer(folder);
      const random = seededRandom(12);
      const texts = [
        prose,
        ...textsInManyScripts(300, 60),
        ...Array.from({ length: 300 }, () => randomText(random, 300)),
        ...[..."-=*#./_+%~"].map((sign) => `Title\n${sign.repeat(400)}\n\t${sign.repeat(15)}`),
      ];
      const model = { limits: { maxTokens: 10_000, dimensions: 384, vocabularySize: 30_522 } };
      const parameters = { token_ids: "either" } as const;
      // See above: of a tokenizer that knows hardly any words, at most twice as much is read.
      const least = name === "minilm" ? 1 : 1 / 2;
      for (const [at, { ids }] of (await tokenizer.encode(texts)).entries()) {
        const given = cl100k.encode(texts[at] ?? "", "all");
        const call = { task: "feature-extraction", inputs: [given], parameters } as const;
        const share = estimateUnits(call, model) / (ids.length + tokenizer.specialTokens.single);
        expect.soft(share, JSON.stringify(texts[at])).toBeGreaterThanOrEqual(least);
      }
    },
  );

  it("looks at no more of a text than a model reads", () => {
    expect(estimateTokens("a ".repeat(1_000_000), 512)).toBe(512);
  });
});

/** Tokens a request is reserved for, and those it reads; null: it is refused when it is read. */
async function priceOf(request: RandomRequest): Promise<{ reserved: number; read: number | null }> {
  const { task, inputs, parameters, vectors } = request;
  const model: EncoderModel = modelFor(task, minilm, { maxTokens: vectors ? 256 : 512, vectors });
  const reserved = estimateUnits({ task, inputs, parameters }, model);
  const pipeline = pipelines[task];
  if (pipeline.kind === "direct") return { reserved, read: 0 };
  if (pipeline.kind === "mixed") throw new Error(`no caller names ${task}`);
  const context = countingContext(finder);
  try {
    if (pipeline.kind === "decoder") return { reserved, read: await madeOf(request) };
    await pipeline.answer({ task, inputs, parameters } as never, model as never, context);
  } catch (error) {
    if (error instanceof Error && "code" in error) return { reserved, read: null };
    throw error;
  }
  return { reserved, read: runsNoModel(task) ? await tokensOf(inputs) : context.tokens };
}

const decoder = madeUpDecoder(minilm);
const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0, openEngine: randomEngine });
afterAll(() => runner.close());

/** Tokens that a decoder reads and writes. */
async function madeOf({ task, inputs, parameters }: RandomRequest): Promise<number> {
  const pipeline: Pipeline<Task> = pipelines[task];
  if (pipeline.kind === "direct" || pipeline.kind === "file") return 0;
  const { signal } = new AbortController();
  const { usage } = await runner.run(pipeline, { task, inputs, parameters }, decoder, { signal });
  return usage.promptTokens + (usage.completionTokens ?? 0);
}

function runsNoModel(task: Task): boolean {
  return task === "tokenize" || task === "detokenize";
}

/** As the tokenizer counts them, special tokens aside. */
async function tokensOf(inputs: readonly unknown[]): Promise<number> {
  const texts = inputs.filter((input) => typeof input === "string");
  const ids = inputs.flatMap((input) => (Array.isArray(input) ? input : []));
  const encoded = await minilm.encode(texts);
  return ids.length + encoded.reduce((sum, { ids: own }) => sum + own.length, 0);
}

/** Tokens of cl100k_base whose text has more characters that are tokens by themselves than the usual id counts for. */
it("counts each run of signs that is one token of cl100k_base", async () => {
  const texts = Array.from({ length: 100_256 }, (_, id) => cl100k.decode([id]));
  for (const [id, text] of texts.entries()) {
    const signs = [...text.replaceAll(/[A-Za-z\s\ufffd]/g, "")].length;
    const expected = signs > 8 ? signs : 4;
    if (estimateCl100k([id]) !== expected) expect.soft([id, estimateCl100k([id])]).toBe(expected);
  }
  const model = await minilm.encode(texts);
  const shares = model.map(({ ids }, id) => estimateCl100k([id]) / Math.max(1, ids.length));
  // The longest names of Windows and Apple's libraries, each one id.
  expect(Math.min(...shares)).toBeGreaterThanOrEqual(1 / 4);
});

describe("the estimate of a request", () => {
  it.each(served.filter((task) => task !== "relation-extraction"))(
    "of %s is at least half of what is read",
    async (task) => {
      const random = seededRandom(7);
      let compared = 0;
      for (let count = 0; count < 40; count += 1) {
        const request = randomRequest(task, random);
        const { reserved, read } = await priceOf(request);
        if (read === null) continue;
        compared += 1;
        const shown = JSON.stringify(request).slice(0, 300);
        expect.soft(reserved, shown).toBeGreaterThanOrEqual(read / 2);
        expect.soft(reserved, shown).toBeLessThanOrEqual(limits.tokensPerRequestMax);
      }
      expect(compared).toBeGreaterThan(10);
    },
  );

  it("of relations in names is near what is read, where every name is found", async () => {
    const names = ["Ann", "Bob", "Cleo", "Dora", "Emil", "Finn"];
    for (let count = 2; count <= names.length; count += 1) {
      const text = names.slice(0, count).join(" met ");
      const call = { task: "relation-extraction", inputs: [text], parameters: {} } as const;
      const model = modelFor("relation-extraction", minilm, { maxTokens: 512, vectors: false });
      const [encoded] = await minilm.encode([text]);
      const marks = "<e1></e1><e2></e2>";
      const [marked] = await minilm.encode([text + marks]);
      const pairs = count * (count - 1);
      const read = (encoded?.ids.length ?? 0) + 2 + pairs * ((marked?.ids.length ?? 0) + 2);
      expect(estimateUnits(call, model)).toBeGreaterThanOrEqual(read / 4);
    }
  });
});

/** A Durable Object's SQL over Node's SQLite. */
function sqlInMemory(): Sql {
  const database = new DatabaseSync(":memory:");
  return {
    exec<Row>(query: string, ...bindings: (string | number | null)[]) {
      if (bindings.length === 0 && query.split(";").filter((part) => part.trim()).length > 1) {
        database.exec(query);
        return { toArray: (): Row[] => [], one: (): Row => ({}) as Row };
      }
      const rows = database.prepare(query).all(...bindings) as Row[];
      const [first] = rows;
      return { toArray: () => rows, one: () => first ?? ({} as Row) };
    },
  };
}

const dayMs = 86_400_000;
const midnightMs = Date.UTC(2026, 10, 2);
const free = { requestsPerMinute: 60, unitsPerDay: 20_000, openRequests: 8 };

type Priced = { reserved: number; read: number | null };
type Open = { id: string; price: Priced; sinceMs: number };
type Life = {
  readByDay: number[];
  openAtMost: number;
  openWhenFirstEnded: number;
  openAtLast: number;
};
/** Past an hour a job gives its place up. */
const lifeMsMax = 3_000_000;

/** Two days of one tenant, whose requests come and end at random times. */
function liveTwoDays(random: Random, prices: readonly Priced[]): Life {
  const ledger = new QuotaLedger(sqlInMemory());
  const open: Open[] = [];
  const life = { readByDay: [0, 0], openAtMost: 0, openWhenFirstEnded: 0, openAtLast: 0 };
  const readOf = (requests: readonly Open[]) =>
    requests.reduce((sum, { price }) => sum + (price.read ?? 0), 0);
  let count = 0;
  for (let nowMs = midnightMs; nowMs < midnightMs + 2 * dayMs;) {
    nowMs += Math.floor(random() * 240_000);
    const day = nowMs < midnightMs + dayMs ? 0 : 1;
    const old = open.findIndex(({ sinceMs }) => sinceMs < nowMs - lifeMsMax);
    if (old !== -1 || random() < 0.45) {
      const [ended] = open.splice(old === -1 ? Math.floor(random() * open.length) : old, 1);
      if (ended !== undefined) ledger.settle(ended.id, ended.price.read ?? 0, nowMs);
      continue;
    }
    if (nowMs >= midnightMs + 2 * dayMs) break;
    const price = pickFrom(random, prices);
    const id = `job-${(count += 1)}`;
    const request = { jobId: id, requestKey: null, units: price.reserved };
    const { refusal } = ledger.reserve(request, free, nowMs);
    if (refusal !== null) continue;
    open.push({ id, price, sinceMs: nowMs });
    // Counted on the day it was admitted, however late it is read.
    life.readByDay[day] = (life.readByDay[day] ?? 0) + (price.read ?? 0);
    life.openAtMost = Math.max(life.openAtMost, open.length);
    if (day === 0) life.openWhenFirstEnded = readOf(open);
    life.openAtLast = readOf(open);
  }
  return life;
}

function pickFrom<T>(random: Random, from: readonly T[]): T {
  const found = from[Math.floor(random() * from.length)];
  if (found === undefined) throw new Error("there is nothing to pick from");
  return found;
}

describe("a tenant", () => {
  it("reads in two days no more than two quotas and what was open when one ended, eight at once", async () => {
    const random = seededRandom(3);
    const prices: Priced[] = [];
    for (const task of served) {
      for (let at = 0; at < 8; at += 1) prices.push(await priceOf(randomRequest(task, random)));
    }
    // Whatever an estimate may come to, one day.
    const wrong = [500, 20_000, 300_000].map((read) => ({ reserved: 10, read }));
    for (let seed = 0; seed < 30; seed += 1) {
      const own = seededRandom(seed);
      const life = liveTwoDays(own, seed % 2 === 0 ? prices : [...prices, ...wrong]);
      const [first = 0, second = 0] = life.readByDay;
      expect(life.openAtMost).toBeLessThanOrEqual(8);
      expect(first).toBeLessThanOrEqual(free.unitsPerDay + life.openWhenFirstEnded);
      const most = Math.max(life.openWhenFirstEnded, life.openAtLast);
      expect(first + second).toBeLessThanOrEqual(2 * free.unitsPerDay + most);
    }
  });
});
