import { expect, it } from "vitest";
import { modelList, modelSummary } from "../../../edge/portal/model-list.ts";
import type { ModelListing } from "../../../edge/registry/merge-models.ts";

const ready: ModelListing = {
  id: "here",
  aliases: ["somebody/here"],
  tasks: ["feature-extraction", "rerank"],
  status: "available",
  progress: null,
  reason: null,
  loaded: true,
  sizeBytes: 3_304,
  limits: { maxTokens: 256, dimensions: 384, vocabularySize: 30_522 },
  licence: "apache-2.0",
  digests: [],
  notServable: false,
  createdAtMs: 0,
};
const asleep: ModelListing = { ...ready, id: "asleep", loaded: false };
const away: ModelListing = { ...asleep, id: "away", reason: "The first request fetches it" };
const coming: ModelListing = {
  ...away,
  id: "coming",
  status: "downloading",
  progress: 0.425,
  reason: null,
};
const broken: ModelListing = { ...away, id: "broken", status: "failed", reason: "No tokenizer." };

async function textOf(models: readonly ModelListing[]): Promise<string> {
  const parts = await Promise.all(modelList(models));
  return parts
    .join("")
    .replaceAll(/<[^>]*>|\s+/g, " ")
    .replaceAll(/ +/g, " ");
}

it.each([
  [
    [ready, asleep, away, coming, broken],
    "2 models ready, 1 fetched when first asked for, 1 being fetched, 1 not usable now",
  ],
  [[ready], "1 model ready"],
  [[away, away], "The first request fetches it"],
  [[away, broken], "0 models ready, 1 fetched when first asked for, 1 not usable now"],
  [[], "No model is known yet."],
])("sums %o up", (models, summary) => {
  expect(modelSummary(models)).toBe(summary);
});

it("puts models together by what a caller can expect", async () => {
  const text = await textOf([away, ready, coming, asleep, broken]);
  const at = [
    "Ready",
    "here",
    "asleep",
    "Being fetched",
    "coming",
    "43 % here",
    "When first asked for",
  ];
  const places = [
    ...at,
    "The first request fetches it.",
    "away",
    "Not usable now",
    "No tokenizer.",
  ].map((word) => text.indexOf(word));
  expect(places).not.toContain(-1);
  expect(places).toEqual(places.toSorted((a, b) => a - b));
});

it("shows of each model who made it, what it does, takes and weighs, and its licence", async () => {
  const text = await textOf([ready]);
  for (const part of [
    "by somebody",
    "feature-extraction rerank",
    "256 tokens",
    "4 kB",
    "apache-2.0",
  ]) {
    expect(text).toContain(part);
  }
  const unknown = await textOf([{ ...ready, sizeBytes: null, limits: null, licence: null }]);
  expect(unknown).toContain("Reads – Size – Licence –");
});
