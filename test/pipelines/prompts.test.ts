/** Texts that a sentence encoder wants before its inputs, by what these are for; the answers themselves are checked in
 * test/checkpoints/library-checkpoints.test.ts. */
import { describe, expect, it } from "vitest";
import type { TaskParameters } from "../../contract/tasks.ts";
import { TaskRunner, cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import { featureExtraction } from "../../gpu-worker/pipelines/feature-extraction.ts";
import { rerank } from "../../gpu-worker/pipelines/rerank.ts";
import { sentenceSimilarity } from "../../gpu-worker/pipelines/sentence-similarity.ts";
import { zeroShotClassification } from "../../gpu-worker/pipelines/zero-shot-classification.ts";
import { toyEncoder } from "./toy-encoder.ts";
import { cosinesTo } from "./toy-oracle.ts";

const signal = new AbortController().signal;
const makeRunner = () => new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });

type Prompts = { prompts: Record<string, string>; defaultPrompt?: string };

function model({ prompts, defaultPrompt }: Prompts): EncoderModel {
  const sentence = { pooling: "mean", normalize: true, prompts } as const;
  return {
    ...toyEncoder(),
    sentence: { ...sentence, defaultPrompt: defaultPrompt ?? null },
  };
}

function extract(
  inputs: (string | number[])[],
  parameters: TaskParameters<"feature-extraction">,
  prompts: Prompts,
) {
  const request = { task: "feature-extraction", inputs, parameters } as const;
  return makeRunner().run(featureExtraction, request, model(prompts), { signal });
}

const search = { query: "7 ", document: "9 " };

describe("feature-extraction", () => {
  it("puts the default prompt before texts, and another that is named", async () => {
    const given = { prompts: search, defaultPrompt: "document" };
    const same = await extract(["9 10"], {}, { prompts: {} });
    const answer = await extract(["10"], {}, given);
    expect(answer.outputs).toEqual(same.outputs);
    expect(answer.usage).toEqual({ promptTokens: 4 });
    const query = await extract(["10"], { prompt_name: "query" }, given);
    expect(query.outputs).toEqual((await extract(["7 10"], {}, { prompts: {} })).outputs);
  });

  it("keeps the prompt when the text is cut, and counts it", async () => {
    const numbers = Array.from({ length: 30 }, (_, at) => at + 20).join(" ");
    const parameters = { truncate: true, prompt_name: "query" } as const;
    const { outputs, usage } = await extract([numbers], parameters, { prompts: search });
    const same = await extract([`7 ${numbers}`], { truncate: true }, { prompts: {} });
    expect(outputs).toEqual(same.outputs);
    expect(usage).toEqual({ promptTokens: 16, truncatedInputs: 1 });
  });

  it("refuses a name that there is not, and lists those that there are", async () => {
    await expect(extract(["1"], { prompt_name: "sts" }, { prompts: search })).rejects.toMatchObject(
      {
        code: "invalid_value",
        param: "prompt_name",
        message: 'toy has no prompt "sts"; it has query, document',
      },
    );
    await expect(extract(["1"], { prompt_name: "constructor" }, { prompts: {} })).rejects.toThrow(
      "it has none at all",
    );
  });

  it("reads token ids where the prompt is empty, and refuses them where it is not", async () => {
    const given = { prompts: { ...search, bare: "" }, defaultPrompt: "query" };
    await expect(extract([[10]], {}, given)).rejects.toMatchObject({
      code: "invalid_value",
      param: "prompt_name",
      message: expect.stringContaining("prompt before each input"),
    });
    const { outputs } = await extract([[10]], { prompt_name: "bare" }, given);
    expect(outputs).toEqual((await extract(["10"], {}, { prompts: {} })).outputs);
  });
});

async function ranked(prompts: Prompts): Promise<number[]> {
  const request = {
    task: "rerank",
    inputs: [{ query: "3", texts: ["200"] }],
    parameters: { raw_scores: true },
  } as const;
  const { outputs } = await makeRunner().run(
    rerank,
    { ...request, inputs: [{ query: "3", texts: ["200"] }] },
    model(prompts),
    { signal },
  );
  return (outputs[0] ?? []).map(({ score }) => score);
}

describe("rerank", () => {
  it.each([
    { what: "query and document", prompts: search, query: "7 3", text: "9 200" },
    {
      what: "a passage where the document is empty",
      prompts: { query: "", document: "", passage: "8 " },
      query: "3",
      text: "8 200",
    },
    { what: "no default", prompts: { other: "5 " }, query: "3", text: "200" },
  ])("uses $what", async ({ prompts, query, text }) => {
    const found = await ranked({ prompts, defaultPrompt: Object.keys(prompts)[0] ?? "" });
    expect(found[0]).toBeCloseTo(cosinesTo(query, [text])[0] ?? NaN, 5);
  });
});

async function similar(prompts: Prompts): Promise<number | undefined> {
  const inputs = [{ source_sentence: "3", sentences: ["200"] }];
  const request = { task: "sentence-similarity" as const, inputs, parameters: {} };
  const answer = await makeRunner().run(sentenceSimilarity, request, model(prompts), { signal });
  return answer.outputs[0]?.[0];
}

async function fitting(prompts: Prompts): Promise<number | undefined> {
  const request = {
    task: "zero-shot-classification" as const,
    inputs: ["3"],
    parameters: { candidate_labels: ["200"] },
  };
  const runner = makeRunner();
  const answer = await runner.run(zeroShotClassification, request, model(prompts), { signal });
  return answer.outputs[0]?.[0]?.score;
}

describe("texts of one kind", () => {
  const compared = { prompts: { ...search, STS: "5 ", Classification: "6 " } };

  it("are compared under the prompt for it, else the default", async () => {
    expect(await similar(compared)).toBeCloseTo(cosinesTo("5 3", ["5 200"])[0] ?? NaN, 5);
    const byDefault = { prompts: search, defaultPrompt: "query" };
    expect(await similar(byDefault)).toBeCloseTo(cosinesTo("7 3", ["7 200"])[0] ?? NaN, 5);
  });

  it("are classified under the prompt for it, else the default", async () => {
    expect(await fitting(compared)).toBeCloseTo(cosinesTo("6 3", ["6 200"])[0] ?? NaN, 5);
    const byDefault = { prompts: search, defaultPrompt: "query" };
    expect(await fitting(byDefault)).toBeCloseTo(cosinesTo("7 3", ["7 200"])[0] ?? NaN, 5);
  });
});
