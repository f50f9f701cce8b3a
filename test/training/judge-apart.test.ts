/** Files judged on a thread of their own: told as on the caller's, with the source's own errors. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import process from "node:process";
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

it.runIf(process.platform === "linux")("gives way to all other threads", async () => {
  const before = new Set(threads());
  const lowest = new Set<number>();
  async function* watched() {
    for await (const piece of inPieces(lines(400).join(""))) {
      for (const { thread, nice } of threadsBut(before)) if (nice === 19) lowest.add(thread);
      yield piece;
    }
  }
  const files = { training: { name: null, bytes: watched() }, validation: null };
  const told = { signal: never, onProgress: () => undefined };
  await judgeApart(files, { base: base(), charactersMax }, told);
  expect(lowest.size).toBe(1);
  expect(threadsBut(new Set()).filter(({ nice }) => nice === 19)).toEqual([]);
});

const tasks = "/proc/self/task";

function threads(): number[] {
  return readdirSync(tasks).map(Number);
}

/** Of this process, those that came since, with their priorities: the 19th field, counted behind the name's. */
function threadsBut(before: ReadonlySet<number>): { thread: number; nice: number }[] {
  return threads()
    .filter((thread) => !before.has(thread))
    .flatMap((thread) => {
      const file = `${tasks}/${thread}/stat`;
      const stat = existsSync(file) ? readFileSync(file, "utf8") : "";
      return { thread, nice: Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]) };
    });
}

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
