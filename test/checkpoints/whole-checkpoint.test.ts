/** A checkpoint is served as a whole or refused by the name of what would be left out, or contradicts itself. */
import { copyFile, rm } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runRows } from "../../gpu-worker/model/run-rows.ts";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "../catalog/catalog-bench.ts";
import {
  changeConfig,
  type TinyHead,
  writeTinyCheckpoint,
  writeTinyOnnx,
} from "../catalog/tiny-onnx.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
});

afterEach(() => bench.close());

const hidden = 8;
const numbers = (shape: readonly number[]) =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => Math.cos(at));

/** Adds tensors to the folder's weights, or puts others in their place. */
async function changeTensors(folder: string, changes: Record<string, number[]>): Promise<void> {
  const file = path.join(folder, "model.safetensors");
  const source = openSafetensors(file);
  const own = source.names().map((name) => {
    const values = readFloat32(source, name);
    return {
      name,
      dtype: "float32" as const,
      shape: source.entry(name)?.shape ?? [],
      load: () => values,
    };
  });
  source.close();
  const others = Object.entries(changes).map(([name, shape]) => {
    return { name, dtype: "float32" as const, shape, load: () => numbers(shape) };
  });
  await writeSafetensors(file, [...own.filter(({ name }) => !(name in changes)), ...others]);
}

async function makeOdd(head: TinyHead, tensors: Record<string, number[]>, config: object = {}) {
  const folder = bench.local("odd");
  await writeTinyCheckpoint(folder, head);
  await changeTensors(folder, tensors);
  await changeConfig(folder, config);
}

type Odd = {
  what: string;
  head: TinyHead;
  tensors?: Record<string, number[]>;
  config?: object;
  says: RegExp;
};

const layer = "encoder.layer.1.attention.self.query.weight";
const lora = "bert.encoder.layer.0.attention.self.query.lora_A.default.weight";

describe("refused", () => {
  it.each<Odd>([
    {
      what: "an adapter that was not merged",
      head: "sequence-classification",
      tensors: { [lora]: [2, hidden] },
      says: /a bert as config\.json describes it has no place for: bert\.encoder.*lora_A.*weight\. Merge adapters/,
    },
    {
      what: "a layer more than config.json counts",
      head: "none",
      tensors: { [layer]: [hidden, hidden] },
      says: /no place for: encoder\.layer\.1\.attention\.self\.query\.weight/,
    },
    {
      what: "a classifier that config.json does not name",
      head: "none",
      tensors: { "classifier.weight": [3, hidden], "classifier.bias": [3] },
      config: { architectures: null },
      says: /no place for: classifier\.(weight|bias), classifier\./,
    },
    {
      what: "a head of a kind of its own",
      head: "sequence-classification",
      tensors: { "classifier.dense.weight": [hidden, hidden] },
      says: /no place for: classifier\.dense\.weight/,
    },
    {
      what: "more classes in the weights than in config.json",
      head: "sequence-classification",
      tensors: { "classifier.weight": [3, hidden], "classifier.bias": [3] },
      config: { id2label: { 0: "a", 1: "b" } },
      says: /"classifier\.weight" has 3 rows, one for each class, but config\.json names 2/,
    },
    {
      what: "classes that nothing names",
      head: "sequence-classification",
      tensors: { "classifier.weight": [5, hidden], "classifier.bias": [5] },
      says: /has 5 rows, one for each class, but config\.json names 2/,
    },
    {
      what: "two counts of classes in config.json",
      head: "sequence-classification",
      config: { id2label: { 0: "a", 1: "b" }, num_labels: 3 },
      says: /num_labels is 3, but id2label names 2 classes/,
    },
    {
      what: "answers with more than a start and an end",
      head: "question-answering",
      tensors: { "qa_outputs.weight": [3, hidden], "qa_outputs.bias": [3] },
      says: /"qa_outputs\.weight" has 3 rows.* an answer has 2/,
    },
    {
      what: "code of the model's own",
      head: "none",
      config: { auto_map: { AutoModel: "modeling_own.OwnModel" } },
      says: /auto_map names code of the model's own \(modeling_own\.OwnModel\), which is not run/,
    },
    {
      what: "a tokenizer with more tokens than the model has embeddings",
      head: "none",
      config: { vocab_size: 9 },
      tensors: { "embeddings.word_embeddings.weight": [9, hidden] },
      says: /its tokenizer has 10 tokens, but config\.json's vocab_size is 9/,
    },
  ])("for $what", async ({ head, tensors = {}, config = {}, says }) => {
    await makeOdd(head, tensors, config);
    const catalog = await bench.open();
    await expect(catalog.acquire("odd", never)).rejects.toThrow(says);
    expect(stateOf(catalog, "odd")).toMatchObject({ status: "failed" });
  });
});

describe("served", () => {
  it("with what is known to change no answer", async () => {
    const rows = [{ ids: [2, 5, 6, 3], outputs: ["sentence_embedding" as const] }];
    await writeTinyCheckpoint(bench.local("plain"), "none");
    await makeOdd("none", {
      "embeddings.position_ids": [1, 32],
      "pooler.dense.weight": [hidden, hidden],
      "pooler.dense.bias": [hidden],
      "cls.predictions.transform.dense.weight": [hidden, hidden],
      "cls.seq_relationship.weight": [2, hidden],
    });
    const catalog = await bench.open();
    const [plain, odd] = [
      await catalog.acquire("plain", never),
      await catalog.acquire("odd", never),
    ];
    expect(await runRows(rows, odd, never)).toEqual(await runRows(rows, plain, never));
  });

  it.each([
    { what: "weights of a family that is not built", config: { model_type: "mpnet" } },
    {
      what: "weights that need code of their own",
      config: { auto_map: { AutoModel: "modeling_own.OwnModel" } },
    },
  ])("by the ready-made ONNX file that lies beside $what", async ({ config }) => {
    const folder = bench.local("odd");
    await writeTinyCheckpoint(bench.local("built"), "sequence-classification");
    await writeTinyOnnx(folder, "sequence-classification");
    await copyFile(
      path.join(bench.local("built"), "model.safetensors"),
      path.join(folder, "model.safetensors"),
    );
    await changeConfig(folder, config);
    const rows = [{ ids: [2, 5, 6, 3], outputs: ["logits" as const] }];
    const catalog = await bench.open();
    const [built, odd] = [
      await catalog.acquire("built", never),
      await catalog.acquire("odd", never),
    ];
    const [expected] = await runRows(rows, built, never);
    const [actual] = await runRows(rows, odd, never);
    expect([...(actual?.logits ?? [])]).toEqual(
      [...(expected?.logits ?? [])].map((value) => expect.closeTo(value, 5)),
    );
    await rm(path.join(folder, "model.onnx"));
    const other = await bench.open();
    await expect(other.acquire("odd", never)).rejects.toThrow(/model_type mpnet|modeling_own/);
  });
});
