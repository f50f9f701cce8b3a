/**
 * Whose vocabulary token ids are read in: on an encoder that is worked out by hand, and on the model that ships with
 * the worker.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Tiktoken } from "js-tiktoken/lite";
import ranks from "js-tiktoken/ranks/cl100k_base";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TaskParameters } from "../../contract/tasks.ts";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import { featureExtraction } from "../../gpu-worker/pipelines/feature-extraction.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { cosine } from "../e2e/vectors.ts";
import { toyEncoder } from "./toy-encoder.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";

const { signal } = new AbortController();
const cl100k = new Tiktoken(ranks);
const idsOf = (text: string) => cl100k.encode(text, "all");

type Input = string | number[];
type Parameters = TaskParameters<"feature-extraction">;

function extract(inputs: Input[], parameters: Parameters, model: EncoderModel = toyEncoder()) {
  const request = { task: "feature-extraction", inputs, parameters } as const;
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
  return runner.run(featureExtraction, request, model, { signal });
}

/** Texts of numbers, whose ids are others in cl100k_base. */
const texts = ["10 20", "5", "300 7 9"];

describe("token ids", () => {
  it("of cl100k_base are the texts they stand for, and cost what the model reads", async () => {
    const expected = await extract(texts, {});
    for (const vocabulary of ["cl100k_base", "either"] as const) {
      const { outputs, usage, warnings } = await extract(texts.map(idsOf), {
        token_ids: vocabulary,
      });
      expect(outputs).toEqual(expected.outputs);
      expect(usage).toEqual(expected.usage);
      expect(warnings).toEqual([
        "token ids of 3 inputs were read as cl100k_base's: decoded, and tokenised again for toy",
      ]);
    }
  });

  it("are the model's own where they carry its special tokens at both ends", async () => {
    const expected = await extract(["10 20", "30", "40"], {});
    const given: Input[] = ["10 20", [1, 30, 2], idsOf("40")];
    const { outputs, warnings } = await extract(given, { token_ids: "either" });
    expect(outputs).toEqual(expected.outputs);
    expect(warnings).toEqual([
      "token ids of 1 input were read as toy's own",
      "token ids of 1 input were read as cl100k_base's: decoded, and tokenised again for toy",
    ]);
  });

  it("are whose the request says they are, special tokens or not", async () => {
    const expected = await extract(["10 20"], {});
    const own = await extract([[10, 20]], { token_ids: "model" });
    expect(own.outputs).toEqual(expected.outputs);
    expect(own.warnings).toEqual(["token ids of 1 input were read as toy's own"]);
    // The ids 1, 15, 16, 2 are `"01#` there.
    const wrapped = extract([[1, 15, 16, 2]], { token_ids: "cl100k_base", truncate: true });
    expect((await wrapped).warnings[0]).toContain("cl100k_base");
  });

  it("say nothing where there are none, and are the model's where nothing is said of them", async () => {
    expect((await extract(texts, { token_ids: "either" })).warnings).toEqual([]);
    const silent = await extract([[10, 20]], {});
    expect(silent.outputs).toEqual((await extract(["10 20"], {})).outputs);
    expect(silent.warnings).toEqual([]);
  });

  it("are read behind a prompt, and token by token, as texts are", async () => {
    const prompted = { token_ids: "either", prompt_name: "query" } as const;
    const expected = await extract(["10 20"], { prompt_name: "query" });
    expect((await extract([idsOf("10 20")], prompted)).outputs).toEqual(expected.outputs);
    const tokens = await extract([idsOf("10 20")], { token_ids: "either", pooling: "none" });
    expect(tokens.outputs).toEqual((await extract(["10 20"], { pooling: "none" })).outputs);
    expect(tokens.warnings[0]).toContain("cl100k_base");
  });

  it("that are of no vocabulary are refused by their index", async () => {
    for (const unknown of [100_256, 100_277, 99_999_999]) {
      await expect(extract(["5", [15, unknown]], { token_ids: "either" })).rejects.toMatchObject({
        code: "invalid_value",
        param: "inputs[1][1]",
        message: expect.stringMatching(new RegExp(`${unknown}.*cl100k_base.*x-token-ids: model`)),
      });
    }
  });

  it("that are too many, or stand for too long a text, are refused before the model reads them", async () => {
    const toy = toyEncoder();
    const many = Array.from({ length: 4 }, () => Array<number>(75_001).fill(15));
    await expect(extract(many, { token_ids: "either" }, toy)).rejects.toMatchObject({
      code: "context_length_exceeded",
    });
    const [line = 0] = idsOf("-".repeat(64));
    const long = Array<number>(20_000).fill(line);
    await expect(extract(["5", long], { token_ids: "either" }, toy)).rejects.toMatchObject({
      code: "invalid_value",
      param: "inputs[1]",
    });
    const some = idsOf("5 ".repeat(20));
    await expect(extract([some], { token_ids: "either" }, toy)).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs[0]",
      message: expect.stringMatching(/22 tokens.*16/),
    });
    expect(toy.runs).toEqual([]);
  });
});

describe("with the embedded model", () => {
  let state: string;
  let catalog: Catalog;
  let model: EncoderModel;

  beforeAll(async () => {
    const log = { info: () => undefined, warn: () => undefined };
    state = await mkdtemp(path.join(tmpdir(), "llm-os-token-ids-"));
    const hub = { endpoint: "http://127.0.0.1:1", token: null };
    const runtime = await openRuntime({ log, threads: 1 });
    catalog = await openCatalog(
      { stateFolder: state, modelsFolder: null, hub, form: "f32", device: "cpu" },
      { runtime, log, now: Date.now },
    );
    model = await acquireEncoder(catalog, "all-MiniLM-L6-v2");
  });

  afterAll(async () => {
    await catalog.close();
    await rm(state, { recursive: true, force: true });
  });

  const sentences = [
    "How do I reset my password?",
    "Die Katze sitzt auf der Matte.",
    "東京は日本の首都です。😀",
    "def f(x):\n    return x ** 2  # squared",
  ];

  async function vectorsOf(inputs: Input[], parameters: Parameters): Promise<Float32Array[]> {
    const { outputs } = await extract(inputs, parameters, model);
    return outputs.map((output) => {
      const bytes = Uint8Array.from(
        Buffer.from(typeof output === "string" ? output : "", "base64"),
      );
      return new Float32Array(bytes.buffer);
    });
  }

  it("vectors are those of the texts, where as its own ids they were others", async () => {
    const expected = await vectorsOf(sentences, {});
    const ids = sentences.map(idsOf);
    const [decoded, asOwn] = [
      await vectorsOf(ids, { token_ids: "either" }),
      await vectorsOf(
        ids.map((list) => list.map((id) => id % 30_000)),
        { token_ids: "model" },
      ),
    ];
    for (const [at, vector] of expected.entries()) {
      expect(cosine(vector, decoded[at] ?? [])).toBeGreaterThan(0.99999);
      expect(cosine(vector, asOwn[at] ?? [])).toBeLessThan(0.5);
    }
  });

  it("a character cut in two is read as what is not there", async () => {
    const [first = 0] = idsOf("😀");
    const [cut, text] = await vectorsOf([[...idsOf("a face "), first], "a face \ufffd"], {
      token_ids: "either",
    });
    expect(cosine(cut ?? [], text ?? [])).toBeGreaterThan(0.99999);
  });
});
