/** `npm run model -- check-data`: what a person sees, and the exit code that a script goes by. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DataReport } from "#contract/training/report.ts";

const root = path.resolve(import.meta.dirname, "../..");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "llm-os-check-data-"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

type Ended = { code: number; out: string; errors: string };

function checkData(...words: string[]): Promise<Ended> {
  const script = path.join(root, "gpu-worker/cli/model.ts");
  const env = { ...process.env, LLM_OS_STATE: path.join(folder, "state"), LLM_OS_MODELS: "" };
  return new Promise((resolve) => {
    const all = [script, "check-data", ...words];
    const child = execFile(process.execPath, all, { cwd: root, env }, (_, out, errors) =>
      resolve({ code: child.exitCode ?? -1, out, errors }),
    );
  });
}

async function file(name: string, content: string): Promise<string> {
  const written = path.join(folder, name);
  await writeFile(written, content);
  return written;
}

const good = Array.from({ length: 12 }, (_, at) => `text ${at},${at % 2 ? "a" : "b"}\n`);

describe("npm run model -- check-data", () => {
  it("shows what the examples of a good file are like", async () => {
    const training = await file("good.csv", `text,label\n${good.join("")}`);
    const { code, out, errors } = await checkData(training, "--model", "all-MiniLM-L6-v2");
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
    expect(out).toContain("csv, single-label, for text-classification; 12 good examples, 0 bad");
    expect(out).toMatch(/^LABEL +COUNT\na +6 +█+\nb +6 +█+$/m);
    expect(out).toMatch(/^TOKENS +COUNT +min 4, median 4/m);
  });

  it("says that it is reading where a file is large", async () => {
    const row = `${"long ".repeat(20_000)},a\n`;
    const training = await file("large.csv", `text,label\n${good.join("")}${row.repeat(60)}`);
    const { code, errors, out } = await checkData(training);
    expect({ code, errors }).toEqual({ code: 0, errors: "Reading\n" });
    expect(out).toContain("72 good examples");
  });

  it("names each bad line and its fix, and what both files have in common", async () => {
    const training = await file("bad.csv", `text,label\n${good.join("")}x\n"\u001b[31my",\n`);
    const validation = await file("validation.csv", "text,label\ntext 1,b\nnew,a\n");
    const { code, out } = await checkData(training, "--validation", validation);
    expect(code).toBe(1);
    expect(out).toContain("line 14: it has 1 columns: write 2 columns");
    expect(out).toContain("line 15: label is empty: fill it, or take the line out");
    expect(out).toContain(
      "1 validation example also stands in the training file (line 2 as in line 3)",
    );
    expect(out).not.toContain("\u001b");
  });

  it("counts by kind what is more than a screen", async () => {
    const training = await file("many.csv", `text,label\n${good.join("")}${"x\n".repeat(2_000)}`);
    const { code, out } = await checkData(training);
    expect(code).toBe(1);
    expect(out).toMatch(
      /and 1950 more problems; all of them by kind:\nPROBLEM +COUNT\ncolumn_count +2000$/m,
    );
  });

  it("gives the whole report as JSON", async () => {
    const training = await file("json.csv", `text,label\n${good.join("")}x\n`);
    const { code, out } = await checkData(training, "--json");
    expect(code).toBe(1);
    expect(DataReport.parse(JSON.parse(out))).toMatchObject({
      training: { examples: 12, bad_examples: 1, problem_counts: { column_count: 1 } },
      validation: null,
      leakage: null,
    });
  });

  it.each([
    [["nowhere.csv"], "nowhere.csv cannot be read: ENOENT"],
    [["."], ". is no file"],
    [["package.json", "--model", "nobody"], "nobody is no model known here"],
    [["package.json", "--model", "sentiment-en"], "sentiment-en is an adapter"],
    [["package.json", "--model", "bge-small-en-v1.5"], "npm run model -- fetch bge-small-en-v1.5"],
  ])("says why it cannot: %j", async (words, says) => {
    const { code, errors } = await checkData(...words);
    expect(code).toBe(1);
    expect(errors).toContain(says);
  });
});
