import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WorkerAnnouncement } from "#contract/models.ts";
import {
  type CatalogBench,
  hubOnly,
  never,
  openCatalogBench,
  stateOf,
  until,
  vectorOf,
} from "./catalog-bench.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
});

afterEach(() => bench.close());

function hostileHeader(entry: object): Buffer {
  const json = JSON.stringify({ "embeddings.word_embeddings.weight": { dtype: "F32", ...entry } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, Buffer.from(json), Buffer.alloc(16)]);
}

/** Digests of the operator's folders named, once all files are read. */
async function digestsIn(form: "f32" | "int8", ids: readonly string[]) {
  const catalog = await bench.open({ form });
  await until(catalog, () => ids.every((id) => stateOf(catalog, id).digest !== null));
  return ids.map((id) => stateOf(catalog, id).digest);
}

describe("the list of models", () => {
  it("is announceable as it is, broken folders included", async () => {
    await writeTinyEncoder(bench.local("tiny"));
    await mkdir(bench.local("broken"));
    await writeFile(path.join(bench.local("broken"), "config.json"), "{");
    const catalog = await bench.open();
    const models = catalog.states();
    expect(WorkerAnnouncement.parse({ worker: "w", models }).models).toEqual(models);
  });

  it("says of a model on the hub that the first request fetches it", async () => {
    const catalog = await bench.open();
    expect(stateOf(catalog, hubOnly)).toMatchObject({
      status: "available",
      loaded: false,
      digest: null,
      sizeBytes: null,
      aliases: ["BAAI/bge-small-en-v1.5"],
      licence: "mit",
      reason: expect.stringContaining("first request fetches it"),
    });
    expect(bench.hub.seen).toEqual([]);
  });

  it("takes tasks and limits from the checkpoint, and its digest once the files are read", async () => {
    await writeTinyEncoder(bench.local("tiny"));
    const catalog = await bench.open();
    expect(stateOf(catalog, "tiny")).toMatchObject({
      tasks: expect.arrayContaining(["feature-extraction", "zero-shot-classification", "rerank"]),
      limits: { maxTokens: 16, dimensions: 8, vocabularySize: 10 },
      status: "available",
      loaded: false,
      reason: null,
    });
    await until(catalog, () => stateOf(catalog, "tiny").digest !== null);
    const announced = stateOf(catalog, "tiny").digest;
    expect((await catalog.acquire("tiny", never)).digest).toBe(announced);
  });

  it.each([
    { what: "no JSON", files: { "config.json": "{" }, says: /model\.safetensors is missing/ },
    {
      what: "a GGUF file that is none",
      files: { "model.Q4_1.gguf": "GGUF" },
      says: /model\.Q4_1\.gguf: the version needs 4 bytes/,
    },
    {
      what: "a pickle",
      files: { "config.json": "{}", "pytorch_model.bin": "" },
      says: /save pytorch_model\.bin in the safetensors format/,
    },
    {
      what: "another family",
      files: {
        "model.safetensors": "",
        "config.json": `{"model_type":"gpt2","vocab_size":1,"hidden_size":1}`,
      },
      says: /model_type gpt2 is not built, only .*bert.*roberta/,
    },
    {
      what: "a stage that is not built",
      files: { "modules.json": `[{"path":"2_Dense","type":"sentence_transformers.models.Dense"}]` },
      says: /stage Dense is not served/,
      tiny: true,
    },
    {
      what: "another pooling",
      files: { "1_Pooling/config.json": `{"pooling_mode":"attention"}` },
      says: /its pooling attention is not served, only mean, cls, max/,
      tiny: true,
    },
  ])("names the reason for a folder with $what", async ({ files, says, tiny }) => {
    if (tiny === true) await writeTinyEncoder(bench.local("odd"));
    await mkdir(bench.local("odd"), { recursive: true });
    for (const [name, text] of Object.entries(files)) {
      await writeFile(path.join(bench.local("odd"), name), text);
    }
    const catalog = await bench.open();
    expect(stateOf(catalog, "odd")).toMatchObject({
      status: "failed",
      reason: expect.stringMatching(says),
    });
    await expect(catalog.acquire("odd", never)).rejects.toMatchObject({
      code: "model_not_servable",
      message: expect.stringMatching(says),
    });
  });

  it("goes on without the operator's folder where that cannot be read", async () => {
    const catalog = await bench.open({ modelsFolder: path.join(bench.folder, "gone") });
    const ids = catalog.states().map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(["all-MiniLM-L6-v2", "sentiment-en", hubOnly]));
  });
});

describe("a folder of the operator's", () => {
  it("is loaded once for all that ask", async () => {
    await writeTinyEncoder(bench.local("tiny"));
    const catalog = await bench.open();
    const [first, second] = await Promise.all([
      catalog.acquire("tiny", never),
      catalog.acquire("tiny", never),
    ]);
    expect(first).toBe(second);
    expect(await catalog.acquire("tiny", never)).toBe(first);
    expect(stateOf(catalog, "tiny").loaded).toBe(true);
    expect(first).toMatchObject({ sentence: { pooling: "mean", normalize: true, prompts: {} } });
    const [text] = await first.tokenizer.encode(["a quick fox"]);
    expect(first.tokenizer.wrap(text?.ids ?? []).ids).toEqual([2, 5, 6, 8, 3]);
  });

  it("shadows the model of the catalogue that has its id, under its aliases too", async () => {
    await writeTinyEncoder(bench.local(hubOnly));
    const catalog = await bench.open();
    const model = await catalog.acquire("BAAI/bge-small-en-v1.5", never);
    expect(model.limits.dimensions).toBe(8);
    expect(catalog.states().filter(({ id }) => id === hubOnly)).toHaveLength(1);
    expect(bench.hub.seen).toEqual([]);
  });

  it("can be mended while the worker runs", async () => {
    await writeTinyEncoder(bench.local("tiny"));
    await rm(path.join(bench.local("tiny"), "tokenizer.json"));
    await rm(path.join(bench.local("tiny"), "model.safetensors"));
    const catalog = await bench.open();
    expect(stateOf(catalog, "tiny").status).toBe("failed");
    await writeTinyEncoder(bench.local("tiny"));
    expect(await vectorOf(catalog, "tiny")).toHaveLength(8);
    expect(stateOf(catalog, "tiny")).toMatchObject({ status: "available", reason: null });
  });

  it.each([
    { what: "a header longer than the file", bytes: Buffer.from("ffffffffffffff7f7b7d", "hex") },
    { what: "no bytes at all", bytes: Buffer.alloc(0) },
    {
      what: "a tensor out of range",
      bytes: hostileHeader({ shape: [4], data_offsets: [0, 1_000] }),
    },
    {
      what: "a huge count",
      bytes: hostileHeader({ shape: [2 ** 40, 2 ** 40], data_offsets: [0, 16] }),
    },
  ])("with $what for weights is refused, and the worker lives", async ({ bytes }) => {
    await writeTinyEncoder(bench.local("tiny"));
    await writeFile(path.join(bench.local("tiny"), "model.safetensors"), bytes);
    const catalog = await bench.open();
    await expect(catalog.acquire("tiny", never)).rejects.toMatchObject({
      code: "model_not_servable",
      message: expect.stringContaining("model.safetensors"),
    });
    expect(stateOf(catalog, "tiny").status).toBe("failed");
  });

  it("has another digest with other weights, another tokenizer, or in another form", async () => {
    await writeTinyEncoder(bench.local("tiny"), 0);
    await writeTinyEncoder(bench.local("same"), 0);
    await writeTinyEncoder(bench.local("weights"), 1);
    await writeTinyEncoder(bench.local("words"), 0);
    const tokenizer = await readFile(path.join(bench.local("words"), "tokenizer.json"), "utf8");
    await writeFile(
      path.join(bench.local("words"), "tokenizer.json"),
      tokenizer.replace("fox", "cat"),
    );
    const ids = ["tiny", "same", "weights", "words"];
    const [tiny, same, ...others] = await digestsIn("f32", ids);
    expect(same).toBe(tiny);
    const eight = await digestsIn("int8", ids);
    expect(new Set([tiny, ...others, ...eight]).size).toBe(6);
  });

  it("is unloaded by release, and loaded again when asked for", async () => {
    await writeTinyEncoder(bench.local("tiny"));
    const catalog = await bench.open();
    const before = await vectorOf(catalog, "tiny");
    await catalog.release("tiny");
    expect(stateOf(catalog, "tiny").loaded).toBe(false);
    expect(await vectorOf(catalog, "tiny")).toEqual(before);
  });
});

describe("a model that is not known", () => {
  it("is refused as not found", async () => {
    const catalog = await bench.open();
    await expect(catalog.acquire("gpt-9", never)).rejects.toMatchObject({
      code: "model_not_found",
    });
  });
});
