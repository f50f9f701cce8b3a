/** The samples in examples/, each run as a user runs it. */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";

const folder = path.resolve(import.meta.dirname, "../../examples");
let stack: RunningStack;

beforeAll(async () => {
  stack = await startStack();
});

afterAll(() => stack.stop());

const expected: Record<string, RegExp> = {
  "background-job.ts": /^202 \/v1\/jobs\/job_\S+\nsucceeded: 3 vectors\n$/,
  "classification-hugging-face.ts":
    /^positive (0\.[5-9]\d|1\.00) An absolute .*\nnegative (0\.[5-9]\d|1\.00) Two hours .*\n$/,
  "embeddings-openai.ts": /^login {3}0\.6\d\nweather -?0\.0\d\n$/,
  "similarity-hugging-face.ts": /^0\.6\d I forgot my login\n-?0\.0\d The weather is nice today\n$/,
};

it("names what every sample prints", () => {
  expect(Object.keys(expected).toSorted()).toEqual(readdirSync(folder).toSorted());
});

it.each(Object.entries(expected))("%s", async (file, output) => {
  const env = { ...process.env, LLM_OS_URL: stack.url };
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, [path.join(folder, file)], { env });
  expect(stdout).toMatch(output);
});
