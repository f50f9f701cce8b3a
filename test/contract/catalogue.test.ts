/** The catalogue: a model for every task that the hub has one for, under names of its own, with the files we need. */
import { describe, expect, it } from "vitest";
import { catalogue, ModelManifest } from "../../contract/catalogue.ts";
import { Task } from "../../contract/tasks.ts";

/** Tasks that no manifest names, and why. */
const without: Partial<Record<Task, string>> = {
  noop: "it runs no model",
  tokenize: "every model does it",
  detokenize: "every model does it",
  "file-check": "it needs none",
  augmentation: "every model does it that says which label a text has",
  "load-model": "any model is asked for it",
  "prompt-evaluation": "every model does it that takes a conversation",
  "tuning-plan": "any model that can be trained is asked for it",
  "relation-extraction":
    "we know of no plain encoder on the hub that classifies spans as this platform marks them; fine-tuning makes one",
};

describe("the catalogue", () => {
  for (const task of Task.options) {
    const reason = without[task];
    const served = catalogue.filter(({ tasks }) => tasks.includes(task)).map(({ id }) => id);
    if (reason === undefined) {
      it(`has a model for ${task}`, () => expect(served).not.toEqual([]));
    } else {
      it(`names no model for ${task}: ${reason}`, () => expect(served).toEqual([]));
    }
  }

  it("has a model trained for entailment, and a cross-encoder, beside the sentence encoders", () => {
    const own = catalogue.filter(({ limits }) => limits.dimensions === null);
    const tasks = own.flatMap((manifest) => manifest.tasks);
    expect(tasks).toEqual(expect.arrayContaining(["zero-shot-classification", "rerank"]));
  });

  it("has models that write, from 135 million parameters to 1.7 thousand million", () => {
    const decoders = catalogue.filter(({ tasks }) => tasks.includes("chat-completion"));
    expect(decoders.map(({ id }) => id)).toEqual([
      "SmolLM2-135M-Instruct",
      "SmolLM2-360M-Instruct",
      "SmolLM2-1.7B-Instruct",
      "Qwen2.5-0.5B-Instruct",
      "Qwen2.5-1.5B-Instruct",
      "Qwen3-0.6B",
      "Llama-3.2-1B-Instruct",
    ]);
  });

  it("begins with the model that ships", () => {
    expect(catalogue[0]?.id).toBe("all-MiniLM-L6-v2");
  });

  it("gives each name to one model", () => {
    const names = catalogue.flatMap(({ id, aliases }) => [id, ...aliases]);
    expect(names.toSorted()).toEqual([...new Set(names)].toSorted());
  });

  it.each(catalogue.map((manifest) => [manifest.id, manifest] as const))(
    "can be fetched and is told of truly: %s",
    (_, manifest) => {
      expect(ModelManifest.parse(manifest)).toEqual(manifest);
      const paths = manifest.files.map(({ path }) => path);
      const needed = ["config.json", "tokenizer.json", "model.safetensors"];
      // A GGUF file has all of them in it.
      if (!paths.every((path) => path.endsWith(".gguf"))) {
        expect(paths).toEqual(expect.arrayContaining(needed));
      }
      expect(new Set(paths).size).toBe(paths.length);
      expect(manifest.licence).toMatch(/^[a-z0-9]+(?:[.-][a-z0-9]+)*$/);
      const hub = manifest.sources.find((source) => source.kind === "hub");
      expect(manifest.aliases).toContain(hub?.repository);
      expect(manifest.limits.dimensions !== null).toBe(manifest.tasks[0] === "feature-extraction");
    },
  );

  it("brings what sentence-transformers says of a model, where the hub has it", () => {
    const optional = catalogue
      .filter(({ sources }) => sources.every(({ kind }) => kind === "hub"))
      .filter(({ tasks }) => tasks.includes("feature-extraction") || tasks.includes("rerank"))
      .map(({ files }) => files.filter((file) => file.optional === true).map(({ path }) => path));
    expect(optional).toHaveLength(3);
    for (const paths of optional) expect(paths).toContain("config_sentence_transformers.json");
  });

  it("names the texts that models were trained to find before their inputs", () => {
    const prompts = Object.fromEntries(catalogue.map(({ id, prompts: named }) => [id, named]));
    // The models' cards: https://huggingface.co/intfloat/multilingual-e5-small,
    // https://huggingface.co/BAAI/bge-small-en-v1.5
    expect(prompts["multilingual-e5-small"]).toEqual({
      query: "query: ",
      document: "passage: ",
      STS: "query: ",
      Classification: "query: ",
    });
    expect(prompts["bge-small-en-v1.5"]).toEqual({
      query: "Represent this sentence for searching relevant passages: ",
    });
    expect(prompts["all-MiniLM-L6-v2"]).toBeUndefined();
  });
});
