/** The samples in examples/, each run as a user runs it: through npm, which has the Node for it. */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { isLarge } from "./chat-model.ts";
import { type SharedStack, sharedStack } from "./shared-stack.ts";

const root = path.resolve(import.meta.dirname, "../..");
let stack: SharedStack;

beforeAll(async () => {
  stack = await sharedStack("writers");
});

const expected: Record<string, RegExp> = {
  "background-job": /^202 \/v1\/jobs\/job_\S+\nsucceeded: 3 vectors\n$/,
  "chat-openai": /^The .*sky.*\n$/s,
  "classification-hugging-face":
    /^positive (0\.[5-9]\d|1\.00) An absolute .*\nnegative (0\.[5-9]\d|1\.00) Two hours .*\n$/,
  "embeddings-openai": /^login {3}0\.6\d\nweather -?0\.0\d\n$/,
  "similarity-hugging-face": /^0\.6\d I forgot my login\n-?0\.0\d The weather is nice today\n$/,
  "translation-hugging-face": /^French: \S.*\n$/s,
};

function runExample(...words: string[]) {
  const npm = ["run", "--silent", "example", "--", ...words];
  const env = { ...process.env, LLM_OS_URL: stack.url };
  return promisify(execFile)("npm", npm, { cwd: root, env, shell: process.platform === "win32" });
}

it("lists every sample, and each is tested", async () => {
  const { stdout } = await runExample();
  const listed = stdout.split("\n").flatMap((line) => /^ {2}(\S+)$/.exec(line)?.[1] ?? []);
  const names = readdirSync(path.join(root, "examples")).map((file) => path.basename(file, ".ts"));
  expect(listed.toSorted()).toEqual(Object.keys(expected).toSorted());
  expect([...listed, "run"].toSorted()).toEqual(names.toSorted());
});

const needsChatModel = (name: string) => /^(chat|translation)-/.test(name);

describe.each(Object.entries(expected))("%s", (name, output) => {
  it.skipIf(needsChatModel(name) && !isLarge)("prints what it promises", async () => {
    const { stdout } = await runExample(name);
    expect(stdout).toMatch(output);
  });
});
