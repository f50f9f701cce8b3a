/** Adapter folders: written and read back, and refused in words that name the file and the field. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { adapterFiles } from "../../gpu-worker/checkpoints/adapter-files.ts";
import {
  type AdapterHead,
  readAdapter,
  writeAdapter,
} from "../../gpu-worker/checkpoints/adapter-folder.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "llm-os-adapter-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const adapter: AdapterHead = {
  task: "text-classification",
  labels: ["no", "yes"],
  problem: "single_label",
  pooling: "mean",
  maxLength: 256,
  baseDigest: "5a".repeat(32),
  baseName: "sentence-transformers/all-MiniLM-L6-v2",
  licence: "apache-2.0",
  entityModel: null,
  weight: new Float32Array([1, 2, 3, -4, 5.5, 6]),
  bias: new Float32Array([0.25, -0.5]),
};

async function edit(name: string, change: object): Promise<void> {
  const file = path.join(folder, name);
  const content: object = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...content, ...change }));
}

const prefix = "base_model.model.classifier";

async function writeTensors(tensors: Record<string, { shape: number[]; values: number[] }>) {
  const list = Object.entries(tensors).map(([name, { shape, values }]) => {
    return { name, dtype: "float32" as const, shape, load: () => new Float32Array(values) };
  });
  await writeSafetensors(path.join(folder, adapterFiles.weights), list);
}

const weight = { shape: [2, 3], values: [1, 2, 3, 4, 5, 6] };
const bias = { shape: [2], values: [0, 0] };

const head = { [`${prefix}.weight`]: weight, [`${prefix}.bias`]: bias };

const query = "base_model.model.bert.encoder.layer.0.attention.self.query";
const ranked = (rows: number, columns: number) => ({
  shape: [rows, columns],
  values: Array.from({ length: rows * columns }, () => 1),
});
const manyLayers = Object.fromEntries(
  Array.from({ length: 1_000 }, (_, at) => [
    [`base_model.model.layer.${at}.lora_A.weight`, ranked(1, 1)],
    [`base_model.model.layer.${at}.lora_B.weight`, ranked(1, 1)],
  ]).flat(),
);

/** Of a head alone. */
const asRead = {
  softPrompt: null,
  kind: "encoder",
  id: null,
  wordShapes: false,
  decoding: null,
  lora: [],
};

describe("an adapter folder", () => {
  it("is read as it was written", async () => {
    await writeAdapter(folder, adapter, "# card\n");
    expect(await readAdapter(folder)).toEqual({ ...adapter, ...asRead });
    expect(await readFile(path.join(folder, "README.md"), "utf8")).toBe("# card\n");
  });

  it("keeps a relation head's entity model and a multi-label problem", async () => {
    const relations: AdapterHead = {
      ...adapter,
      task: "relation-extraction",
      problem: "multi_label",
      pooling: "spans",
      licence: null,
      entityModel: "entities-en",
    };
    await writeAdapter(folder, relations, "");
    expect(await readAdapter(folder)).toEqual({ ...relations, ...asRead });
  });

  it("has the fields PEFT reads", async () => {
    await writeAdapter(folder, adapter, "");
    const config: unknown = JSON.parse(
      await readFile(path.join(folder, "adapter_config.json"), "utf8"),
    );
    expect(config).toMatchObject({
      peft_type: "LORA",
      r: 1,
      target_modules: "dummy-target-modules",
      task_type: "SEQ_CLS",
      base_model_name_or_path: "sentence-transformers/all-MiniLM-L6-v2",
      modules_to_save: ["classifier"],
    });
  });

  it("is none where there is no adapter_config.json", async () => {
    expect(await readAdapter(folder)).toBeNull();
  });

  it.each<[string, object, RegExp]>([
    [adapterFiles.config, { peft_type: "IA3" }, /adapter_config\.json: peft_type IA3 .*only LORA/],
    [adapterFiles.config, { task_type: "TOKEN_CLS" }, /task_type is TOKEN_CLS.*needs SEQ_CLS/],
    [
      adapterFiles.config,
      { base_model_name_or_path: 3 },
      /adapter_config.*base_model_name_or_path/s,
    ],
    [adapterFiles.config, { use_dora: true }, /adapter_config\.json: use_dora is not served/],
    [adapterFiles.config, { bias: "lora_only" }, /bias "lora_only" is not served: only "none"/],
    [adapterFiles.config, { fan_in_fan_out: true }, /fan_in_fan_out is not served/],
    [adapterFiles.config, { layer_replication: [[0, 2]] }, /layer_replication is not served/],
    [adapterFiles.config, { trainable_token_indices: [7] }, /trainable_token_indices is not/],
    [adapterFiles.config, { init_lora_weights: "pissa" }, /init_lora_weights "pissa" changes/],
    [adapterFiles.config, { r: 100_000 }, /adapter_config.*128.*at r/s],
    [adapterFiles.config, { lora_alpha: 1e300 }, /adapter_config.*lora_alpha/s],
    [adapterFiles.config, { rank_pattern: { "(a+)+$": 2 } }, /adapter_config.*rank_pattern/s],
    [adapterFiles.own, { id: "ft:a b" }, /llm-os\.json.*at id/s],
    [adapterFiles.own, { id: "../../etc" }, /llm-os\.json.*at id/s],
    [adapterFiles.own, { formatVersion: 2 }, /llm-os\.json.*formatVersion/s],
    [adapterFiles.own, { task: "fill-mask" }, /llm-os\.json.*task/s],
    [adapterFiles.own, { labels: ["yes", "yes"] }, /llm-os\.json.*twice.*labels/s],
    [adapterFiles.own, { labels: ["yes"] }, /llm-os\.json: labels: single_label.*two/],
    [adapterFiles.own, { problem: "regression" }, /llm-os\.json: labels: regression needs one/],
    [adapterFiles.own, { pooling: "none" }, /pooling none does not fit.*text-classification/],
    [adapterFiles.own, { base_digest: "5A" }, /llm-os\.json.*base_digest/s],
    [adapterFiles.own, { max_length: 0 }, /llm-os\.json.*max_length/s],
    [adapterFiles.own, { labels: ["a", "b", "c"] }, /weight is \[2, 3\], expected \[3, features\]/],
  ])("is refused for %s %j", async (name, change, message) => {
    await writeAdapter(folder, adapter, "");
    await edit(name, change);
    await expect(readAdapter(folder)).rejects.toThrow(message);
  });

  it.each<[string, Parameters<typeof writeTensors>[0], RegExp]>([
    ["no weight", { [`${prefix}.bias`]: bias }, /safetensors: .*classifier\.weight is missing/],
    ["no bias", { [`${prefix}.weight`]: weight }, /safetensors: .*classifier\.bias is missing/],
    [
      "a bias of another size",
      { [`${prefix}.weight`]: weight, [`${prefix}.bias`]: { shape: [1], values: [0] } },
      /bias is \[1\], expected \[2\]/,
    ],
    [
      "numbers that are not finite",
      {
        [`${prefix}.weight`]: { ...weight, values: [1, 2, NaN, 4, 5, 6] },
        [`${prefix}.bias`]: bias,
      },
      /classifier\.weight holds a number that is not finite/,
    ],
    [
      "a layer of LoRA that is no matrix",
      { ...head, [`${query}.lora_A.weight`]: bias },
      /query\.lora_A\.weight is \[2\], expected a matrix/,
    ],
    [
      "half a layer of LoRA",
      { ...head, [`${query}.lora_A.weight`]: ranked(1, 3) },
      /query\.lora_B\.weight is missing/,
    ],
    [
      "a layer of another rank than the configuration's",
      {
        ...head,
        [`${query}.lora_A.weight`]: ranked(2, 3),
        [`${query}.lora_B.weight`]: ranked(3, 2),
      },
      /query has ranks 2 and 2, the configuration says 1/,
    ],
    ["a thousand layers of LoRA", { ...head, ...manyLayers }, /more than 512 layers of LoRA/],
    [
      "magnitudes of DoRA",
      { ...head, [`${query}.lora_magnitude_vector`]: bias },
      /lora_magnitude_vector is not served/,
    ],
    [
      "words of its own",
      { ...head, "base_model.model.bert.embeddings.word_embeddings.lora_embedding_A": bias },
      /lora_embedding_A is not served/,
    ],
    ["a tensor of no use", { ...head, pooler: bias }, /pooler is not served/],
  ])("is refused for %s", async (_, tensors, message) => {
    await writeAdapter(folder, adapter, "");
    await writeTensors(tensors);
    await expect(readAdapter(folder)).rejects.toThrow(message);
  });

  it("is refused where a file is missing", async () => {
    await writeAdapter(folder, adapter, "");
    await rm(path.join(folder, adapterFiles.weights));
    await expect(readAdapter(folder)).rejects.toThrow(/adapter_model\.safetensors/);
    await rm(path.join(folder, adapterFiles.own));
    await expect(readAdapter(folder)).rejects.toThrow(/llm-os\.json is missing/);
  });

  it("is not written with a head that could not be read", async () => {
    const broken = { ...adapter, bias: new Float32Array([Infinity, 0]) };
    await expect(writeAdapter(folder, broken, "")).rejects.toThrow(/not finite/);
    expect(await readAdapter(folder)).toBeNull();
  });
});

describe("the adapters that ship with the worker", () => {
  const embedded = path.resolve(import.meta.dirname, "../../gpu-worker/catalog/embedded");

  it.each([
    ["topic-en", ["Business", "Sci/Tech", "Sports", "World"]],
    ["intent-banking", expect.arrayContaining(["card_arrival", "lost_or_stolen_card"])],
  ])("%s is small, names the embedded base, and has its card", async (id, labels) => {
    const home = path.join(embedded, id);
    const base: unknown = JSON.parse(
      await readFile(path.join(embedded, "all-MiniLM-L6-v2/llm-os.json"), "utf8"),
    );
    const ready = await readAdapter(home);
    expect(ready).toMatchObject({ task: "text-classification", labels, pooling: "mean" });
    expect(base).toMatchObject({ derivedFrom: ready?.baseDigest });
    if (ready?.kind !== "encoder") throw new Error("no head");
    expect(ready.weight).toHaveLength(ready.labels.length * 384);
    const names = await readdir(home);
    const sizes = await Promise.all(names.map((name) => stat(path.join(home, name))));
    expect(sizes.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(2e6);
    const card = await readFile(path.join(home, "README.md"), "utf8");
    expect(card).toMatch(/held-out texts[\s\S]*npm run model -- fit-head/);
  });

  it.each([
    [
      "ner-en",
      { task: "token-classification", pooling: "none", wordShapes: true, decoding: "iob2" },
    ],
    ["relation-en", { task: "relation-extraction", pooling: "marks", entityModel: "ner-en" }],
    [
      "sentiment-en",
      { task: "text-classification", pooling: "mean", labels: ["negative", "positive"] },
    ],
  ])("%s, of low rank, is small, names the embedded base, and has its card", async (id, own) => {
    const home = path.join(embedded, id);
    const base: unknown = JSON.parse(
      await readFile(path.join(embedded, "all-MiniLM-L6-v2/llm-os.json"), "utf8"),
    );
    const ready = await readAdapter(home);
    expect(ready).toMatchObject(own);
    expect(ready?.lora).toHaveLength(24);
    expect(base).toMatchObject({ derivedFrom: ready?.baseDigest });
    const { size } = await stat(path.join(home, adapterFiles.weights));
    expect(size).toBeLessThan(2e6);
    const card = await readFile(path.join(home, "README.md"), "utf8");
    expect(card).toMatch(/library_name: peft[\s\S]*held-out examples[\s\S]*npm run model -- tune/);
  });
});
