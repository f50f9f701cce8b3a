/** `npm run augment` as an operator calls it: its words, exit codes and files. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");
let folder: string;
let data: string;
const lines = [
  { body: "Where is the card that I ordered last week?", kind: "card_arrival" },
  { body: "My new card has still not arrived in the post", kind: "card_arrival" },
  { body: "What is the exchange rate for dollars today?", kind: "exchange_rate" },
];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "llm-os-augment-"));
  data = path.join(folder, "data.jsonl");
  await writeFile(data, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Ended = { code: number; out: string; errors: string };

function augment(...parameters: string[]): Promise<Ended> {
  const script = path.join(root, "gpu-worker/cli/model.ts");
  const env = { ...process.env, LLM_OS_STATE: path.join(folder, "state"), LLM_OS_MODELS: "" };
  const fields = ["--text", "body", "--label", "kind"];
  const words = [script, "augment", "--data", data, ...fields, ...parameters];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, words, { cwd: root, env }, (_, out, errors) =>
      resolve({ code: child.exitCode ?? -1, out, errors }),
    );
  });
}

async function rowsOf(file: string): Promise<Record<string, unknown>[]> {
  return (await readFile(file, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

it("writes examples and their scores, and nothing over what is there", async () => {
  const out = path.join(folder, "more.jsonl");
  const ended = await augment("--out", out, "--seed", "3", "--per-example", "3");
  expect(ended).toMatchObject({ code: 0, errors: "Loading all-MiniLM-L6-v2\nAugmenting\n" });
  expect(ended.out).toMatch(/METHOD +TRIED +KEPT/);
  const [, kept = "", tried] = /(\d+) of (\d+) candidates of 3 examples kept/.exec(ended.out) ?? [];
  expect(tried).toBe("9");
  const rows = await rowsOf(out);
  expect(rows.slice(0, 3)).toEqual(lines.map(({ body, kind }) => ({ text: body, label: kind })));
  const scored = await rowsOf(path.join(folder, "more.scores.jsonl"));
  expect(scored.map(({ text, label }) => ({ text, label }))).toEqual(rows.slice(3));
  expect(scored).toHaveLength(Number(kept));
  const again = await augment("--out", out);
  expect(again).toMatchObject({ code: 1, errors: expect.stringMatching(/is there already/) });
});

it("refuses wrong use with 2, and what cannot be augmented with 1", async () => {
  const out = ["--out", path.join(folder, "none.jsonl")];
  expect((await augment(...out, "--methods", "synonym")).code).toBe(2);
  for (const [words, reason] of [
    [["--methods", "paraphrase"], /--generator/],
    [["--similarity-min", "7"], /--similarity-min/],
    [["--judge", "sentiment-en"], /knows no label "card_arrival"/],
    [["--label", "text"], /has no "text"/],
  ] as const) {
    const ended = await augment(...out, ...words);
    expect(ended).toMatchObject({ code: 1, errors: expect.stringMatching(reason) });
  }
});
