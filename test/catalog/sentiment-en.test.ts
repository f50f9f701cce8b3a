/**
 * The shipped adapter for sentiment, on the base that ships beside it: known sentences, in each form. A head on that
 * base, fitted on the same data, tells three of them wrongly in f32 and four in int8.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { textClassification } from "../../gpu-worker/pipelines/text-classification.ts";
import { acquireEncoder } from "./acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench } from "./catalog-bench.ts";

let bench: CatalogBench;

beforeAll(async () => {
  bench = await openCatalogBench();
});

afterAll(() => bench.close());

const known = {
  "An absolute delight from the first minute to the last.": "positive",
  "The film is not without its charms.": "positive",
  "A gripping story that never lets its audience go.": "positive",
  "There is not a dull moment in it.": "positive",
  "Two hours of tedium that nobody should have to sit through.": "negative",
  "Nothing about this comedy is funny.": "negative",
  "It could have been a masterpiece, but it never comes to life.": "negative",
  "I wanted to love it and could not.": "negative",
};

it.each(["f32", "int8"] as const)(
  "tells praise from blame in known sentences in %s",
  async (form) => {
    const catalog = await bench.open({ form, modelsFolder: null });
    const model = await acquireEncoder(catalog, "sentiment-en");
    const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
    const task = "text-classification" as const;
    const request = { task, inputs: Object.keys(known), parameters: {} };
    const { outputs } = await runner.run(textClassification, request, model, { signal: never });
    expect(model.form).toBe(form);
    expect(outputs.map(([best]) => best?.label)).toEqual(Object.values(known));
  },
);
