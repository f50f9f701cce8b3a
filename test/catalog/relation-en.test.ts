/** The shipped adapter for relations, on the base that ships beside it: known sentences, in each form. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { relationExtraction } from "../../gpu-worker/pipelines/relation-extraction.ts";
import { acquireEncoder } from "./acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench } from "./catalog-bench.ts";

let bench: CatalogBench;

beforeAll(async () => {
  bench = await openCatalogBench();
});

afterAll(() => bench.close());

const known = {
  "The <e1>storm</e1> caused the <e2>flood</e2> in the valley.": "Cause-Effect(e1,e2)",
  "The <e1>flood</e1> was caused by the <e2>storm</e2>.": "Cause-Effect(e2,e1)",
  "The <e1>letters</e1> were in a wooden <e2>box</e2>.": "Content-Container(e1,e2)",
  "The <e1>kitchen</e1> of the <e2>house</e2> is small.": "Component-Whole(e1,e2)",
  "They moved the <e1>goods</e1> into the <e2>warehouse</e2>.": "Entity-Destination(e1,e2)",
};

it.each(["f32", "int8"] as const)("relates the parts of known sentences in %s", async (form) => {
  const catalog = await bench.open({ form, modelsFolder: null });
  const model = await acquireEncoder(catalog, "relation-en");
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
  const acquire = (id: string) => acquireEncoder(catalog, id);
  const task = "relation-extraction" as const;
  const bare = "Angela Merkel met Emmanuel Macron in Paris.";
  const request = { task, inputs: [...Object.keys(known), bare], parameters: {} };
  const { outputs } = await runner.run(relationExtraction, request, model, {
    signal: never,
    acquire,
  });
  const marked = outputs.slice(0, -1).map(([best]) => best?.label);
  expect(marked).toEqual(Object.values(known));
  // Of a text without marks, each pair of the entities that ner-en finds.
  expect(outputs.at(-1)).toHaveLength(6);
});
