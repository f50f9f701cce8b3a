/** `npm run model -- verify` on a folder with a ready-made ONNX file: it is compared as it would be served. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildEncoder } from "../../gpu-worker/architectures/encoder.ts";
import { verifyModel } from "../../gpu-worker/cli/verify-model.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { changeConfig, writeTinyCheckpoint, writeTinyOnnx } from "../catalog/tiny-onnx.ts";
import { runGraph } from "../onnx/run-graph.ts";

const runtime = openRuntime({ log: { info: () => undefined, warn: () => undefined } });
const ids = [
  [2, 5, 6, 3],
  [2, 9, 3, 0],
];
const mask = [
  [1, 1, 1, 1],
  [1, 1, 1, 0],
];

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "llm-os-verify-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** The vectors of our own graph over the same weights. */
async function expectedVectors(): Promise<number[][]> {
  const origin = path.join(folder, "origin");
  await writeTinyCheckpoint(origin, "none");
  const config: unknown = JSON.parse(await readFile(path.join(origin, "config.json"), "utf8"));
  const weights = openSafetensors(path.join(origin, "model.safetensors"));
  try {
    const head = { name: "sentence", pooling: "mean", normalize: true } as const;
    const feeds = {
      input_ids: int64([2, 4], ids.flat()),
      attention_mask: int64([2, 4], mask.flat()),
    };
    const types = int64(
      [2, 4],
      ids.flat().map(() => 0),
    );
    const graph = buildEncoder(config, weights, { head, form: "f32" });
    const { sentence_embedding: vectors } = await runGraph(graph, {
      ...feeds,
      token_type_ids: types,
    });
    const data = vectors?.data ?? [];
    return [data.slice(0, data.length / 2), data.slice(data.length / 2)];
  } finally {
    weights.close();
  }
}

async function expectOutput(outputs: object): Promise<void> {
  const expected = { input_ids: ids, attention_mask: mask, ...outputs };
  await writeFile(path.join(folder, "expected.json"), JSON.stringify(expected));
}

const verify = async () => verifyModel(folder, { runtime: await runtime, threads: 1 });

describe("verify of a ready-made ONNX file", () => {
  it("compares the vectors that are pooled beside it", async () => {
    await writeTinyOnnx(folder, "none", { name: "onnx/model.onnx" });
    await expectOutput({ sentence_embedding: await expectedVectors() });
    const { passed, maxAbsDifference, compared } = await verify();
    expect({ passed, compared }).toEqual({ passed: true, compared: 16 });
    expect(maxAbsDifference).toBeLessThan(1e-5);
  });

  it("does not pass where they differ", async () => {
    await writeTinyOnnx(folder, "none");
    const [first = [], second = []] = await expectedVectors();
    await expectOutput({ sentence_embedding: [second, first] });
    expect(await verify()).toMatchObject({ passed: false, compared: 16 });
  });

  it("says what the file has where it is no such model, and what it looked for where there is none", async () => {
    await writeTinyOnnx(folder, "none");
    await expectOutput({ logits: [[0], [0]] });
    await expect(verify()).rejects.toThrow(
      "expected.json has logits, the model gives pooled, sentence_embedding, last_hidden_state",
    );
    await rm(path.join(folder, "modules.json"));
    await changeConfig(folder, { architectures: ["BertForSequenceClassification"] });
    await expect(verify()).rejects.toThrow(/outputs last_hidden_state .* wanted is logits/);
    await rm(path.join(folder, "model.onnx"));
    await expect(verify()).rejects.toThrow(/model\.safetensors is missing.*onnx\/model\.onnx/);
  });
});
