/** `npm run model -- hold-out`: two files of which one judges fairly what the other trains. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");
let folder: string;
let training: string;
let heldOut: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "llm-os-hold-out-"));
  training = path.join(folder, "training.jsonl");
  heldOut = path.join(folder, "held-out.jsonl");
});

afterAll(() => rm(folder, { recursive: true, force: true }));

type Ended = { code: number; out: string; errors: string };

function holdOut(...words: string[]): Promise<Ended> {
  const script = path.join(root, "gpu-worker/cli/model.ts");
  return new Promise((resolve) => {
    const all = [script, "hold-out", "--training", training, "--held-out", heldOut, ...words];
    const child = execFile(process.execPath, all, { cwd: root }, (_, out, errors) =>
      resolve({ code: child.exitCode ?? -1, out, errors }),
    );
  });
}

type Row = { text: string; label: string };

async function rowsIn(file: string): Promise<Row[]> {
  const lines = (await readFile(file, "utf8")).trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

const wholes = Array.from({ length: 10 }, (_, at) => `w${at} stands in sentence ${at} alone`);
const parts = wholes.map((whole) => whole.split(" ").slice(0, 3).join(" "));

async function writeData(name: string, texts: readonly string[]): Promise<string> {
  const file = path.join(folder, name);
  const lines = texts.map((text, at) => JSON.stringify({ body: text, kind: `k${at % 2}`, at }));
  await writeFile(file, `${lines.join("\n")}\n`);
  return file;
}

describe("npm run model -- hold-out", () => {
  it("holds out whole texts of all files and keeps their parts from training", async () => {
    const files = [await writeData("wholes.jsonl", wholes), await writeData("parts.jsonl", parts)];
    const fields = ["--text", "body", "--label", "kind"];
    const ended = await holdOut("--data", ...files, ...fields);
    expect(ended).toMatchObject({ code: 0, errors: "" });
    expect(ended.out).toMatch(
      /^20 texts: 2 whole ones held out, 2 left out that are part of those$/m,
    );
    const [judging, trained] = [await rowsIn(heldOut), await rowsIn(training)];
    expect(judging).toHaveLength(2);
    expect(trained).toHaveLength(16);
    for (const { text, label } of judging) {
      expect(wholes).toContain(text);
      expect(label).toBe(`k${wholes.indexOf(text) % 2}`);
      expect(trained.filter((row) => text.startsWith(row.text))).toEqual([]);
    }
  });

  it("writes over nothing unless it is told to, and never both parts into one file", async () => {
    const data = await writeData("again.jsonl", wholes);
    await writeFile(heldOut, "kept");
    const fields = ["--data", data, "--text", "body", "--label", "kind"];
    const refused = await holdOut(...fields);
    expect(refused.code).toBe(1);
    expect(refused.errors).toMatch(/is there already: name another file, or write over it with/);
    expect(await readFile(heldOut, "utf8")).toBe("kept");
    expect((await holdOut(...fields, "--force")).code).toBe(0);
    const same = await holdOut(...fields, "--training", heldOut);
    expect(same.errors).toMatch(/name the same file/);
  });

  it("says what is wrong with the data", async () => {
    const data = await writeData("fields.jsonl", wholes);
    const ended = await holdOut("--data", data, "--force");
    expect(ended.code).toBe(1);
    expect(ended.errors).toMatch(/fields\.jsonl: 10 lines cannot be used:[^]*name the field/);
    const one = await writeData("one.jsonl", ["a text"]);
    const alone = await holdOut("--data", one, "--text", "body", "--label", "kind", "--force");
    expect(alone.errors).toMatch(/of 1 texts none is left to train or to judge/);
  });
});
