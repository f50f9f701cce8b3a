/** `fit-head` on the embedded model: what it says, and that the adapter it writes classifies. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { execFile } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readAdapter } from "../../gpu-worker/checkpoints/adapter-folder.ts";

const root = path.resolve(import.meta.dirname, "../..");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "llm-os-fit-head-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Ended = { code: number; out: string; errors: string };

function fitHead(...parameters: string[]): Promise<Ended> {
  const script = path.join(root, "gpu-worker/cli/model.ts");
  const env = { ...process.env, LLM_OS_STATE: path.join(folder, "state"), LLM_OS_MODELS: "" };
  const words = [script, "fit-head", "--base", "all-MiniLM-L6-v2", ...parameters];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, words, { cwd: root, env }, (_, out, errors) =>
      resolve({ code: child.exitCode ?? -1, out, errors }),
    );
  });
}

const animals = ["cat", "dog", "horse", "hamster", "cow", "sheep", "goose", "rabbit", "pig", "hen"];
const doings = ["sleeps in the barn", "eats hay", "runs over the field", "is ill today"];
const sums = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve"];
const results = ["plus one is odd", "times two", "divided by three", "minus a half"];

async function writeData(): Promise<string> {
  const pairs = animals.flatMap((animal) => doings.map((doing) => `The ${animal} ${doing}.`));
  const numbers = sums.flatMap((sum) => results.map((result) => `${sum} ${result}`));
  const lines = [
    ...pairs.map((body) => JSON.stringify({ body, kind: "animals" })),
    ...numbers.map((body) => JSON.stringify({ body, kind: "numbers" })),
  ];
  const file = path.join(folder, "data.jsonl");
  await writeFile(file, `${lines.join("\n")}\n`);
  return file;
}

describe("npm run model -- fit-head", () => {
  it("fits a head, says how good it is in both forms, and writes an adapter with its card", async () => {
    const out = path.join(folder, "animals");
    const data = await writeData();
    const fields = ["--text", "body", "--label", "kind", "--licence", "apache-2.0"];
    const ended = await fitHead("--data", data, "--out", out, ...fields);
    expect(ended.errors).not.toMatch(/cannot|Error/);
    expect(ended.code).toBe(0);
    expect(ended.out).toMatch(/accuracy on 16 held-out texts/);
    expect(ended.out).toMatch(/always the commonest label +[56]\d\.\d %/);
    expect(ended.out).toMatch(/base in f32 +100\.0 %/);
    expect(ended.out).toMatch(/base in int8 +100\.0 %/);
    const adapter = await readAdapter(out);
    expect(adapter).toMatchObject({
      task: "text-classification",
      labels: ["animals", "numbers"],
      problem: "single_label",
      pooling: "mean",
      maxLength: 256,
      baseName: "sentence-transformers/all-MiniLM-L6-v2",
      baseDigest: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
      licence: "apache-2.0",
    });
    expect(adapter).toMatchObject({ weight: { length: 2 * 384 } });
    const card = await readFile(path.join(out, "README.md"), "utf8");
    expect(card).toMatch(/license: apache-2\.0/);
    expect(card).toContain("npm run model -- fit-head --base all-MiniLM-L6-v2 --data");
  });

  it("names every bad line, and writes nothing", async () => {
    const data = path.join(folder, "bad.jsonl");
    await writeFile(data, '{"text":"a","label":"x"}\nnonsense\n{"text":"b"}\n');
    const out = path.join(folder, "bad");
    const ended = await fitHead("--data", data, "--out", out);
    expect(ended.code).toBe(1);
    expect(ended.errors).toMatch(/bad\.jsonl: 2 lines cannot be used:\s+line 2: .*\s+line 3: /);
    expect(await readAdapter(out)).toBeNull();
  });

  it("writes over nothing without --force", async () => {
    const out = path.join(folder, "taken");
    await mkdir(out);
    await writeFile(path.join(out, "notes.txt"), "mine");
    const data = path.join(folder, "single.jsonl");
    await writeFile(data, '{"text":"a","label":"x"}\n');
    const refused = await fitHead("--data", data, "--out", out);
    expect(refused.code).toBe(1);
    expect(refused.errors).toMatch(/taken is not empty: .*--force\n$/);
    const forced = await fitHead("--data", data, "--out", out, "--force");
    expect(forced.errors).toMatch(/every row is labelled x/);
    const onFile = await fitHead("--data", data, "--out", path.join(out, "notes.txt"));
    expect(onFile.errors).toMatch(/notes\.txt is no folder: choose another --out/);
  });

  it("asks for two labels", async () => {
    const data = path.join(folder, "one.jsonl");
    await writeFile(data, '{"text":"a","label":"x"}\n{"text":"b","label":"x"}\n');
    const ended = await fitHead("--data", data, "--out", path.join(folder, "one"));
    expect(ended.code).toBe(1);
    expect(ended.errors).toMatch(/every row is labelled x; give rows of two labels or more/);
  });

  it("refuses wrong use with 2", async () => {
    expect((await fitHead("--data", "x")).code).toBe(2);
    const ended = await fitHead("--data", "x", "--out", "y", "--l2", "0");
    expect(ended).toMatchObject({ code: 2, errors: expect.stringMatching(/number above 0/) });
  });
});
