/** Files judged on a thread of their own: told as on the caller's, with the source's own errors. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { judgeData } from "../../gpu-worker/datasets/judge-data.ts";
import { judgeApart } from "../../gpu-worker/training/judge-apart.ts";
import { readTokenRules } from "../../gpu-worker/training/token-rules.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { madeTexts } from "./tune-bench.ts";

let bench: CatalogBench;
const charactersMax = 2_000;

beforeAll(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});
afterAll(() => bench.close());

const base = () => ({ id: "tiny", folder: bench.local("tiny") });
const lines = (count: number) =>
  madeTexts(count).map((text, at) => `${JSON.stringify({ text, label: `l${at % 2}` })}\n`);

async function* inPieces(text: string) {
  for (let at = 0; at < text.length; at += 100) yield Buffer.from(text.slice(at, at + 100));
}

const source = (text: string) => ({ name: "data.jsonl", bytes: inPieces(text) });

it("reports what is reported on the caller's thread, and how far it is", async () => {
  const [training, validation] = [`${lines(80).join("")}no json\n`, lines(20).join("")];
  const files = () => ({ training: source(training), validation: source(validation) });
  const tokens = { ...(await readTokenRules("tiny", base().folder)), charactersMax };
  const options = { signal: never, tokens, onProgress: () => undefined };
  const gone: number[] = [];
  const judging = { base: base(), charactersMax };
  const told = { signal: never, onProgress: (bytes: number) => gone.push(bytes) };
  const apart = await judgeApart(files(), judging, told);
  expect(apart).toEqual(await judgeData(files(), options));
  expect(apart.leakage?.examples).toBe(20);
  expect(Math.max(...gone)).toBe(Buffer.byteLength(training));
});

it("throws what the source throws, and the signal's reason", async () => {
  const failure = new RangeError("the object is gone");
  async function* broken() {
    yield Buffer.from(lines(3).join(""));
    throw failure;
  }
  const judging = { base: base(), charactersMax };
  const files = { training: { name: null, bytes: broken() }, validation: null };
  const told = { signal: never, onProgress: () => undefined };
  await expect(judgeApart(files, judging, told)).rejects.toBe(failure);
  const stopping = new AbortController();
  const stopped = judgeApart({ training: source(lines(100).join("")), validation: null }, judging, {
    signal: stopping.signal,
    onProgress: () => stopping.abort(failure),
  });
  await expect(stopped).rejects.toBe(failure);
});
