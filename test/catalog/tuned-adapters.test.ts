/**
 * Adapters of low rank through the catalog: what is refused, what shares batches, what comes and goes while others
 * run.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import type { EncoderRow } from "../../gpu-worker/model/encoder-row.ts";
import { wordShapes } from "../../gpu-worker/model/word-shapes.ts";
import { runRows } from "../../gpu-worker/model/run-rows.ts";
import { textClassification } from "../../gpu-worker/pipelines/text-classification.ts";
import { acquireEncoder } from "./acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench, stateOf, until } from "./catalog-bench.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";
import { writeTunedAdapter } from "./tuned-adapter.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});

afterEach(() => bench.close());

async function refusalOf(catalog: Catalog, id: string): Promise<string | null> {
  await expect(catalog.acquire(id, never)).rejects.toMatchObject({ code: "model_not_servable" });
  return stateOf(catalog, id).reason;
}

const text = "a quick brown fox";

/** Batches that were run, and what each model makes of the text. */
class Classifying {
  batches = 0;
  readonly #catalog: Catalog;
  readonly #runner: TaskRunner;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#runner = new TaskRunner({
      policy: { ...cpuBatchPolicy, tokensMin: cpuBatchPolicy.tokensMax },
      now: () => 0,
      onBatch: () => (this.batches += 1),
    });
  }

  async scoreBy(id: string): Promise<number> {
    const { model, release } = await this.#catalog.lease(id, never);
    const request = { task: "text-classification" as const, inputs: [text], parameters: {} };
    try {
      const { outputs } = await this.#runner.run(textClassification, request, model, {
        signal: never,
      });
      return outputs[0]?.find(({ label }) => label === "a")?.score ?? NaN;
    } finally {
      release();
    }
  }
}

describe("adapters of low rank", () => {
  it("share the batches of one session, beside which the base keeps its own", async () => {
    const ids = ["one", "two", "three"];
    for (const [at, id] of ids.entries()) {
      await writeTunedAdapter(bench, id, { seed: at + 1, rank: 2 ** (2 * at) });
    }
    const catalog = await bench.open();
    const [one, two, three] = await Promise.all(ids.map((id) => acquireEncoder(catalog, id)));
    const base = await acquireEncoder(catalog, "tiny");
    expect(new Set([one?.session, two?.session, three?.session]).size).toBe(1);
    expect(base.session).not.toBe(one?.session);
    const classifying = new Classifying(catalog);
    const alone: number[] = [];
    for (const id of ids) alone.push(await classifying.scoreBy(id));
    expect(classifying.batches).toBe(3);
    // However late some of them come, others wait for the batch before.
    const calls = Array.from({ length: 60 }, (_, call) => call % ids.length);
    const together = await Promise.all(calls.map((at) => classifying.scoreBy(ids[at] ?? "")));
    expect(classifying.batches).toBeLessThan(3 + calls.length / 2);
    for (const [call, score] of together.entries()) {
      expect(score).toBeCloseTo(alone[call % ids.length] ?? NaN, 6);
    }
    expect(new Set(alone.map((score) => score.toFixed(4))).size).toBe(3);
  });

  it("come and go while others run, each with its own answers to the last", async () => {
    const ids = Array.from({ length: 6 }, (_, at) => `tuned-${at}`);
    for (const [at, id] of ids.entries()) {
      await writeTunedAdapter(bench, id, { seed: at + 1, rank: [1, 2, 9, 20, 3, 4][at] ?? 1 });
    }
    const catalog = await bench.open();
    const classifying = new Classifying(catalog);
    const alone = new Map<string, number>();
    for (const id of ids) {
      alone.set(id, await classifying.scoreBy(id));
      await catalog.release(id);
    }
    expect(stateOf(catalog, "tiny").loaded).toBe(true);
    let wrong = 0;
    const ask = async (id: string, times: number) => {
      for (let time = 0; time < times; time += 1) {
        const score = await classifying.scoreBy(id);
        if (Math.abs(score - (alone.get(id) ?? NaN)) > 1e-5) wrong += 1;
        // Of those that others ask for at this moment nothing is released.
        const other = ids[(time + 1) % ids.length] ?? "";
        if (stateOf(catalog, other).loaded) await catalog.release(other);
      }
    };
    await Promise.all([...ids, ...ids].map((id) => ask(id, 30)));
    expect(wrong).toBe(0);
  });

  it("are never run by a number whose adapter has gone", async () => {
    await writeTunedAdapter(bench, "one");
    await writeTunedAdapter(bench, "two", { seed: 2 });
    const catalog = await bench.open();
    const one = await acquireEncoder(catalog, "one");
    const two = await acquireEncoder(catalog, "two");
    const row = { ids: [2, 5, 3], outputs: ["last_hidden_state"] as const };
    const before = await runRows([{ ...row, adapter: two.adapter ?? 0 }], two, never);
    await catalog.release("one");
    await expect(runRows([{ ...row, adapter: one.adapter ?? 0 }], two, never)).rejects.toThrow(
      /adapter 1 was removed/,
    );
    const after = await runRows([{ ...row, adapter: two.adapter ?? 0 }], two, never);
    expect(after).toEqual(before);
  });

  it("read words' shapes where they have a table, which leaves nothing in its slot", async () => {
    const values = Array.from({ length: wordShapes.length * 8 }, (_, at) => Math.cos(at));
    const name = "base_model.model.bert.embeddings.word_shape_embeddings.weight";
    const tensors = { [name]: { shape: [wordShapes.length, 8], values } };
    await writeTunedAdapter(bench, "loud", { tensors, own: { word_shapes: true } });
    await writeTunedAdapter(bench, "plain");
    await writeTunedAdapter(bench, "next");
    const catalog = await bench.open();
    const plain = await acquireEncoder(catalog, "plain");
    const row = { ids: [2, 5, 6, 3], outputs: ["last_hidden_state"] as const };
    const quiet = { ...row, adapter: plain.adapter ?? 0 };
    const [before] = await runRows([quiet], plain, never);
    const loud = await acquireEncoder(catalog, "loud");
    const shaped = (shapes: number[]) => ({ ...row, shapes, adapter: loud.adapter ?? 0 });
    const statesOf = async (...rows: EncoderRow[]) =>
      (await runRows(rows, loud, never)).map((result) => [...(result.last_hidden_state ?? [])]);
    const [lower = [], upper = [], other = []] = await statesOf(
      shaped([0, 4, 4, 0]),
      shaped([0, 5, 5, 0]),
      quiet,
    );
    expect(other).toEqual([...(before?.last_hidden_state ?? [])]);
    const apart = lower.map((value, at) => Math.abs(value - (upper[at] ?? NaN)));
    expect(Math.max(...apart)).toBeGreaterThan(0.1);
    const [alone = []] = await statesOf(shaped([0, 5, 5, 0]));
    for (const [at, value] of alone.entries()) expect(value).toBeCloseTo(upper[at] ?? NaN, 5);
    await catalog.release("loud");
    const next = await acquireEncoder(catalog, "next");
    const taker = { ...row, shapes: [0, 5, 5, 0], adapter: next.adapter ?? 0 };
    expect(await runRows([taker], next, never)).toEqual([before]);
  });

  it("count with their base's memory, which has it back when the last has gone", async () => {
    await writeTunedAdapter(bench, "one", { rank: 16 });
    const catalog = await bench.open();
    const base = await acquireEncoder(catalog, "tiny");
    const plain = base.bytes;
    await catalog.acquire("one", never);
    // Two slots of two layers, A and B of rank 16; and the second graph.
    expect(base.bytes).toBeGreaterThan(plain + 2 * 2 * 2 * 16 * 8 * 4);
    await catalog.release("one");
    expect(base.bytes).toBe(plain);
    await catalog.acquire("one", never);
    expect(base.bytes).toBeGreaterThan(plain);
  });

  it("let go of their base, and of its second graph, where nobody waits any longer", async () => {
    await writeTunedAdapter(bench, "one");
    const catalog = await bench.open();
    const base = await acquireEncoder(catalog, "tiny");
    const plain = base.bytes;
    const leaving = new AbortController();
    const asked = catalog.acquire("one", leaving.signal);
    await until(catalog, () => stateOf(catalog, "one").reason !== null);
    leaving.abort(new Error("left"));
    await expect(asked).rejects.toThrow("left");
    await catalog.release("one");
    expect(base.bytes).toBe(plain);
    await catalog.release("tiny");
    expect(stateOf(catalog, "tiny").loaded).toBe(false);
    expect((await acquireEncoder(catalog, "one")).adapter).toBe(1);
  });

  it("make way for each other where memory is short, the least recently used first", async () => {
    for (const [at, id] of ["one", "two", "three"].entries()) {
      await writeTunedAdapter(bench, id, { seed: at + 1, rank: 128 });
    }
    const measured = await bench.open();
    const base = await acquireEncoder(measured, "tiny");
    const scores = new Classifying(measured);
    const first = await scores.scoreBy("one");
    const { bytes } = await acquireEncoder(measured, "one");
    // The stacks of one adapter and a half: a second slot would double them.
    const catalog = await bench.open({ memory: base.bytes + Math.floor(bytes * 1.5) });
    const classifying = new Classifying(catalog);
    for (const id of ["one", "two", "three"]) {
      bench.nowMs += 1;
      await classifying.scoreBy(id);
      expect(stateOf(catalog, id).loaded).toBe(true);
    }
    expect(stateOf(catalog, "one").loaded).toBe(false);
    expect(await classifying.scoreBy("one")).toBeCloseTo(first, 6);
  });
});

const odd = [
  {
    what: "a layer that its base has not",
    tensors: {
      "base_model.model.encoder.layer.7.output.dense.lora_A.weight": [2, 16],
      "base_model.model.encoder.layer.7.output.dense.lora_B.weight": [8, 2],
    },
    reason: /changes encoder\.layer\.7\.output\.dense, which is no layer of its base/,
  },
  {
    what: "the pooler, which is not computed",
    tensors: {
      "base_model.model.pooler.dense.lora_A.weight": [2, 8],
      "base_model.model.pooler.dense.lora_B.weight": [8, 2],
    },
    reason: /changes pooler\.dense, which is no layer of its base that can be changed/,
  },
  {
    what: "a layer of other sizes",
    tensors: {
      "base_model.model.encoder.layer.0.output.dense.lora_A.weight": [2, 8],
      "base_model.model.encoder.layer.0.output.dense.lora_B.weight": [8, 2],
    },
    reason: /output\.dense is \[8, 8\] in it and \[8, 16\] in its base/,
  },
  {
    what: "a layer twice",
    tensors: {
      "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight": [2, 8],
      "base_model.model.bert.encoder.layer.0.attention.self.query.lora_B.weight": [8, 2],
    },
    reason: /names a layer of its base twice/,
  },
  {
    what: "a number that is not finite",
    tensors: { "base_model.model.encoder.layer.0.attention.self.query.lora_A.weight": [2, 8] },
    fill: NaN,
    reason: /adapter_model\.safetensors: .*query\.lora_A\.weight holds a number that is not finite/,
  },
  {
    what: "a number that half precision has not once it is scaled",
    tensors: { "base_model.model.encoder.layer.0.attention.self.query.lora_B.weight": [8, 2] },
    fill: 40_000,
    reason: /query\.lora_B\.weight holds a number beyond ±65504, times lora_alpha's scale 2$/,
  },
];

describe("an adapter of low rank", () => {
  let shared: CatalogBench;
  let catalog: Catalog;

  beforeAll(async () => {
    shared = await openCatalogBench();
    await writeTinyEncoder(shared.local("tiny"));
    for (const { what, tensors, fill = 1 } of odd) {
      const made = Object.entries(tensors).map(([name, shape]) => {
        const [rows = 0, columns = 0] = shape;
        return [name, { shape, values: new Float32Array(rows * columns).fill(fill) }] as const;
      });
      await writeTunedAdapter(shared, what, { tensors: Object.fromEntries(made) });
    }
    await writeTunedAdapter(shared, "sound");
    catalog = await shared.open();
  });

  afterAll(() => shared.close());

  it.each(odd)("with $what is refused by name", async ({ what, reason }) => {
    expect(await refusalOf(catalog, what)).toMatch(reason);
    // Nothing is held for it.
    await catalog.release("tiny");
    expect(stateOf(catalog, "tiny").loaded).toBe(false);
  });

  it("is served where others on its base are not", async () => {
    expect((await acquireEncoder(catalog, "sound")).adapter).toBeGreaterThan(0);
  });
});
