/**
 * Every task of a classifier, a tagger, a masked-lm, an extractor and an encoder against what transformers' own
 * pipelines answered on the same small random checkpoints: oracle/make_oracle.py.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Task, TaskInput, TaskOutput, TaskParameters } from "../../contract/tasks.ts";
import type { LoadedEncoder } from "../../gpu-worker/catalog/loaded-model.ts";
import { featureExtraction } from "../../gpu-worker/pipelines/feature-extraction.ts";
import { fillMask } from "../../gpu-worker/pipelines/fill-mask.ts";
import type { EncoderPipeline } from "../../gpu-worker/pipelines/pipeline.ts";
import { questionAnswering } from "../../gpu-worker/pipelines/question-answering.ts";
import { textClassification } from "../../gpu-worker/pipelines/text-classification.ts";
import { tokenClassification } from "../../gpu-worker/pipelines/token-classification.ts";
import { zeroShotClassification } from "../../gpu-worker/pipelines/zero-shot-classification.ts";
import { type CatalogBench, openCatalogBench } from "../catalog/catalog-bench.ts";
import { toyContext } from "./toy-tagger.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";

const oracle = path.join(import.meta.dirname, "oracle");
const made = path.resolve(import.meta.dirname, "../tokenizer/made");
const vocabularies: Record<string, string> = {
  bert: "cased-bert",
  roberta: "roberta",
  "xlm-roberta": "xlm-roberta",
  deberta: "deberta-v3",
};

type Call<I, P, A> = { task: string; model: string; inputs: I; parameters: P; answer: A };

function read<T>(file: string): T {
  return JSON.parse(readFileSync(path.join(oracle, file), "utf8"));
}

const calls = [
  ...read<Call<never, never, never>[]>("expected.json"),
  ...read<Call<never, never, never>[]>("answers.json"),
];
const models = [...new Set(calls.map(({ model }) => model))];

let bench: CatalogBench;
const loaded = new Map<string, LoadedEncoder>();

/** The checkpoint with the tokenizer that it was made with. */
function lay(name: string): void {
  const folder = bench.local(name);
  mkdirSync(folder);
  for (const file of ["config.json", "model.safetensors"]) {
    copyFileSync(path.join(oracle, name, file), path.join(folder, file));
  }
  const vocabulary = vocabularies[name.replace(/-[a-z]+(-class)?$/, "")] ?? "";
  copyFileSync(path.join(made, vocabulary, "tokenizer.json"), path.join(folder, "tokenizer.json"));
  writeFileSync(path.join(folder, "tokenizer_config.json"), '{"model_max_length": 76}');
}

beforeAll(async () => {
  bench = await openCatalogBench();
  for (const name of models) lay(name);
  const catalog = await bench.open();
  for (const name of models) loaded.set(name, await acquireEncoder(catalog, name));
});
afterAll(() => bench.close());

function callsOf<T extends Task, A>(task: T): Call<TaskInput<T>, TaskParameters<T>, A>[] {
  return calls.filter((call) => call.task === task);
}

async function answer<T extends Task>(
  pipeline: EncoderPipeline<T>,
  name: string,
  request: { task: T; inputs: TaskInput<T>[]; parameters: TaskParameters<T> },
): Promise<TaskOutput<T>[]> {
  const model = loaded.get(name);
  if (model === undefined) throw new Error(`${name} is not loaded`);
  return (await pipeline.answer(request, model, toyContext())).outputs;
}

/** Numbers of the oracle are rounded to six digits, and f32 sums differ in the last. */
function near(value: unknown): unknown {
  if (typeof value === "number") return Number.isInteger(value) ? value : expect.closeTo(value, 4);
  if (Array.isArray(value)) return value.map(near);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, near(each)]));
}

const title = ({ model, inputs, parameters }: Call<unknown, unknown, unknown>) =>
  `${model} ${JSON.stringify(inputs).slice(0, 60)} ${JSON.stringify(parameters)}`;

function callsFor<T extends Task, A>(task: T) {
  const own = callsOf<T, A>(task);
  expect(own.length).toBeGreaterThan(0);
  return own.map((call) => [title(call), call] as const);
}

type Entity = { entity?: string; entity_group?: string; score: number; start: number; end: number };

describe("token-classification", () => {
  it.each(callsFor<"token-classification", Entity[]>("token-classification"))(
    "%s",
    async (_, call) => {
      const text = call.inputs;
      const request = {
        task: "token-classification" as const,
        inputs: [text],
        parameters: call.parameters,
      };
      const [found = []] = await answer(tokenClassification, call.model, request);
      const characters = [...text];
      // Their spans may begin or end with white space, or be nothing else; ours are what stands between.
      const expected = call.answer.flatMap(({ entity, entity_group: group, score, start, end }) => {
        const word = characters.slice(start, end).join("");
        if (word.trim() === "") return [];
        const before = start + [...word].length - [...word.trimStart()].length;
        const label = entity ?? group;
        return [
          { label, score: near(score), start: before, end: before + [...word.trim()].length },
        ];
      });
      const named = found.map(({ entity, entity_group: group, score, start, end }) => {
        return {
          label: call.parameters.aggregation_strategy === "none" ? entity : group,
          score,
          start,
          end,
        };
      });
      expect(named).toEqual(expected);
      for (const { word, start, end } of found) {
        expect(word).toBe(characters.slice(start, end).join(""));
      }
    },
  );
});

describe("fill-mask", () => {
  it.each(callsFor<"fill-mask", TaskOutput<"fill-mask">>("fill-mask"))("%s", async (_, call) => {
    const request = {
      task: "fill-mask" as const,
      inputs: [call.inputs],
      parameters: call.parameters,
    };
    expect(await answer(fillMask, call.model, request)).toEqual([near(call.answer)]);
  });
});

type Truncating = TaskParameters<"text-classification"> & { truncation?: boolean };

describe("text-classification", () => {
  it.each(callsFor<"text-classification", unknown[]>("text-classification"))(
    "%s",
    async (_, call) => {
      const { truncation, ...others }: Truncating = call.parameters;
      const parameters = {
        ...others,
        ...(truncation === undefined ? {} : { truncate: truncation }),
      };
      const several = Array.isArray(call.inputs);
      const inputs: TaskInput<"text-classification">[] = [call.inputs].flat();
      const request = { task: "text-classification" as const, inputs, parameters };
      const outputs = await answer(textClassification, call.model, request);
      expect(outputs).toEqual(near(several ? call.answer : [call.answer]));
    },
  );
});

type ZeroShot = { labels: string[]; scores: number[] };

describe("zero-shot-classification", () => {
  it.each(callsFor<"zero-shot-classification", ZeroShot>("zero-shot-classification"))(
    "%s",
    async (_, call) => {
      const { parameters, answer: theirs } = call;
      const request = {
        task: "zero-shot-classification" as const,
        inputs: [call.inputs],
        parameters,
      };
      const [outputs] = await answer(zeroShotClassification, call.model, request);
      const expected = theirs.labels.map((label, at) => ({
        label,
        score: near(theirs.scores[at]),
      }));
      expect(outputs).toEqual(expected);
    },
  );
});

describe("feature-extraction of tokens", () => {
  it.each(callsFor<"feature-extraction", number[][][] | number[][][][]>("feature-extraction"))(
    "%s",
    async (_, call) => {
      const several = Array.isArray(call.inputs);
      const inputs = [call.inputs].flat() as string[];
      const request = {
        task: "feature-extraction" as const,
        inputs,
        parameters: { pooling: "none" as const },
      };
      const outputs = await answer(featureExtraction, call.model, request);
      const vectors = outputs.map((output) => {
        if (typeof output === "string") throw new Error("a pooled vector");
        const bytes = Uint8Array.from(Buffer.from(output.vectors, "base64"));
        const all = [...new Float32Array(bytes.buffer)];
        const { dimensions } = output;
        return all.flatMap((_value, at) =>
          at % dimensions === 0 ? [all.slice(at, at + dimensions)] : [],
        );
      });
      const expected = several ? call.answer.map(([batch]) => batch) : call.answer;
      expect(vectors).toEqual(near(expected));
    },
  );
});

describe("question-answering", () => {
  it.each(callsFor<"question-answering", TaskOutput<"question-answering">>("question-answering"))(
    "%s",
    async (_, call) => {
      const { inputs, parameters } = call;
      const request = { task: "question-answering" as const, inputs: [inputs], parameters };
      expect(await answer(questionAnswering, call.model, request)).toEqual([near(call.answer)]);
    },
  );
});
