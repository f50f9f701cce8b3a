import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { threadId } from "node:worker_threads";
import { expect, it } from "vitest";
import { inThread } from "../../gpu-worker/event-loop/in-thread.ts";
import { threadNumber } from "./thread-number.ts";

it("loads TypeScript in several threads without V8 freeing code that they share", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "llm-os-threads-"));
  const log = path.join(folder, "v8.log");
  const logging = ["--log-code", "--no-logfile-per-isolate", `--logfile=${log}`];
  const script = path.join(import.meta.dirname, "two-threads.ts");
  try {
    const printed = execFileSync(process.execPath, ["--trace-wasm-code-gc", ...logging, script], {
      encoding: "utf8",
      // Every thread is to strip the types itself.
      env: { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" },
    });
    // With what V8 would say of a collection.
    expect(printed).toBe(
      "first writeGraph writeDecoderGraph\nsecond writeGraph writeDecoderGraph\n",
    );
    const compiled = readFileSync(log, "utf8");
    expect(compiled).toContain("code-creation,");
    expect(compiled).not.toContain(",wasm-to-js,");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it("starts no thread for what goes through few bytes", async () => {
  const module = new URL("thread-number.ts", import.meta.url).href;
  const { signal } = new AbortController();
  const threadOf = (bytes: number) => inThread(module, threadNumber, [], { signal, bytes });
  expect(await threadOf(2 ** 20)).toBe(threadId);
  expect(await threadOf(2 ** 20 + 1)).not.toBe(threadId);
});
