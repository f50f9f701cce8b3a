/**
 * A folder of sentence-transformers: what is refused of its stages and settings, by name, and what is part of its
 * identity. What is served is compared with the library's answers in library-checkpoints.test.ts.
 */
import { cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { rerank } from "../../gpu-worker/pipelines/rerank.ts";
import { sentenceSimilarity } from "../../gpu-worker/pipelines/sentence-similarity.ts";
import {
  type CatalogBench,
  never,
  openCatalogBench,
  stateOf,
  until,
} from "../catalog/catalog-bench.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";

const saved = path.join(import.meta.dirname, "library-checkpoints");
const dense = "st-bert-two-poolings-dense-layer-norm";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
});

afterEach(() => bench.close());

/** A saved checkpoint as the operator's folder `id`, with files changed: text of JSON → text. */
async function copy(
  id: string,
  from: string,
  changes: Record<string, (text: string) => string> = {},
): Promise<string> {
  const folder = bench.local(id);
  await cp(path.join(saved, from), folder, { recursive: true });
  for (const [name, change] of Object.entries(changes)) {
    const file = path.join(folder, name);
    await writeFile(file, change(await readFile(file, "utf8")));
  }
  return folder;
}

const replace = (from: string | RegExp, to: string) => (text: string) => {
  expect(text).toMatch(from);
  return text.replace(from, to);
};

/** Adds a field to a JSON object. */
const set = (field: string, value: unknown) => (text: string) =>
  text.replace("{", `{${JSON.stringify(field)}:${JSON.stringify(value)},`);

const settings = "sentence_bert_config.json";
const sentenceFile = "config_sentence_transformers.json";

describe("refused by name", () => {
  it.each([
    {
      what: "code of its own",
      file: "modules.json",
      change: replace(/sentence_transformers\.[\w.]+Dense/, "custom_st.Dense"),
      says: "its stage custom_st.Dense is code of its own",
    },
    {
      what: "a stage outside the folder",
      file: "modules.json",
      change: replace("2_Dense", "../2_Dense"),
      says: "leads out of the folder",
    },
    {
      what: "an encoder in a folder of its own",
      file: "modules.json",
      change: replace(`"path": ""`, `"path": "0_Transformer"`),
      says: "its encoder lies in 0_Transformer",
    },
    {
      what: "no pooling at all",
      file: "modules.json",
      change: (text: string) => JSON.stringify([JSON.parse(text)[0]]),
      says: "names no Pooling",
    },
    {
      what: "a pooling of another width",
      file: "1_Pooling/config.json",
      change: replace(/"embedding_dimension": \d+/, `"embedding_dimension": 7`),
      says: "1_Pooling/config.json: it pools vectors of 7 numbers, the encoder's have 24",
    },
    {
      what: "a Dense stage of another width",
      file: "2_Dense/config.json",
      change: replace(/"in_features": \d+/, `"in_features": 7`),
      says: "2_Dense/config.json: it reads 7 numbers, the stage before it gives 48",
    },
    {
      what: "a default prompt that there is not",
      file: sentenceFile,
      change: replace(`"default_prompt_name": null`, `"default_prompt_name": "topic"`),
      says: "default_prompt_name is topic, which is none of its prompts",
    },
    {
      what: "a similarity of its own",
      file: sentenceFile,
      change: replace("cosine", "maxsim"),
      says: "similarity_fn_name",
    },
    {
      what: "the pooler's output",
      file: settings,
      change: replace("last_hidden_state", "pooler_output"),
      says: "method_output_name is pooler_output, but of a sentence only last_hidden_state is served",
    },
    {
      what: "query expansion",
      file: settings,
      change: set("query_expansion", { strategy: "fixed", length: 32 }),
      says: "query_expansion is of models that keep a vector per token",
    },
    {
      what: "arguments of the model's class",
      file: settings,
      change: set("config_kwargs", { num_hidden_layers: 1 }),
      says: "config_kwargs sets num_hidden_layers, which is not served",
    },
  ])("$what", async ({ file, change, says }) => {
    await copy("odd", dense, { [file]: change });
    const catalog = await bench.open();
    expect(stateOf(catalog, "odd").status).toBe("failed");
    expect(stateOf(catalog, "odd").reason).toContain(says);
  });

  it("a Dense stage whose weights are pickled, or of another shape", async () => {
    const pickled = await copy("pickled", dense);
    const weights = path.join(pickled, "2_Dense/model.safetensors");
    await rename(weights, path.join(pickled, "2_Dense/pytorch_model.bin"));
    await copy("narrow", dense, {
      "2_Dense/config.json": replace(/"out_features": \d+/, `"out_features": 19`),
      "3_LayerNorm/config.json": replace("20", "19"),
    });
    const catalog = await bench.open();
    await expect(catalog.lease("pickled", never)).rejects.toThrow(
      "2_Dense/model.safetensors is missing: save pytorch_model.bin in the safetensors format",
    );
    await expect(catalog.lease("narrow", never)).rejects.toThrow(
      `2_Dense/model.safetensors: "linear.weight" is [20, 48], wanted is [19, 48]`,
    );
  });

  it("a cross-encoder whose default prompt there is not", async () => {
    const change = replace(`"default_prompt_name": "query"`, `"default_prompt_name": "topic"`);
    await copy("lost", "ce-electra-prompt", { [sentenceFile]: change });
    const { reason } = stateOf(await bench.open(), "lost");
    expect(reason).toContain("default_prompt_name is topic");
  });

  it("a cross-encoder whose config.json has no classifier", async () => {
    await copy("headless", "ce-bert", {
      "config.json": replace("BertForSequenceClassification", "BertModel"),
    });
    const { reason } = stateOf(await bench.open(), "headless");
    expect(reason).toContain("saved as a cross-encoder, but config.json says BertModel");
  });
});

describe("limits", () => {
  it("are those of the encoder's own settings before the tokenizer's, never beyond its positions", async () => {
    for (const [id, length] of [
      ["more", 50],
      ["beyond", 500],
      ["fewer", 9],
    ] as const) {
      await copy(id, dense, { [settings]: set("max_seq_length", length) });
    }
    await copy("own", dense);
    const catalog = await bench.open();
    const lengths = ["more", "beyond", "fewer", "own"].map(
      (id) => stateOf(catalog, id).limits?.maxTokens,
    );
    expect(lengths).toEqual([50, 64, 9, 32]);
    expect(stateOf(catalog, "own").limits?.dimensions).toBe(20);
  });
});

describe("the digest", () => {
  it("changes with prompts, pooling, stages and their weights", async () => {
    await copy("same", dense);
    await copy("again", dense);
    await copy("prompts", dense, { [sentenceFile]: replace(`"query": ""`, `"query": "q: "`) });
    await copy("pooling", dense, { "1_Pooling/config.json": replace("mean", "max") });
    await copy("activation", dense, { "2_Dense/config.json": replace("Tanh", "GELU") });
    await copy("settings", dense, { [settings]: set("do_lower_case", true) });
    const weights = await copy("weights", dense);
    const file = path.join(weights, "2_Dense/model.safetensors");
    const bytes = await readFile(file);
    bytes.writeFloatLE(0.5, bytes.length - 4);
    await rm(file);
    await writeFile(file, bytes);
    const ids = ["same", "again", "prompts", "pooling", "activation", "settings", "weights"];
    const catalog = await bench.open();
    await until(catalog, () => ids.every((id) => stateOf(catalog, id).digest !== null));
    const digests = ids.map((id) => stateOf(catalog, id).digest);
    expect(digests[1]).toBe(digests[0]);
    expect(new Set(digests).size).toBe(ids.length - 1);
  });
});

describe("a model whose catalogue entry names prompts", () => {
  const instruction = "Represent this sentence for searching relevant passages: ";
  const id = "bge-small-en-v1.5";

  it("has them where its folder names none, with a digest of their own", async () => {
    await copy(id, "st-bert-mean-normalize");
    await copy("other-name", "st-bert-mean-normalize");
    const catalog = await bench.open();
    const named = await acquireEncoder(catalog, id);
    expect(named.sentence?.prompts).toMatchObject({ query: instruction });
    const other = await acquireEncoder(catalog, "other-name");
    expect(other.sentence?.prompts).toEqual({ query: "", document: "" });
    expect(named.digest).not.toBe(other.digest);
  });

  it("reads queries, documents and texts of one kind as its card says", async () => {
    const e5 = "multilingual-e5-small";
    await copy(e5, "st-bert-mean-normalize");
    await copy("bare", "st-bert-mean-normalize");
    const catalog = await bench.open();
    const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
    const parameters = { raw_scores: true };
    const ranked = async (name: string, query: string, text: string) => {
      const request = { task: "rerank" as const, inputs: [{ query, texts: [text] }], parameters };
      const model = await catalog.acquire(name, never);
      const { outputs } = await runner.run(rerank, request, model, { signal: never });
      return outputs[0]?.[0]?.score;
    };
    const similar = async (name: string, source: string, text: string) => {
      const inputs = [{ source_sentence: source, sentences: [text] }];
      const request = { task: "sentence-similarity" as const, inputs, parameters: {} };
      const model = await catalog.acquire(name, never);
      const { outputs } = await runner.run(sentenceSimilarity, request, model, { signal: never });
      return outputs[0]?.[0];
    };
    const wanted = await ranked("bare", "query: a cat", "passage: the dog");
    expect(await ranked(e5, "a cat", "the dog")).toBeCloseTo(wanted ?? NaN, 6);
    expect(await ranked("bare", "a cat", "the dog")).not.toBeCloseTo(wanted ?? NaN, 3);
    const alike = await similar("bare", "query: a cat", "query: the dog");
    expect(await similar(e5, "a cat", "the dog")).toBeCloseTo(alike ?? NaN, 6);
  });

  it("has its folder's where that names some", async () => {
    await copy(id, "st-bert-cls-prompts");
    const { sentence } = await acquireEncoder(await bench.open(), id);
    expect(sentence?.prompts).toEqual({ query: "search for: ", document: "text: " });
  });

  it("has them when it comes from a hub that lacks the optional files, or else the hub's", async () => {
    const [first, second] = [await bench.open(), path.join(bench.folder, "state-2")];
    const asked = () => bench.hub.seen.filter(({ url }) => url.endsWith(sentenceFile));
    expect((await acquireEncoder(first, id)).sentence?.prompts).toEqual({ query: instruction });
    expect(asked()).toHaveLength(1);
    await mkdir(second);
    const own = { prompts: { query: "find: " }, default_prompt_name: "query" };
    bench.hub.files.set(sentenceFile, Buffer.from(JSON.stringify(own)));
    const other = await bench.open({ stateFolder: second });
    expect((await acquireEncoder(other, id)).sentence).toMatchObject({
      prompts: { query: "find: " },
      defaultPrompt: "query",
    });
  });
});
