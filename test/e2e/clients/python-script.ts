/**
 * Runs a client's script in ./python, where Python and the client's packages are: `bench/peers/install-python.sh
 * clients`.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import type { RunningStack } from "../../../infra/local/start-stack.ts";
import { peerPython } from "../../peer-python.ts";
import { tiktokenFile } from "../../tokenizer/tiktoken-file.ts";
import {
  freeKey,
  mistakes,
  model,
  question,
  rankMistakes,
  type Running,
  texts,
  tooLong,
  tooMuch,
} from "./truth.ts";

type Failure = {
  /** With the module, the error's own first. */
  classes: string[];
  status: number | null;
  text: string;
} | null;

/** What every script tells besides its own answers. */
type Told = { failures: Failure[]; too_much: Failure };

export type PythonClient = {
  name: string;
  /** As they are imported. */
  modules: string[];
  /** In ./python. */
  script: string;
  /** What its script gets wrong. */
  mistaken: readonly { status: number; says: RegExp }[];
  /** The classes of its errors, by status. */
  errors: Record<number, string>;
};

export function pythonOf({ name, modules }: PythonClient): string | null {
  return peerPython({
    modules,
    what: `${name}, in Python`,
    script: "install-python.sh clients",
    folder: "clients",
  });
}

/** @param tests of what the script told; what every client is told of a mistake is tested here */
export function describeScript<T>(
  running: Running,
  client: PythonClient,
  tests: (told: () => T & Told) => void,
): void {
  const python = pythonOf(client);
  describe.skipIf(python === null)(`${client.name}, in Python`, () => {
    let told: T & Told;
    beforeAll(async () => {
      told = await runScript<T & Told>(python ?? "", client.script, running());
    }, scriptTimeoutMs);
    tests(() => told);

    it("gets errors of its own classes with our words", () => {
      const { errors, mistaken } = client;
      const expected = mistaken.map(({ status, says }) => ({
        classes: expect.arrayContaining([errors[status]]),
        status,
        text: expect.stringMatching(says),
      }));
      expect(told.failures).toEqual(expected);
      expect(told.too_much).toEqual({
        classes: expect.arrayContaining([errors[429]]),
        status: 429,
        text: expect.stringContaining("tokens a day"),
      });
    });
  });
}

/** Importing some of them takes seconds, and so does a model's first answer. */
const scriptTimeoutMs = 120_000;

async function runScript<T>(python: string, script: string, stack: RunningStack): Promise<T> {
  const encodings = writeEncoding();
  try {
    const run = promisify(execFile)(python, [path.join(import.meta.dirname, "python", script)], {
      env: { ...process.env, TIKTOKEN_CACHE_DIR: encodings },
      maxBuffer: 2 ** 26,
    });
    run.child.stdin?.end(JSON.stringify(askedOf(stack)));
    const lines = (await run).stdout.trimEnd().split("\n");
    return JSON.parse(lines.at(-1) ?? "") as T;
  } finally {
    rmSync(encodings, { recursive: true, force: true });
  }
}

/** As exchange.py reads it. */
function askedOf(stack: RunningStack) {
  return {
    url: stack.url,
    key: stack.operatorKey,
    free_key: freeKey,
    model,
    texts,
    question,
    mistakes: mistakes.map(({ name, text, key }) => ({ name, text, key })),
    rank_mistakes: rankMistakes.map(({ name, query }) => ({ name, query })),
    too_long: tooLong,
    too_much: tooMuch,
  };
}

/** Where tiktoken looks for its file before it downloads it; it takes none of another digest. */
function writeEncoding(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "llm-os-tiktoken-"));
  const source = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken";
  const name = createHash("sha1").update(source).digest("hex");
  writeFileSync(path.join(folder, name), tiktokenFile());
  return folder;
}
